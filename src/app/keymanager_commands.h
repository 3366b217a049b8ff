// The group `attestry keymanager`: what its commands share (docs/reference/keymanager-commands.md).
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "app/cli.h"
#include "app/network_profiles.h"
#include "app/registry_chain.h"

namespace attestry::app {

/// Of one command: a chain by name or by id, and the contract.
struct KeyManagerOptions {
  ChainOptions chain{};
  std::string network{};
  std::string finality{};
};
/// --network, --rpc, --rpc-ca, --chain-id, --finality, --timeout, --format.
void add_keymanager_chain(CLI::App& command, KeyManagerOptions& options);
/// Fills in what the named network says. `usage` when it contradicts --chain-id, or when neither is given.
base::Status resolve_network(KeyManagerOptions& options);

/// `audit`.
void add_keymanager_audit(CLI::App& group, Context& context);

}  // namespace attestry::app
