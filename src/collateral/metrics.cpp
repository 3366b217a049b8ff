#include "collateral/metrics.h"

#include <string>

namespace attestry::collateral {
namespace {

double difference(std::uint64_t now, std::uint64_t seen) { return static_cast<double>(now - seen); }

}  // namespace

CacheMetrics::CacheMetrics(net::Metrics& metrics, const attestation::Verifier& verifier, const CachedSource* source)
    : metrics_(metrics), verifier_(verifier), source_(source) {
  update();
}

void CacheMetrics::update() {
  const base::MutexLock lock(mutex_);
  update_verifier(verifier_.stats());
  if (source_ != nullptr) update_source(source_->stats());
}

void CacheMetrics::update_verifier(const attestation::VerifierStats& now) {
  const auto add = [&](const char* cache, const attestation::CacheCount& count, const attestation::CacheCount& seen) {
    const net::Labels labels{{"cache", cache}};
    metrics_.counter("attestry_verifier_cache_hits_total", "Signed things that were known to be good", labels)
        .add(difference(count.hits, seen.hits));
    metrics_.counter("attestry_verifier_cache_misses_total", "Signed things that had to be verified", labels)
        .add(difference(count.misses, seen.misses));
    metrics_.gauge("attestry_verifier_cache_entries", "Signed things in the cache", labels)
        .set(static_cast<double>(count.entries));
  };
  add("platform", now.platforms, verifier_seen_.platforms);
  add("collateral", now.collateral, verifier_seen_.collateral);
  verifier_seen_ = now;
}

void CacheMetrics::update_source(const CacheStats& now) {
  const CacheStats seen = source_seen_;  // a copy: the lambdas below hold no lock of their own
  const auto add = [&](const char* name, const char* help, std::uint64_t CacheStats::* field) {
    metrics_.counter(name, help).add(difference(now.*field, seen.*field));
  };
  add("attestry_collateral_hits_total", "Answers from memory without waiting", &CacheStats::hits);
  add("attestry_collateral_store_hits_total", "Sets read back from the store", &CacheStats::store_hits);
  add("attestry_collateral_waits_total", "Callers that waited for the fetch of another", &CacheStats::waits);
  add("attestry_collateral_fetches_total", "Fetches that were begun", &CacheStats::fetches);
  add("attestry_collateral_failures_total", "Fetches that gave nothing usable", &CacheStats::failures);
  add("attestry_collateral_stale_answers_total", "Answers with an older copy after a failed refresh",
      &CacheStats::stale);
  add("attestry_collateral_store_errors_total", "Reads and writes of the store that failed", &CacheStats::store_errors);
  add("attestry_collateral_evicted_total", "Sets that others pushed out", &CacheStats::evicted);
  const auto refused = [&](const char* from, std::uint64_t CacheStats::* field) {
    metrics_.counter("attestry_collateral_refused_total", "Sets that the verifier did not accept", {{"from", from}})
        .add(difference(now.*field, seen.*field));
  };
  refused("service", &CacheStats::refused);
  refused("store", &CacheStats::store_refused);
  const auto set = [&](const char* name, const char* help, double value) { metrics_.gauge(name, help).set(value); };
  set("attestry_collateral_sets", "Platforms in memory, known or refused", static_cast<double>(now.sets));
  set("attestry_collateral_stale_sets", "Sets in use although their refresh failed",
      static_cast<double>(now.stale_sets));
  set("attestry_collateral_oldest_stale_seconds", "Since the refresh of the oldest stale set was due",
      static_cast<double>(now.oldest_stale_seconds));
  source_seen_ = now;
}

}  // namespace attestry::collateral
