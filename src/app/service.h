// A dialect that a running server offers on listeners of its own. wire.cpp opens those that the settings ask for; a new
// one is one file and one line there.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "appraisal/appraisal_store.h"
#include "appraisal/appraiser.h"
#include "appraisal/challenge.h"
#include "audit/log.h"
#include "governance/registry.h"
#include "keys/derivation.h"
#include "keys/threshold_root.h"
#include "net/metrics.h"
#include "net/router.h"
#include "net/server.h"
#include "provision/sealing_rotation.h"
#include "secrets/secret_store.h"
#include "state/store.h"

namespace attestry::app {

/// What a service takes from the rest of the server; all of it outlives the service.
struct ServiceParts {
  state::Store& store;
  audit::Log& log;
  const appraisal::Appraiser& appraiser;
  const appraisal::Challenges& challenges;
  governance::Registry& registry;
  const appraisal::AppraisalStore& appraisals;
  const keys::AppRootSource& roots;
  secrets::SecretStore& secrets;         ///< its epochs() seal what services keep
  provision::SealingRotation& rotation;  ///< of those epochs: whoever seals under them joins it with add()
  crypto::Random& random;
  const base::Clock& clock;
  net::Metrics& metrics;
  net::Health& health;  ///< a part that cannot serve now says so here, for /readyz
  std::string data;     ///< folder
  /// HKDF of the root's sealing key for a purpose of one's own ("attestry/keystore/v1"): 32 bytes. While opening only.
  std::function<crypto::Secret(std::string_view purpose)> sealing;
  const keys::LegacyMasters& legacy_masters;   ///< for a dialect ("keystore") whose master is not imported
  const keys::ThresholdRoot* nodes = nullptr;  ///< with keys.source = threshold
};

/// Not thread-safe: the running server calls these one after the other, in this order. What the routes call is.
class Service {
 public:
  virtual ~Service() = default;
  virtual base::Status add_routes(net::Router& router) = 0;
  /// The listeners that the settings ask for, by whom they are for ("key manager workloads"); `chain_pem` and `key_pem`
  /// are the server's own certificate, empty with tls.mode off.
  virtual base::Result<std::vector<std::pair<std::string, net::Listener>>> listeners(
      std::string_view chain_pem, std::string_view key_pem) const = 0;
  /// Once it listens: the URLs of those listeners, in their order.
  virtual void listening(const std::vector<std::string>& /*urls*/) {}
  /// What it listens on besides, by what it is ("tracker over UDP"). From when the routes are added.
  virtual std::vector<std::pair<std::string, std::string>> other_urls() const { return {}; }
  /// Brings its gauges (docs/reference/metrics.md) up to now. Called from server threads at any time in between.
  virtual void update_metrics() const {}
  /// Ends what nobody will wait for any more; before the listeners close. May be called again.
  virtual void stop_accepting() {}
  /// Ends its threads, once no request comes any more and while the store still commits. At most once.
  virtual void stop() {}
};

}  // namespace attestry::app
