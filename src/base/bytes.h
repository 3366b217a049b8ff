// Bytes and views of bytes, and the one length-prefixed encoding that we hash and sign (FORMATS 1).
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace attestry::base {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;
template <std::size_t N>
using FixedBytes = std::array<std::uint8_t, N>;
using Digest32 = FixedBytes<32>;

/// Views `text` as bytes; valid as long as `text` is.
inline ByteView as_bytes(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// Views `bytes` as text without looking at the encoding; valid as long as `bytes` is.
inline std::string_view as_text(ByteView bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline Bytes to_bytes(ByteView view) { return {view.begin(), view.end()}; }
inline Bytes to_bytes(std::string_view text) { return to_bytes(as_bytes(text)); }

inline void append(Bytes& out, ByteView more) { out.insert(out.end(), more.begin(), more.end()); }

/// Variable-time equality, for public data only; secrets compare with crypto::equal_constant_time.
bool equal(ByteView a, ByteView b) noexcept;

/// Builds a byte string of big-endian integers and length-prefixed parts: LP(x) = u32be(len(x)) ‖ x (FORMATS 1).
class LpWriter {
 public:
  LpWriter& lp(ByteView part);
  LpWriter& lp(std::string_view text) { return lp(as_bytes(text)); }
  LpWriter& raw(ByteView part);
  LpWriter& u8(std::uint8_t value);
  LpWriter& u16(std::uint16_t value);
  LpWriter& u32(std::uint32_t value);
  LpWriter& u64(std::uint64_t value);
  const Bytes& bytes() const noexcept { return out_; }
  Bytes take() && noexcept { return std::move(out_); }

 private:
  Bytes out_;
};

}  // namespace attestry::base
