// The group `attestry node`, and those of its commands that have files of their own.
#pragma once
#include <string>
#include <vector>

#include "app/cli.h"
#include "base/result.h"

namespace attestry::app {

void add_node(CLI::App& app, Context& context);
/// --format of commands that ask no server: those that do have it of add_operator_options().
void add_node_format(CLI::App& command, std::string& format);
/// `init` and `run`: a node's folder, and the node.
void add_node_setup(CLI::App& group, Context& context);
/// `derive`: a workload's key, from nodes that it trusts with nothing.
void add_node_derive(CLI::App& group, Context& context);
/// `holders`, `holder-key`, `export`, `import`: a lost node's way back.
void add_node_recovery(CLI::App& group, Context& context);

/// The node of a folder, until it is told to stop; `rest`: further flags of the server.
base::Result<int> run_node(Context& context, const std::string& folder, const std::vector<std::string>& rest);

}  // namespace attestry::app
