// Borsh (borsh.io), the encoding of NEAR's transactions, as far as these need it. Reading is strict: what is accepted
// has exactly one spelling.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/reader.h"
#include "base/result.h"
#include "chain/near_types.h"

namespace attestry::chain::near {

/// Integers are little-endian; what has a length has it in front as 32 bits.
class BorshWriter {
 public:
  BorshWriter& u8(std::uint8_t value);
  BorshWriter& u32(std::uint32_t value);
  BorshWriter& u64(std::uint64_t value);
  BorshWriter& u128(const U128& value);
  /// Of an array, whose size both sides know.
  BorshWriter& raw(base::ByteView bytes);
  /// Vec<u8>, below 4 GiB.
  BorshWriter& bytes(base::ByteView bytes);
  BorshWriter& string(std::string_view text) { return bytes(base::as_bytes(text)); }
  /// In front of what an Option holds, or alone when it holds nothing.
  BorshWriter& option(bool present) { return u8(present ? 1 : 0); }
  base::Bytes take() && noexcept { return std::move(out_); }

 private:
  base::Bytes out_;
};

/// Not thread-safe. Views live as long as the bytes it was made from. Errors are `malformed` and name `field`.
class BorshReader {
 public:
  explicit BorshReader(base::ByteView bytes) noexcept : reader_(bytes) {}

  base::Result<std::uint8_t> u8(std::string_view field) { return reader_.u8(field); }
  base::Result<std::uint32_t> u32(std::string_view field) { return reader_.u32le(field); }
  base::Result<std::uint64_t> u64(std::string_view field) { return reader_.u64le(field); }
  base::Result<U128> u128(std::string_view field);
  base::Result<base::ByteView> raw(std::size_t size, std::string_view field) { return reader_.take(size, field); }
  base::Result<base::ByteView> bytes(std::string_view field, std::size_t limit);
  /// UTF-8.
  base::Result<std::string> string(std::string_view field, std::size_t limit);
  /// 0 or 1.
  base::Result<bool> option(std::string_view field);
  /// The number of an enum's variant, below `count`.
  base::Result<std::uint8_t> variant(std::string_view field, std::uint8_t count);
  /// How many elements follow, at most `most`.
  base::Result<std::size_t> length(std::string_view field, std::size_t most);
  /// What is not read yet.
  std::size_t remaining() const noexcept { return reader_.remaining(); }
  /// Refuses trailing bytes.
  base::Status finish(std::string_view what) const { return reader_.finish(what); }

 private:
  base::Reader reader_;
};

}  // namespace attestry::chain::near
