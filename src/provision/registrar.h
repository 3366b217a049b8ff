// The main job: from a workload's evidence and CSR to its sealed reply and receipt (ARCHITECTURE 1, steps 1 to 10).
#pragma once
#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "appraisal/appraisal_store.h"
#include "appraisal/appraiser.h"
#include "appraisal/challenge.h"
#include "audit/log.h"
#include "governance/registry.h"
#include "keys/derivation.h"
#include "secrets/secret_store.h"

namespace attestry::provision {

/// The body of POST /v1/instances, parsed.
struct InstanceRequest {
  static constexpr std::size_t kMaxBytes = 8u << 20;  ///< of the body

  attestation::Evidence evidence;  ///< with the event logs
  base::Bytes csr;                 ///< PEM or DER
  base::Bytes recipient;           ///< KEM id u16 ‖ public key
  base::Bytes nonce;
  base::Tenant tenant = base::Tenant::standard();
  base::AppRef app;
  base::Bytes body;  ///< the whole body as received: idempotency is by its digest

  /// Strict JSON: evidence, csr, recipient, nonce (base64url), tenant (optional), app, event_logs (optional). The
  /// binding does not cover the logs: each must lead to the registers of evidence that it does cover.
  static base::Result<InstanceRequest> parse(base::Bytes body);
};

struct InstanceReply {
  base::Bytes sealed;
  std::string receipt;  ///< C2SP tlog-proof
};
/// A refusal keeps the verdict, so that the workload's operator sees every check.
struct InstanceRefusal {
  base::Error error;
  std::string verdict_json;  ///< as attestation::to_json gives it; empty when no verdict was reached
  std::string appraisal{};   ///< id of the stored appraisal, for `attestry why`; empty when none is stored
};
using InstanceOutcome = std::expected<InstanceReply, InstanceRefusal>;

class Issuer;

struct RegistrarDeps {
  state::Store& store;
  audit::Log& log;
  const appraisal::Challenges& challenges;
  const appraisal::Appraiser& appraiser;
  governance::Registry& registry;
  const keys::AppRootSource& roots;
  secrets::SecretStore& secrets;
  crypto::Random& random;
  const base::Clock& clock;
  const appraisal::AppraisalStore& appraisals;
  /// Where registrations go on when `roots` waits for others: false when too many wait there already. Not called
  /// otherwise.
  std::function<bool(std::move_only_function<void()>&)> run_waiting{};
};

/// Thread-safe.
class Registrar {
 public:
  explicit Registrar(RegistrarDeps deps);
  ~Registrar();
  /// Runs steps 1 to 9 on the calling thread, or on the collateral source's when collateral has to be fetched first, or
  /// from the verdict on where run_waiting puts it;
  /// `done` runs on the committer's thread once the leaf is durable and covered by a stored checkpoint, or on the other
  /// one when it ends before a transaction. The source must be gone before this is.
  void register_instance(const InstanceRequest& request, base::Deadline deadline,
                         std::move_only_function<void(InstanceOutcome)> done) const;

 private:
  RegistrarDeps deps_;
  std::unique_ptr<const Issuer> issuer_;
};

}  // namespace attestry::provision
