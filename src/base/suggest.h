// "Did you mean …?" for names that people type.
#pragma once
#include <span>
#include <string_view>

namespace attestry::base {

/// The known name that is nearest to `given` by edit distance, empty when none is near. `given` beyond 64 bytes is no
/// slip of the finger.
std::string_view nearest(std::string_view given, std::span<const std::string_view> known);

}  // namespace attestry::base
