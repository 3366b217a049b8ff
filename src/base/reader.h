// A cursor over untrusted bytes: every read is bounds-checked, nothing is copied, and a parser must say that it is at
// the end.
#pragma once
#include <cstddef>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::base {

/// Not thread-safe. Views it returns live as long as the bytes it was made from.
class Reader {
 public:
  explicit Reader(ByteView bytes) noexcept : rest_(bytes), total_(bytes.size()) {}

  std::size_t offset() const noexcept { return total_ - rest_.size(); }
  std::size_t remaining() const noexcept { return rest_.size(); }
  ByteView rest() const noexcept { return rest_; }

  /// The next `size` bytes; `field` names them in the error ("expected 64 bytes at offset 12, found 3").
  Result<ByteView> take(std::size_t size, std::string_view field);
  template <std::size_t N>
  Result<FixedBytes<N>> take_array(std::string_view field) {
    TRY(const ByteView view, take(N, field));
    FixedBytes<N> out{};
    for (std::size_t i = 0; i < N; ++i) out[i] = view[i];
    return out;
  }
  Result<std::uint8_t> u8(std::string_view field);
  Result<std::uint16_t> u16le(std::string_view field);
  Result<std::uint32_t> u32le(std::string_view field);
  Result<std::uint64_t> u64le(std::string_view field);
  Result<std::uint16_t> u16be(std::string_view field);
  Result<std::uint32_t> u32be(std::string_view field);
  Result<std::uint64_t> u64be(std::string_view field);
  /// u32be length and that many bytes, the length at most `limit` (FORMATS 1).
  Result<ByteView> lp(std::string_view field, std::size_t limit);
  /// Refuses trailing bytes.
  Status finish(std::string_view what) const;

 private:
  ByteView rest_;
  std::size_t total_;
};

}  // namespace attestry::base
