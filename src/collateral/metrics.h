// The counters of the cache of collateral and of the verifier's caches, as metrics.
#pragma once
#include <string_view>

#include "attestation/verifier.h"
#include "base/mutex.h"
#include "collateral/cached_source.h"
#include "net/metrics.h"

namespace attestry::collateral {

/// The names are listed in docs/reference/metrics.md. Thread-safe. Everything that the constructor takes must outlive
/// it.
class CacheMetrics {
 public:
  /// `source` may be null, for a server that has no service to ask: then the verifier alone.
  CacheMetrics(net::Metrics& metrics, const attestation::Verifier& verifier, const CachedSource* source);

  /// Brings the metrics up to now; call it before they are read.
  void update();

 private:
  void update_verifier(const attestation::VerifierStats& now) ATTESTRY_REQUIRES(mutex_);
  void update_source(const CacheStats& now) ATTESTRY_REQUIRES(mutex_);

  net::Metrics& metrics_;
  const attestation::Verifier& verifier_;
  const CachedSource* source_;
  base::Mutex mutex_;
  /// What was added to the metrics already: these count up only.
  attestation::VerifierStats verifier_seen_ ATTESTRY_GUARDED_BY(mutex_);
  CacheStats source_seen_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::collateral
