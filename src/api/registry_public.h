// The registry's dialect for workloads and for anybody, both generations of it: the seed's paths, bodies and words
// (docs/formats/registry.md), with no rules of its own.
#pragma once
#include <atomic>
#include <functional>
#include <optional>
#include <set>

#include "governance/facts_cache.h"
#include "governance/kms_contract.h"
#include "net/router.h"
#include "provision/registry_kms_operator.h"
#include "provision/registry_pki_service.h"
#include "provision/registry_provisioner.h"

namespace attestry::api {

struct RegistryPublicRules {
  base::Tenant tenant = base::Tenant::standard();
  /// The only contracts that are served; nullopt: whatever contract somebody deployed.
  std::optional<std::set<curves::Address>> contracts{};
  /// Status codes of the first servers, which answer 400 or 500 to nearly everything. Off: the right classes.
  bool old_status = false;
  bool legacy_maa = false;  ///< as in measurements_from_headers
  /// Headers with measurements are believed from whoever reaches the port. Named so that nobody sets it by chance.
  bool believe_headers_of_anybody = false;
  /// Who runs this server, which the second generation says of itself; null: nobody.
  const provision::RegistryKmsOperator* kms_operator = nullptr;
  /// Evidence for a page about a contract is made only when the chain has one at the address.
  bool quotes_need_contract = false;
  /// Set: only apps that the key service's contract lists are served, and `contracts` does not count.
  governance::KmsContract* applications = nullptr;
  /// The key service's own contract, of which anybody may have CA and key: a master is known by them.
  std::optional<curves::Address> kms_contract{};
};

/// Liveness and draining of the dialect: a drained server is not ready, and goes on answering.
struct RegistryHealth {
  std::atomic<bool> draining{false};
};

/// Everything outlives the router's server.
struct RegistryPublicDeps {
  const provision::RegistryProvisioner& provisioner;
  provision::RegistryPkiService& pki;
  governance::FactsCache& facts;
  /// Runs what strangers ask and what has to be found out first, on threads of its own; false when too many wait.
  std::function<bool(std::move_only_function<void()>&)> run_strangers;
  RegistryHealth& health;
  /// Why nothing can be released now, for /readyz; empty text: nothing is in the way. Not asked with old_status.
  std::function<std::string()> waits_for{};
  RegistryPublicRules rules{};
};

/// For Role::registry (evidence in the request or the TLS connection) and Role::registry_proxy (a proxy that the
/// listener has authenticated, whose headers are believed):
///   POST /api/attested/register/{contract}   POST /api/attested/secrets/{contract}
///   GET /api/public/app_metadata/{contract}  GET /api/public/pki/{contract}
///   GET /livez  GET /readyz; and for Role::bootstrap GET /drain  GET /undrain, besides those two
base::Status register_registry_public(net::Router& router, const RegistryPublicDeps& deps);

}  // namespace attestry::api
