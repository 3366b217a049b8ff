// One command of the group `attestry secret`, in a file of its own.
#pragma once
#include "app/cli.h"

namespace attestry::app {

void add_secret_seal(CLI::App& group, Context& context);

}  // namespace attestry::app
