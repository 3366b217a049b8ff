// The group `attestry registry`, and those of its commands that have files of their own.
#pragma once
#include "app/cli.h"

namespace attestry::app {

void add_registry(CLI::App& app, Context& context);
/// `show`: everything public at one block.
void add_registry_show(CLI::App& group, Context& context);
/// `publish-pki` and `identity`: what a server or a workload says, verified before it is used.
void add_registry_publish(CLI::App& group, Context& context);
/// `attestry registry register` and `metadata`.
void add_registry_client(CLI::App& group, Context& context);
/// `disk-key`.
void add_registry_disk_key(CLI::App& group, Context& context);

}  // namespace attestry::app
