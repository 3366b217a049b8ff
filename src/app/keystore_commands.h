// Commands on the masters of a running keystore.
#pragma once
#include "app/cli.h"

namespace attestry::app {

/// seal-status, rotate, walk, recrypted, retire, backup, open-share and restore, beneath `attestry keystore`.
void add_keystore_operations(CLI::App& keystore, Context& context);

}  // namespace attestry::app
