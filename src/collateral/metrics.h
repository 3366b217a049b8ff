// The counters of the vault and of the verifier's caches, as metrics.
#pragma once
#include <string_view>

#include "attestation/verifier.h"
#include "base/mutex.h"
#include "collateral/vault.h"
#include "net/metrics.h"

namespace attestry::collateral {

/// The names are listed in docs/reference/metrics.md. Thread-safe. Everything that the constructor takes must outlive
/// it.
class VaultMetrics {
 public:
  /// `vault` may be null: then the verifier alone.
  VaultMetrics(net::Metrics& metrics, const attestation::Verifier& verifier, const Vault* vault);

  /// Brings the metrics up to now; call it before they are read.
  void update();

 private:
  void update_verifier(const attestation::VerifierStats& now) ATTESTRY_REQUIRES(mutex_);
  void update_artefacts();
  void update_vault(const VaultStats& now) ATTESTRY_REQUIRES(mutex_);

  net::Metrics& metrics_;
  const attestation::Verifier& verifier_;
  const Vault* vault_;
  base::Mutex mutex_;
  /// What was added to the metrics already: these count up only.
  attestation::VerifierStats verifier_seen_ ATTESTRY_GUARDED_BY(mutex_);
  VaultStats vault_seen_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::collateral
