// The admins' side of the registry: the seed's paths, bodies, words and status codes for bootstrap and recovery of the
// master key (docs/formats/registry.md, "Administrators"), on a listener of its own.
#pragma once
#include <functional>
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
  /// What a Host header of a v2 request may say, "registry.example:8081"; loopback names are taken with the listener's
  /// own port. A signed request for one server is none for another.
  std::vector<std::string> hosts{};
  /// This server's evidence over report data, for GET /admin/evidence; null where it has no quoting source. One caller
  /// at a time.
  std::function<base::Result<base::Bytes>(const base::FixedBytes<64>&)> attest{};
  /// The listener's own port, once it listens; null or 0: not known, any port is taken.
  std::function<unsigned()> own_port{};
  const base::Clock* clock = &base::system_clock();
};

/// Adds, for Role::bootstrap, the seed's paths
///   GET  /admin/status, POST /admin/init/generate, POST /admin/init/recover, GET and POST /admin/share
/// and of our own: GET /admin/commitments and GET /admin/evidence (nobody need prove anything, nothing of them is
/// secret) and POST /admin/share/received. Requests of the first version are taken when the bootstrap's options say
/// seed_dialect.
base::Status register_registry_admin(net::Router& router, const RegistryAdminDeps& deps);

}  // namespace attestry::api
