// Mistakes of a server's settings, all of them before anything is made.
#pragma once
#include <vector>

#include "app/cli.h"
#include "base/result.h"

namespace attestry::app {

/// Each, and how many they are. `kExitUsage`.
int print_mistakes(Context& context, const std::vector<base::Error>& mistakes);

}  // namespace attestry::app
