// Whether bytes are text.
#pragma once
#include <string_view>

namespace attestry::base {

/// RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF. The empty text is UTF-8.
bool is_utf8(std::string_view text) noexcept;

}  // namespace attestry::base
