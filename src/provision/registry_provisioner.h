// Provisioning in the registry's dialect: evidence and certificate request in, app key, certificate and configuration
// out, when a contract allows what is measured (docs/formats/registry.md). What differs from the main job
// (registrar.h): the wire has no challenge and the reply is not sealed, so the connection must be the workload's own.
#pragma once
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "appraisal/appraisal_store.h"
#include "appraisal/appraiser.h"
#include "audit/log.h"
#include "blobs/store.h"
#include "governance/contract_authority.h"
#include "governance/measured_key.h"
#include "governance/registry.h"
#include "keys/registry_keys.h"
#include "provision/registry_measurements.h"
#include "provision/registry_operator.h"
#include "provision/registry_secret.h"
#include "provision/registry_template.h"

namespace attestry::provision {

/// Where a registration ended: what the dialect's error texts begin with.
enum class RegistryStep : std::uint8_t {
  measurements,  ///< who measured what, evidence included
  csr,
  operator_signature,
  allowed,  ///< the authority was asked and could not answer
  denied,   ///< it answered no, or the app's policy did
  policy,   ///< that the app's contract names: not here, or no policy at all
  key,
  certificate,
  config_lookup,
  storage,  ///< of the configuration: no backend can be used
  config_fetch,
  config_render,
  record,  ///< the log
};

struct RegistryRefusal {
  RegistryStep step;
  base::Error error;
  std::string subject{};    ///< what the text names: hex of an identity or a content id
  std::string appraisal{};  ///< id of the stored appraisal, for `attestry why`
};

struct RegistryRelease {
  crypto::Secret app_privkey_pem;
  std::string leaf_pem;
  std::optional<crypto::Secret> configuration;
  crypto::Secret leaf_key;  ///< k of the leaf's HMACs (FORMATS 6)
};

struct RegistryRegistration {
  curves::Address contract{};
  base::Bytes csr;  ///< PEM or DER
  bool with_configuration = true;
  /// Set: the word of `voucher`. Unset: evidence in the request or in the client's certificate.
  std::optional<RegistryMeasurements> vouched{};
  governance::Voucher voucher = governance::Voucher::evidence;
  /// DER, when the client proved in TLS that it holds the key.
  std::shared_ptr<const base::Bytes> client_certificate{};
  /// The reply's bytes, whose digest stands in the leaf.
  std::function<base::Result<std::string>(const RegistryRelease&)> encode;
};

struct RegistryReply {
  std::string body;
  std::uint64_t leaf_index = 0;
  std::string receipt;  ///< C2SP tlog-proof
  crypto::Secret leaf_key;
};
using RegistryOutcome = std::expected<RegistryReply, RegistryRefusal>;

/// A contract's storage as one store, opened with credentials of the grant's app alone. Thread-safe.
using OpenStorage = std::function<base::Result<std::shared_ptr<blobs::BlobStore>>(
    const governance::Grant&, const keys::RegistryAppKeys&, const std::vector<std::string>& uris)>;

struct RegistryRules {
  base::Tenant tenant = base::Tenant::standard();
  attestation::Policy policy = attestation::Policy::standard();
  /// Evidence in a request counts once when the connection does not prove the key, and not at all any more once it was
  /// used or refused; off: as often as somebody sends it.
  bool evidence_once = true;
  OperatorDigest operator_digest = OperatorDigest::sha256;
  bool operator_v1 = true;
  bool strict_names = true;  ///< LeafRules::strict
  TemplateOptions templates{};
  std::int64_t vouched_seconds = 86400;  ///< how long a proxy's word is good for
  std::int64_t certificate_seconds = 365 * 86400;
  /// Releases are remembered until somebody sees that they would no longer be allowed (registry_watch.h).
  bool remember_grants = false;
  std::size_t most_storage = 16;  ///< of the storage URIs of a contract, in its order
};

struct RegistryProvisionerDeps {
  state::Store& store;
  audit::Log& log;
  const appraisal::Appraiser& appraiser;
  governance::Registry& registry;  ///< for policies that contracts name
  governance::ContractAuthority& authority;
  const keys::RegistryKeys& keys;
  const appraisal::AppraisalStore& appraisals;
  crypto::Random& random;
  OpenStorage open_storage;
  /// Runs what may wait for an app's chain and storage, on threads of its own and in turn with other apps; false when
  /// too many wait.
  std::function<bool(const curves::Address& app, std::move_only_function<void()>&)> run_waiting;
};

/// Thread-safe.
class RegistryProvisioner {
 public:
  RegistryProvisioner(RegistryProvisionerDeps deps, RegistryRules rules);
  ~RegistryProvisioner();
  /// `done` runs on the calling thread, on one of run_waiting(), or on the committer's once the leaf is durable and
  /// covered by a stored checkpoint. What waits for the chain and for storage waits there, until `deadline`.
  void provision(RegistryRegistration request, base::Deadline deadline,
                 std::move_only_function<void(RegistryOutcome)> done) const;
  const RegistryRules& rules() const noexcept { return rules_; }

 private:
  RegistryProvisionerDeps deps_;
  RegistryRules rules_;
  mutable OpenedSecrets secrets_;
};

}  // namespace attestry::provision
