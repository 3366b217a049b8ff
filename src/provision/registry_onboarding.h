// Handing the master to a new server of the same key service, as the registry's later generation does it: the request
// is on the chain, with the new server's evidence in it (docs/formats/registry.md).
#pragma once
#include <expected>
#include <functional>
#include <memory>
#include <optional>

#include "appraisal/appraiser.h"
#include "audit/log.h"
#include "base/ids.h"
#include "base/result.h"
#include "crypto/random.h"
#include "governance/kms_contract.h"
#include "governance/registry.h"
#include "keys/registry_keys.h"
#include "state/store.h"

namespace attestry::provision {

struct OnboardingDeps {
  state::Store& store;
  audit::Log& log;
  const appraisal::Appraiser& appraiser;
  const governance::Registry& registry;  ///< for the policy that the contract names
  base::Tenant tenant;                   ///< under whose name it is stored
  governance::KmsContract& contract;
  const keys::RegistryMaster& master;
  crypto::Random& random;
  /// The first look at a request, which anybody may cause by making up a hash; false when too many wait.
  std::function<bool(std::move_only_function<void()>&)> run_strangers;
  /// What waits for the chain about a request that is there.
  std::function<bool(std::move_only_function<void()>&)> run_waiting;
  /// Set: the chain's id, and servers are known by identities that cover firmware and debug bit, too.
  std::optional<std::uint64_t> extended_on{};
};

/// Where a request ended: what the dialect's error texts begin with.
enum class OnboardStep : std::uint8_t { request, attestation, measurements, identity, policy, process };
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
  /// long as the contract still allows it, so that strangers make no leaves: there is one for each policy that the
  /// contract named meanwhile. `done` runs on the calling thread, on one of run_strangers() or run_waiting(), or on the
  /// committer's, and for a first answer once its leaf is durable.
  void give(const base::Digest32& hash, base::Deadline deadline,
            std::move_only_function<void(OnboardOutcome)> done) const;

 private:
  using Done = std::move_only_function<void(OnboardOutcome)>;
  struct Work;
  void look(const base::Digest32& hash, base::Deadline deadline, Done done) const;
  void examine(std::shared_ptr<Work> work, Done done) const;
  void wait_for_chain(std::move_only_function<void(Done)> task, Done done) const;

  OnboardingDeps deps_;
  attestation::Policy policy_;
};

}  // namespace attestry::provision
