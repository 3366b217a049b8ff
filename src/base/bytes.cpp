#include "base/bytes.h"

#include <algorithm>

namespace attestry::base {
namespace {

template <class T>
void put_be(Bytes& out, T value) {
  for (std::size_t i = sizeof(T); i-- > 0;) {
    out.push_back(static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> (8 * i)));
  }
}

}  // namespace

bool equal(ByteView a, ByteView b) noexcept { return std::ranges::equal(a, b); }

LpWriter& LpWriter::lp(ByteView part) {
  put_be(out_, static_cast<std::uint32_t>(part.size()));
  return raw(part);
}
LpWriter& LpWriter::raw(ByteView part) {
  append(out_, part);
  return *this;
}
LpWriter& LpWriter::u8(std::uint8_t value) {
  out_.push_back(value);
  return *this;
}
LpWriter& LpWriter::u16(std::uint16_t value) {
  put_be(out_, value);
  return *this;
}
LpWriter& LpWriter::u32(std::uint32_t value) {
  put_be(out_, value);
  return *this;
}
LpWriter& LpWriter::u64(std::uint64_t value) {
  put_be(out_, value);
  return *this;
}

}  // namespace attestry::base
