#include "base/utf8.h"

#include "base/internal/utf8.h"

namespace attestry::base {

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t taken = internal::decode_utf8(text.data(), text.size()).length;
    if (taken == 0) return false;
    text.remove_prefix(taken);
  }
  return true;
}

std::string_view utf8_prefix(std::string_view text, std::size_t most) noexcept {
  constexpr std::size_t kLongest = 4;
  if (text.size() <= most) return text;
  const auto continues = [&](std::size_t at) { return (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80; };
  for (std::size_t end = most; most - end < kLongest; --end) {
    if (!continues(end)) return text.substr(0, end);
    if (end == 0) break;
  }
  return text.substr(0, most);
}

}  // namespace attestry::base
