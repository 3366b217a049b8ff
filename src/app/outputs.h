// Files that a person names for what a command makes.
#pragma once
#include <string>

#include "base/result.h"

namespace attestry::app {

/// Before anything is asked or made: `usage` when `path` is a folder, or its own folder is not there or not this user's
/// to write in.
base::Status check_output(const std::string& path);

}  // namespace attestry::app
