// The admins' side of the registry: the seed's paths, bodies, words and status codes for bootstrap and recovery of the
// master key (docs/formats/registry.md, "Administrators"), on a listener of its own.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "keys/bootstrap.h"
#include "net/router.h"

namespace attestry::api {

/// Everything outlives the router's server.
struct RegistryAdminDeps {
  keys::Bootstrap& bootstrap;
  /// What a Host header of a v2 request may say, "registry.example:8081"; loopback names are always taken, with any
  /// port. A signed request for one server is none for another.
  std::vector<std::string> hosts{};
  const base::Clock* clock = &base::system_clock();
};

/// Adds, for Role::bootstrap, the seed's paths
///   GET  /admin/status, POST /admin/init/generate, POST /admin/init/recover, GET and POST /admin/share
/// and two of our own: GET /admin/commitments (nobody need prove anything, nothing of it is secret) and POST
/// /admin/share/received. Requests of the first version are taken when the bootstrap's options say seed_dialect.
base::Status register_registry_admin(net::Router& router, const RegistryAdminDeps& deps);

}  // namespace attestry::api
