#include "chain/near_borsh.h"

#include "base/utf8.h"

namespace attestry::chain::near {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;

BorshWriter& BorshWriter::u8(std::uint8_t value) {
  out_.push_back(value);
  return *this;
}

BorshWriter& BorshWriter::u32(std::uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out_.push_back(static_cast<std::uint8_t>(value >> shift));
  return *this;
}

BorshWriter& BorshWriter::u64(std::uint64_t value) {
  for (int shift = 0; shift < 64; shift += 8) out_.push_back(static_cast<std::uint8_t>(value >> shift));
  return *this;
}

BorshWriter& BorshWriter::u128(const U128& value) { return u64(value.low).u64(value.high); }

BorshWriter& BorshWriter::raw(ByteView bytes) {
  base::append(out_, bytes);
  return *this;
}

BorshWriter& BorshWriter::bytes(ByteView bytes) { return u32(static_cast<std::uint32_t>(bytes.size())).raw(bytes); }

Result<U128> BorshReader::u128(std::string_view field) {
  U128 out;
  TRY(out.low, u64(field));
  TRY(out.high, u64(field));
  return out;
}

Result<std::size_t> BorshReader::length(std::string_view field, std::size_t most) {
  TRY(const std::uint32_t length, u32(field));
  if (length > most) {
    return Error{Code::malformed, std::string{field} + ": too long", "at most " + std::to_string(most),
                 std::to_string(length)};
  }
  return std::size_t{length};
}

Result<ByteView> BorshReader::bytes(std::string_view field, std::size_t limit) {
  TRY(const std::size_t size, length(field, limit));
  return raw(size, field);
}

Result<std::string> BorshReader::string(std::string_view field, std::size_t limit) {
  TRY(const ByteView view, bytes(field, limit));
  const std::string_view text = base::as_text(view);
  if (!base::is_utf8(text)) return Error{Code::malformed, std::string{field} + ": not UTF-8"};
  return std::string{text};
}

Result<bool> BorshReader::option(std::string_view field) {
  TRY(const std::uint8_t tag, variant(field, 2));
  return tag == 1;
}

Result<std::uint8_t> BorshReader::variant(std::string_view field, std::uint8_t count) {
  TRY(const std::uint8_t tag, u8(field));
  if (tag < count) return tag;
  return Error{Code::malformed, std::string{field} + ": of an unknown kind", "0 to " + std::to_string(count - 1),
               std::to_string(tag)};
}

}  // namespace attestry::chain::near
