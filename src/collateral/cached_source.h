// Collateral from a PCS or PCCS through two caches, memory and the store, with one fetch for many waiters.
#pragma once
#include <cstdint>
#include <memory>

#include "attestation/verifier.h"
#include "base/time.h"
#include "collateral/pcs.h"
#include "collateral/source.h"
#include "state/store.h"

namespace attestry::collateral {

struct CacheOptions {
  std::size_t max_sets = 256;        ///< kept in memory: platforms (FMSPC, CA, SGX or TDX), known or refused
  std::size_t max_parallel = 8;      ///< fetches of different sets; more are `unavailable`. PCK certificates are not
                                     ///< verified yet when they say what to fetch, so anybody may ask for anything
  std::int64_t min_refresh = 600;    ///< seconds between two refreshes that succeed
  std::int64_t failure_seconds = 5;  ///< for which a failed fetch is not tried again
  std::int64_t fetch_seconds = 15;   ///< the longest a fetch may take, however late the caller's deadline is
  std::int64_t refresh_seconds = 3;  ///< the same while a usable copy is at hand
  const base::Clock* clock = &base::system_clock();  ///< steady time for failures and deadlines
};

/// Counters since the start, for metrics.
struct CacheStats {
  std::uint64_t hits = 0;        ///< answered from memory without waiting
  std::uint64_t store_hits = 0;  ///< sets read back from the store
  std::uint64_t waits = 0;       ///< callers that waited for another's fetch
  std::uint64_t fetches = 0;     ///< begun
  std::uint64_t failures = 0;    ///< fetches that gave nothing usable
  std::uint64_t refused = 0;     ///< of these: what came was not accepted by the verifier
  std::uint64_t store_refused =
      0;                           ///< sets of the store that were not accepted, because they ran out or of other roots
  std::uint64_t stale = 0;         ///< answers with an older copy after a failed refresh
  std::uint64_t store_errors = 0;  ///< reads and writes of the store that failed, or values that were no set
  std::uint64_t evicted = 0;
  std::size_t sets = 0;                   ///< in memory now
  std::size_t stale_sets = 0;             ///< of these: in use although their refresh failed
  std::int64_t oldest_stale_seconds = 0;  ///< since the refresh of one of these was due, the longest; 0: none
};

/// Only what `verifier` accepts (Verifier::accept_collateral) is kept, stored and given out, whether it comes from the
/// service or from the store: anything else is `unavailable`, naming service, document and check, and an accepted copy
/// at hand stays in use. So a service that lies, or a store of other trust anchors, takes nothing away.
/// A set (one FMSPC, CA and TEE) is valid until the earliest end of its documents and their chains, and due for a
/// refresh when half of the validity that it had when it was fetched has passed. The caller that finds it due fetches;
/// the others get the copy at hand. When that fetch fails, the copy is used until its end, and
/// Collateral::stale_seconds says how long ago the refresh was due; nothing is ever used past its end. Without a usable
/// copy all callers wait for one fetch, each until its own deadline. The same set is the same object, so caches by
/// digest hit. Keys of the store: Space::collateral ‖ LP("") ‖ u8 1 ‖ u8 tdx ‖ fmspc ‖ u8 platform CA. Thread-safe.
/// Everything that the constructor takes must outlive it.
class CachedSource final : public CollateralSource {
 public:
  /// `store` may be null: then memory alone.
  CachedSource(const PcsClient& client, const attestation::Verifier& verifier, state::Store* store,
               CacheOptions options = {});
  ~CachedSource() override;
  CachedSource(const CachedSource&) = delete;
  CachedSource& operator=(const CachedSource&) = delete;

  /// Evidence that is no DCAP quote, or a quote without PCK chain, gives Collateral::none().
  base::Result<std::shared_ptr<const attestation::Collateral>> collateral_for(const attestation::Evidence& evidence,
                                                                              base::UtcTime now,
                                                                              base::Deadline deadline) override;
  CacheStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace attestry::collateral
