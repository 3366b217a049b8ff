// The commands of `attestry policy` that need no server.
#pragma once
#include "app/cli.h"

namespace attestry::app {

void add_policy_documents(CLI::App& group, Context& context);

}  // namespace attestry::app
