// The group `attestry node`, and those of its commands that have files of their own.
#pragma once
#include "app/cli.h"

namespace attestry::app {

void add_node(CLI::App& app, Context& context);
/// `init` and `run`: a node's folder, and the node.
void add_node_setup(CLI::App& group, Context& context);
/// `derive`: a workload's key, from nodes that it trusts with nothing.
void add_node_derive(CLI::App& group, Context& context);

}  // namespace attestry::app
