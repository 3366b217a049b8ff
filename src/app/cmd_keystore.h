// `attestry keystore`.
#pragma once
#include "app/cli.h"

namespace attestry::app {

void add_keystore(CLI::App& app, Context& context);

}  // namespace attestry::app
