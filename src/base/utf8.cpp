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

}  // namespace attestry::base
