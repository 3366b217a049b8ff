// `attestry keystore standby`: which keystore of two serves, and who is to.
#pragma once

#include "app/cli.h"

namespace attestry::app {

/// Adds the group `standby` to `attestry keystore`.
void add_keystore_standby(CLI::App& keystore, Context& context);

}  // namespace attestry::app
