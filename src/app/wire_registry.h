// The registry's dialect of a running server, built out of the rooms (docs/how-to/run-a-registry.md).
#pragma once
#include <memory>
#include <vector>

#include "api/registry_admin.h"
#include "api/registry_blobs.h"
#include "api/registry_operator.h"
#include "api/registry_public.h"
#include "api/slow_lane.h"
#include "app/settings.h"
#include "appraisal/appraisal_store.h"
#include "blobs/cache.h"
#include "blobs/lanes.h"
#include "chain/quorum.h"
#include "governance/chain_authority.h"
#include "governance/chain_floor.h"
#include "governance/facts_cache.h"
#include "keys/bootstrap.h"
#include "keys/derivation.h"
#include "keys/received_master.h"
#include "net/metrics.h"
#include "net/server.h"
#include "provision/registry_pki_service.h"
#include "provision/registry_provisioner.h"
#include "provision/registry_watch.h"

namespace attestry::app {

/// What the registry takes from the rest of the server; all of it outlives the service.
struct RegistryParts {
  state::Store& store;
  audit::Log& log;
  const appraisal::Appraiser& appraiser;
  governance::Registry& registry;
  const appraisal::AppraisalStore& appraisals;
  const base::Clock& clock;
  std::string data;                           ///< folder
  const keys::LegacyMasters& legacy_masters;  ///< of kms "derived"
  const keys::SealedMaster& sealed_master;    ///< of kms "onboard"
  blobs::Sealer& sealer;                      ///< of what is kept of storage
};

class RegistryService {
 public:
  /// Null when the settings do not ask for it.
  static base::Result<std::unique_ptr<RegistryService>> open(const Settings& settings, RegistryParts parts);
  ~RegistryService();
  /// Ends the threads that wait for chains and storages, and what they do, once no request comes any more and while the
  /// store still commits. At most once.
  void stop();
  /// Before it: ends attested sessions, and what operators wait for there. May be called again.
  void stop_channels();

  base::Status add_routes(net::Router& router);
  /// Once it listens: the port of the admins' listener, which loopback names in signed requests must have.
  void listening(unsigned admin_port) noexcept;
  /// Where other servers ask for the master in attested sessions: "127.0.0.1:9443"; empty when nowhere.
  std::string channel_address() const;
  /// Administrators or the operator still have to bring the master key. (A threshold root brings it by itself.)
  bool awaits_master() const;
  /// Brings the registry's gauges (docs/reference/metrics.md) up to now.
  void update_metrics(net::Metrics& metrics) const;
  /// The listeners that the settings ask for, by whom they are for; `chain` and `key` are PEM of the server's own
  /// certificate, empty with tls.mode off.
  base::Result<std::vector<std::pair<std::string, net::Listener>>> listeners(std::string_view chain_pem,
                                                                             std::string_view key_pem) const;

 private:
  struct Impl;
  explicit RegistryService(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace attestry::app
