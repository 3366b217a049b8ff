#include "governance/facts_cache.h"

#include <algorithm>
#include <chrono>

#include "crypto/hash.h"

namespace attestry::governance {

namespace {

std::size_t size_of(const base::Result<ContractFacts>& facts) {
  if (!facts.ok()) return 0;
  std::size_t out = facts->ca.size() + facts->public_key.size() + facts->attestation.size();
  for (const auto* list : {&facts->domain_names, &facts->storage}) {
    for (const std::string& text : *list) out += text.size() + sizeof(std::string);
  }
  return out;
}

/// Strangers choose the addresses: the cache's hash must not be theirs.
base::Digest32 key_of(const ContractAddress& contract) { return crypto::sha256(contract); }

}  // namespace

FactsCache::Facts FactsCache::known(const ContractAddress& contract) {
  const auto kept = kept_.find(key_of(contract));
  return kept && clock_.steady() < kept->until ? kept->facts : nullptr;
}

FactsCache::Facts FactsCache::get(const ContractAddress& contract, base::Deadline deadline) {
  if (auto facts = known(contract)) return facts;
  const base::Deadline until = std::min(deadline, clock_.steady() + options_.patience);
  auto facts = std::make_shared<const base::Result<ContractFacts>>(authority_.facts(tenant_, contract, until));
  if (options_.seconds == 0 || size_of(*facts) > options_.max_bytes) return facts;
  auto kept = std::make_shared<Kept>();
  kept->facts = facts;
  kept->until = clock_.steady() + std::chrono::seconds(options_.seconds);
  kept_.put(key_of(contract), std::move(kept));
  return facts;
}

}  // namespace attestry::governance
