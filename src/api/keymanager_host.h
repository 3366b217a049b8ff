// The key manager's routes for the machine that it runs on: how it comes by its master and hands it on
// (docs/how-to/run-a-key-manager.md). None gives a key away, and none exists on the workloads' port.
#pragma once
#include <functional>

#include "net/router.h"
#include "provision/keymanager.h"

namespace attestry::api {

/// Everything outlives the router's server.
struct KeyManagerHostDeps {
  provision::KeyManager& manager;
  /// Runs what waits for the chain and the TEE, on threads of its own; false when too many wait.
  std::function<bool(std::move_only_function<void()>&)> run_waiting;
};

/// For Role::keymanager_host:
///   GET, POST /bootstrap  /register  /register/{enckey}  /helper/{addr}
///   POST /onboard  /requestKey  /receiveKey  /resign; GET /status  /healthz
/// Requests that a web page made are refused.
base::Status register_keymanager_host(net::Router& router, const KeyManagerHostDeps& deps);

/// What a newcomer's request says, as a form (application/x-www-form-urlencoded) or as JSON, whichever `media_type` is.
/// Members: pubk (X25519 key), quote, addr, rootfs; hex, 0x in front or not. `malformed` for anything else.
base::Result<provision::KeyManagerNewcomer> parse_keymanager_newcomer(std::string_view media_type,
                                                                      std::string_view body);

}  // namespace attestry::api
