// The group `attestry kms`.
#pragma once
#include "app/cli.h"

namespace attestry::app {

void add_kms(CLI::App& app, Context& context);

}  // namespace attestry::app
