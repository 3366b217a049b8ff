// Policy documents: what parses, parses again from its own document to the same policy, no policy accepts evidence that
// is not genuine, and the linter finds a mistake wherever the parser does.
#include <cstdint>
#include <cstdlib>

#include "attestation/policy.h"
#include "attestation/policy_lint.h"
#include "base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace at = attestry::attestation;
  const auto policy = at::Policy::parse(attestry::base::as_text({data, size}));
  const auto findings = at::lint_policy(attestry::base::as_text({data, size}), attestry::base::UtcTime{1'790'000'000});
  if (!policy.ok()) {
    if (policy.error().text().empty() || at::is_sound(findings)) std::abort();
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
