// The key manager's routes for workloads, of all generations (docs/how-to/run-a-key-manager.md). No rules of its own.
#pragma once
#include <functional>

#include "net/router.h"
#include "provision/keymanager.h"
#include "provision/keymanager_identity.h"
#include "provision/keymanager_tags.h"

namespace attestry::api {

/// Everything outlives the router's server.
struct KeyManagerPublicDeps {
  const provision::KeyManager& manager;
  const provision::KeyManagerIdentities& identities;
  /// Runs what has to wait for DNS, on threads of its own; false when too many wait.
  std::function<bool(std::move_only_function<void()>&)> run_waiting;
  provision::KeyManagerTagRules tags{};
};

/// For Role::keymanager:
///   GET /  /sealkey  /getkey  /getkey/{tag}  /attest/{appdata}  /attest/{tag}/{data}  /appdata/{tag}/{data}
///   GET /status  /healthz
base::Status register_keymanager_public(net::Router& router, const KeyManagerPublicDeps& deps);

}  // namespace attestry::api
