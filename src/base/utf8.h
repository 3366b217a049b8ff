// Whether bytes are text.
#pragma once
#include <cstddef>
#include <string_view>

namespace attestry::base {

/// RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF. The empty text is UTF-8.
bool is_utf8(std::string_view text) noexcept;

/// At most `most` bytes from the beginning, without cutting a character in two. What is no UTF-8 is cut where it is.
std::string_view utf8_prefix(std::string_view text, std::size_t most) noexcept;

}  // namespace attestry::base
