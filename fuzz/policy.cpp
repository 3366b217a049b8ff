// Policy documents: what parses, parses again from its own document to the same policy, and no policy accepts evidence
// that is not genuine.
#include <cstdint>
#include <cstdlib>

#include "attestation/policy.h"
#include "base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace at = attestry::attestation;
  const auto policy = at::Policy::parse(attestry::base::as_text({data, size}));
  if (!policy.ok()) {
    if (policy.error().text().empty()) std::abort();
    return 0;
  }
  const auto again = at::Policy::parse(policy->document());
  if (!again.ok() || again->sha256() != policy->sha256() || again->name() != policy->name()) std::abort();
  for (const auto& rule : policy->identities()) {
    if (rule.claims.empty()) std::abort();
  }
  at::Verdict verdict;
  verdict.evidence = at::Genuineness::not_genuine;
  verdict.platform = at::Platform::tdx;
  at::evaluate(*policy, verdict);
  if (verdict.outcome != at::Outcome::refused) std::abort();
  return 0;
}
