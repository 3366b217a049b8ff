// One strict UTF-8 decoder for the JSON reader and writer (RFC 3629: no overlong form, no surrogate, nothing above
// U+10FFFF).
#pragma once
#include <cstddef>
#include <cstdint>

namespace attestry::base::internal {

struct Utf8 {
  std::uint32_t code_point;
  std::size_t length;  ///< bytes taken; 0: invalid
};

inline Utf8 decode_utf8(const char* text, std::size_t available) noexcept {
  if (available == 0) return {0, 0};
  const auto byte = [text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const auto is_tail = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xc2) return {0, 0};
  if (lead < 0xe0) {
    if (available < 2 || !is_tail(1)) return {0, 0};
    return {(lead & 0x1f) << 6 | (byte(1) & 0x3fu), 2};
  }
  if (lead < 0xf0) {
    if (available < 3 || !is_tail(1) || !is_tail(2)) return {0, 0};
    const std::uint32_t code = (lead & 0x0f) << 12 | (byte(1) & 0x3fu) << 6 | (byte(2) & 0x3fu);
    if (code < 0x800 || (code >= 0xd800 && code <= 0xdfff)) return {0, 0};
    return {code, 3};
  }
  if (lead > 0xf4 || available < 4 || !is_tail(1) || !is_tail(2) || !is_tail(3)) return {0, 0};
  const std::uint32_t code = (lead & 0x07) << 18 | (byte(1) & 0x3fu) << 12 | (byte(2) & 0x3fu) << 6 | (byte(3) & 0x3fu);
  if (code < 0x10000 || code > 0x10ffff) return {0, 0};
  return {code, 4};
}

/// Appends a code point that is no surrogate.
template <class String>
void append_utf8(String& out, std::uint32_t code) {
  const auto put = [&out](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

/// U+FDD0 to U+FDEF and the last two of every plane, which I-JSON forbids (RFC 7493 section 2.1).
constexpr bool is_noncharacter(std::uint32_t code) noexcept {
  return (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) == 0xfffe;
}

}  // namespace attestry::base::internal
