// Handing the master to a new server of the same key service, as the registry's later generation does it: the request
// is on the chain, with the new server's evidence in it (docs/formats/registry.md).
#pragma once
#include <expected>
#include <functional>

#include "appraisal/appraiser.h"
#include "audit/log.h"
#include "base/result.h"
#include "crypto/random.h"
#include "governance/kms_contract.h"
#include "keys/registry_keys.h"
#include "state/store.h"

namespace attestry::provision {

struct OnboardingDeps {
  state::Store& store;
  audit::Log& log;
  const appraisal::Appraiser& appraiser;
  governance::KmsContract& contract;
  const keys::RegistryMaster& master;
  crypto::Random& random;
};

/// Where a request ended: what the dialect's error texts begin with.
enum class OnboardStep : std::uint8_t { request, attestation, measurements, identity, process };
struct OnboardRefusal {
  OnboardStep step;
  base::Error error;
};
using OnboardOutcome = std::expected<base::Bytes, OnboardRefusal>;

/// The giving side. Thread-safe.
class RegistryOnboarding {
 public:
  RegistryOnboarding(OnboardingDeps deps, attestation::Policy policy)
      : deps_(std::move(deps)), policy_(std::move(policy)) {}
  /// The master, encrypted to the key of the request with that hash; the same bytes whenever it is asked for again, so
  /// that strangers make neither work nor leaves. `done` runs on the calling thread, the collateral source's or the
  /// committer's, and for a first answer once its leaf is durable.
  void give(const base::Digest32& hash, base::Deadline deadline,
            std::move_only_function<void(OnboardOutcome)> done) const;

 private:
  OnboardingDeps deps_;
  attestation::Policy policy_;
};

}  // namespace attestry::provision
