// What an error says without its code and its remedy, for places that have both elsewhere.
#pragma once
#include <string>

#include "base/result.h"

namespace attestry::base {

/// "what; expected this; found that"
std::string reason(const Error& error);

}  // namespace attestry::base
