#include "base/reader.h"

namespace attestry::base {
namespace {

template <class T>
T little(ByteView b) {
  std::uint64_t v = 0;
  for (std::size_t i = b.size(); i-- > 0;) v = (v << 8) | b[i];
  return static_cast<T>(v);
}

template <class T>
T big(ByteView b) {
  std::uint64_t v = 0;
  for (const std::uint8_t x : b) v = (v << 8) | x;
  return static_cast<T>(v);
}

}  // namespace

Result<ByteView> Reader::take(std::size_t size, std::string_view field) {
  if (size > rest_.size()) {
    return Error{Code::malformed, std::string{field} + ": too short",
                 std::to_string(size) + " bytes at offset " + std::to_string(offset()),
                 std::to_string(rest_.size()) + " bytes"};
  }
  const ByteView out = rest_.first(size);
  rest_ = rest_.subspan(size);
  return out;
}

Result<std::uint8_t> Reader::u8(std::string_view field) {
  TRY(const ByteView b, take(1, field));
  return b[0];
}
Result<std::uint16_t> Reader::u16le(std::string_view field) {
  TRY(const ByteView b, take(2, field));
  return little<std::uint16_t>(b);
}
Result<std::uint32_t> Reader::u32le(std::string_view field) {
  TRY(const ByteView b, take(4, field));
  return little<std::uint32_t>(b);
}
Result<std::uint64_t> Reader::u64le(std::string_view field) {
  TRY(const ByteView b, take(8, field));
  return little<std::uint64_t>(b);
}
Result<std::uint16_t> Reader::u16be(std::string_view field) {
  TRY(const ByteView b, take(2, field));
  return big<std::uint16_t>(b);
}
Result<std::uint32_t> Reader::u32be(std::string_view field) {
  TRY(const ByteView b, take(4, field));
  return big<std::uint32_t>(b);
}
Result<std::uint64_t> Reader::u64be(std::string_view field) {
  TRY(const ByteView b, take(8, field));
  return big<std::uint64_t>(b);
}

Result<ByteView> Reader::lp(std::string_view field, std::size_t limit) {
  TRY(const std::uint32_t size, u32be(field));
  if (size > limit) {
    return Error{Code::malformed, std::string{field} + ": too long", "at most " + std::to_string(limit) + " bytes",
                 std::to_string(size) + " bytes"};
  }
  return take(size, field);
}

Status Reader::finish(std::string_view what) const {
  if (rest_.empty()) return done();
  return Error{Code::malformed, std::string{what} + ": trailing bytes", "the end at offset " + std::to_string(offset()),
               std::to_string(rest_.size()) + " bytes more"};
}

}  // namespace attestry::base
