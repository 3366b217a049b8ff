// Handing the master to a new server of the same key service, as the registry's later generation does it: the request
// is on the chain, with the new server's evidence in it (docs/formats/registry.md).
#pragma once
#include <expected>
#include <functional>
#include <optional>

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
  /// Runs what waits for the chain, on threads of its own; false when too many wait.
  std::function<bool(std::move_only_function<void()>&)> run_waiting;
  /// Set: the chain's id, and servers are known by identities that cover firmware and debug bit, too.
  std::optional<std::uint64_t> extended_on{};
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
  /// The master, encrypted to the key of the request with that hash; the same bytes whenever it is asked for again, as
  /// long as the contract still allows it, so that strangers make no leaves. `done` runs on the calling thread, on one
  /// of run_waiting() or on the committer's, and for a first answer once its leaf is durable.
  void give(const base::Digest32& hash, base::Deadline deadline,
            std::move_only_function<void(OnboardOutcome)> done) const;

 private:
  void give_here(const base::Digest32& hash, base::Deadline deadline,
                 std::move_only_function<void(OnboardOutcome)> done) const;

  OnboardingDeps deps_;
  attestation::Policy policy_;
};

}  // namespace attestry::provision
