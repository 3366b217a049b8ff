// Certificate requests of workloads, and the operator's signature in them.
#pragma once
#include "app/cli.h"

namespace attestry::app {

/// `attestry registry csr`.
void add_registry_csr(CLI::App& group, Context& context);
/// `attestry operator sign-csr` and `sign-pubkey`; after add_operator.
void add_operator_signing(CLI::App& app, Context& context);

}  // namespace attestry::app
