// The native API, /v1: routes over the rooms below, with no rules of its own (ARCHITECTURE 3.10, FORMATS 12).
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "api/slow_lane.h"
#include "appraisal/appraiser.h"
#include "appraisal/challenge.h"
#include "audit/log.h"
#include "base/result.h"
#include "collateral/vault.h"
#include "crypto/secret.h"
#include "governance/registry.h"
#include "net/metrics.h"
#include "net/router.h"
#include "provision/registrar.h"
#include "provision/sealing_rotation.h"
#include "secrets/secret_store.h"

namespace attestry::api {

/// Which groups of routes a process offers (`serve --service LIST`), so that each can run in a TEE of its own.
enum class Service : std::uint8_t { verify, provision, governance, log, collateral };
std::string_view to_text(Service service) noexcept;
base::Result<std::set<Service>> services_from(std::string_view comma_separated);
std::set<Service> all_services();

/// What the vault's artefacts are given out for on the paths of Intel's PCS and AMD's KDS, to whoever asks.
enum class Serving : std::uint8_t {
  off,    ///< those paths are not there
  held,   ///< what is held; a request never asks a vendor
  fetch,  ///< what is not held is fetched: only where everybody who can reach the listener may spend the vendors'
          ///< limits
};
base::Result<Serving> serving_from(std::string_view text);

/// What handlers use; everything outlives the server. Handlers run on several threads.
struct Deps {
  state::Store& store;
  audit::Log& log;
  governance::Registry& registry;
  secrets::SecretStore& secrets;
  const appraisal::Challenges& challenges;
  const appraisal::Appraiser& appraiser;
  const provision::Registrar& registrar;
  const appraisal::AppraisalStore& appraisals;
  net::Metrics& metrics;
  net::Health& health;
  std::string version;
  crypto::Secret idempotency_key{};  ///< digests of requests with an Idempotency-Key are made under it
  /// For what a public route does only for an administrator (/v1/verify with "store"); empty: nobody may.
  net::Authenticator authenticate{};
  std::function<void()> update_metrics{};  ///< called before metrics are rendered; may be empty
  collateral::Vault* vault = nullptr;      ///< null: no routes of collateral
  SlowLane* slow = nullptr;                ///< where public handlers wait for vendors; set when `vault` is
  SlowLane* operators = nullptr;           ///< the same for operators, whom no crowd of strangers keeps waiting
  Serving serving = Serving::held;
  std::chrono::seconds patience{10};  ///< the longest that one request waits for a vendor
  const base::Clock* clock = &base::system_clock();
  provision::SealingRotation* sealing = nullptr;  ///< null: nothing is sealed anew here
};

/// Adds the routes of `services` and those that every process has (/v1/server, health, metrics, /openapi.json).
base::Status add_routes(net::Router& router, const Deps& deps, const std::set<Service>& services);

/// `Authorization: Bearer <admin token>`, compared in constant time by digest; `local` by the unix socket's peer.
net::Authenticator make_authenticator(base::ByteView admin_token_sha256);

/// OpenAPI 3.1, made from the route table (all roles) and the schemas of this room.
std::string openapi_json(const net::Router& router, std::string_view version);

}  // namespace attestry::api
