// What anybody may know of an app, kept for some seconds, refusals and outages too: strangers choose the contracts that
// they ask about, and each question costs this server a round with its chain.
#pragma once
#include <cstdint>
#include <memory>

#include "attestation/lru_cache.h"
#include "governance/contract_authority.h"

namespace attestry::governance {

struct FactsCacheOptions {
  std::int64_t seconds = 5;                  ///< 0: asked each time
  std::size_t max_kept = 1024;               ///< apps
  std::size_t max_bytes = 64u << 10;         ///< of one app; what is larger is not kept
  std::chrono::milliseconds patience{2000};  ///< that a stranger's question may take in all
};

/// Thread-safe; the authority and the clock outlive it. For one tenant.
class FactsCache {
 public:
  FactsCache(ContractAuthority& authority, base::Tenant tenant, const base::Clock& clock,
             FactsCacheOptions options = {})
      : authority_(authority), tenant_(std::move(tenant)), clock_(clock), options_(options), kept_(options.max_kept) {}

  using Facts = std::shared_ptr<const base::Result<ContractFacts>>;
  /// What is kept; null when nothing is.
  Facts known(const ContractAddress& contract);
  /// What is kept, or what the authority says now (ContractAuthority::facts). Never null.
  Facts get(const ContractAddress& contract, base::Deadline deadline);

 private:
  struct Kept {
    Facts facts;
    base::Deadline until{};
  };

  ContractAuthority& authority_;
  const base::Tenant tenant_;
  const base::Clock& clock_;
  const FactsCacheOptions options_;
  attestation::LruCache<Kept> kept_;
};

}  // namespace attestry::governance
