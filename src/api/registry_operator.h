// The operator's side of the registry's later generation: who runs this key server, and where its master comes from
// (docs/formats/registry.md, "Operators"). On the administrators' listener, because it decides over every app's keys.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "crypto/random.h"
#include "governance/kms_contract.h"
#include "keys/received_master.h"
#include "net/client.h"
#include "net/router.h"
#include "provision/registry_onboarding.h"
#include "provision/registry_pki_service.h"

namespace attestry::api {

/// Who runs this server, once somebody who may has said so. Thread-safe.
class KmsOperator {
 public:
  curves::Address address() const;  ///< all zero before
  /// `conflict` when somebody else has.
  base::Status set(const curves::Address& address);

 private:
  mutable base::Mutex mutex_;
  std::optional<curves::Address> address_ ATTESTRY_GUARDED_BY(mutex_);
};

/// Everything outlives the router's server.
struct RegistryOperatorDeps {
  KmsOperator& kms_operator;
  keys::ReceivedMaster* master = nullptr;       ///< null: this server's master comes from elsewhere
  governance::KmsContract* contract = nullptr;  ///< null: nobody can be onboarded, from here or to here
  provision::RegistryPkiService& attester;
  net::HttpTransport* http = nullptr;                         ///< to the server that gives its master
  const provision::RegistryOnboarding* onboarding = nullptr;  ///< null: this server gives its master to nobody
  std::vector<curves::Address> operators{};  ///< who may run this server, besides the contract's operators
  crypto::Random& random;
  bool old_status = false;
};

/// Role::bootstrap: GET and POST /api/operator/auth, GET /api/operator/onboard_request/{operator},
/// POST /api/operator/onboard, POST /api/operator/generate. Role::registry: GET /api/attested/onboard/{id}.
base::Status register_registry_operator(net::Router& router, const RegistryOperatorDeps& deps);

}  // namespace attestry::api
