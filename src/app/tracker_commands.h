// The group `attestry tracker`: those of its commands that have a file of their own.
#pragma once
#include "app/cli.h"

namespace attestry::app {

/// `bench`.
void add_tracker_bench(CLI::App& group, Context& context);
/// `reputation init|publish|migrate|show`, at a running tracker.
void add_tracker_reputation(CLI::App& group, Context& context);

}  // namespace attestry::app
