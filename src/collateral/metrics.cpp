#include "collateral/metrics.h"

#include <string>

namespace attestry::collateral {
namespace {

double difference(std::uint64_t now, std::uint64_t seen) { return static_cast<double>(now - seen); }

}  // namespace

VaultMetrics::VaultMetrics(net::Metrics& metrics, const attestation::Verifier& verifier, const Vault* vault)
    : metrics_(metrics), verifier_(verifier), vault_(vault) {
  update();
}

void VaultMetrics::update() {
  const base::MutexLock lock(mutex_);
  update_verifier(verifier_.stats());
  if (vault_ == nullptr) return;
  update_vault(vault_->stats());
  update_artefacts();
}

void VaultMetrics::update_verifier(const attestation::VerifierStats& now) {
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

void VaultMetrics::update_vault(const VaultStats& now) {
  const VaultStats seen = vault_seen_;  // a copy: the lambdas below hold no lock of their own
  const auto add = [&](const char* name, const char* help, std::uint64_t VaultStats::* field) {
    metrics_.counter(name, help).add(difference(now.*field, seen.*field));
  };
  add("attestry_collateral_hits_total", "Requests answered without waiting", &VaultStats::hits);
  add("attestry_collateral_waits_total", "Requests that waited for a fetch", &VaultStats::waits);
  add("attestry_collateral_timeouts_total", "Requests that left at their deadline", &VaultStats::timeouts);
  add("attestry_collateral_negative_hits_total", "Requests answered with a failure of before",
      &VaultStats::negative_hits);
  add("attestry_collateral_stale_answers_total", "Answers with something whose refresh failed or is late",
      &VaultStats::stale);
  add("attestry_collateral_fetches_total", "Fetches that were begun", &VaultStats::fetches);
  add("attestry_collateral_refreshes_total", "Fetches of something that was held", &VaultStats::refreshes);
  add("attestry_collateral_failures_total", "Fetches that gave nothing usable", &VaultStats::failures);
  add("attestry_collateral_missing_total", "Fetches of what the service does not know", &VaultStats::missing);
  add("attestry_collateral_older_total", "Fetches that gave something older than what is held", &VaultStats::older);
  add("attestry_collateral_throttled_total", "Fetches put off because the service asked for it",
      &VaultStats::throttled);
  add("attestry_collateral_store_hits_total", "Artefacts read back from the store", &VaultStats::store_hits);
  add("attestry_collateral_store_errors_total", "Reads and writes of the store that failed", &VaultStats::store_errors);
  add("attestry_collateral_collected_total", "VCEKs and documents that the store was told to forget",
      &VaultStats::collected);
  add("attestry_collateral_evicted_total", "Artefacts that others pushed out of memory", &VaultStats::evicted);
  add("attestry_collateral_displaced_total", "Fetches without waiters that gave way to others in a full queue",
      &VaultStats::displaced);
  add("attestry_collateral_strangers_total", "Quotes of no trusted root that nothing was fetched for",
      &VaultStats::strangers);
  const auto refused = [&](const char* from, std::uint64_t VaultStats::* field) {
    metrics_
        .counter("attestry_collateral_refused_total", "Artefacts that the verifier did not accept", {{"from", from}})
        .add(difference(now.*field, seen.*field));
  };
  refused("service", &VaultStats::refused);
  refused("store", &VaultStats::store_refused);
  const auto set = [&](const char* name, const char* help, double value) { metrics_.gauge(name, help).set(value); };
  set("attestry_collateral_artefacts", "Artefacts in memory, known or refused", static_cast<double>(now.artefacts));
  set("attestry_collateral_queued", "Fetches that wait for their turn", static_cast<double>(now.queued));
  set("attestry_collateral_in_flight", "Fetches under way", static_cast<double>(now.in_flight));
  set("attestry_collateral_waiting", "Requests that wait for a fetch", static_cast<double>(now.waiting));
  set("attestry_collateral_stale_artefacts", "Artefacts in use whose refresh failed or is late",
      static_cast<double>(now.stale_artefacts));
  set("attestry_collateral_oldest_stale_seconds", "Since the refresh of the oldest of these was due",
      static_cast<double>(now.oldest_stale_seconds));
  set("attestry_collateral_alarms", "Artefacts in use that run out soon and could not be renewed",
      static_cast<double>(now.alarms));
  set("attestry_collateral_soonest_end_seconds", "Until the first of these can be used no more; 0 without any",
      static_cast<double>(now.soonest_end_seconds.value_or(0)));
  vault_seen_ = now;
}

/// How old each thing is that changes. Certificates of chips do not, and there may be thousands.
void VaultMetrics::update_artefacts() {
  for (const Holding& held : vault_->in_memory()) {
    if (std::holds_alternative<attestation::VcekOf>(held.artefact)) continue;
    const net::Labels labels{{"artefact", to_text(held.artefact)}};
    const base::UtcTime now = vault_->now();
    metrics_.gauge("attestry_collateral_age_seconds", "Since it was fetched", labels)
        .set(static_cast<double>(now.seconds - held.fetched_at.seconds));
    metrics_.gauge("attestry_collateral_left_seconds", "Until it can be used no more, without a refresh", labels)
        .set(static_cast<double>(held.usable_until.seconds - now.seconds));
    metrics_
        .gauge("attestry_collateral_stale_seconds", "Since its refresh was due, when that failed or is late; else 0",
               labels)
        .set(static_cast<double>(held.stale_seconds.value_or(0)));
  }
}

}  // namespace attestry::collateral
