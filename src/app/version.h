// The program's version, one place.
#pragma once
#include <string_view>

namespace attestry::app {

inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace attestry::app
