// What is at a path, without exceptions: std::filesystem throws when a folder may not be entered.
#pragma once
#include <string>

#include "base/result.h"

namespace attestry::app {

/// Whether something is there. Error `io` when that cannot be told, for want of a right on a folder of the path say;
/// "no" would be a guess that makes new what is there already.
base::Result<bool> present(const std::string& path);

}  // namespace attestry::app
