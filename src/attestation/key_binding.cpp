#include "attestation/key_binding.h"

#include <algorithm>

#include "attestation/root_cause.h"
#include "crypto/hash.h"

namespace attestry::attestation {

using base::Code;
using base::Result;

namespace {

bool failed(const Verdict& verdict, CheckId check) {
  const auto found = std::ranges::find(verdict.checks, check, &CheckResult::check);
  return found != verdict.checks.end() && found->status == CheckStatus::fail;
}

}  // namespace

base::FixedBytes<64> key_report_data(base::ByteView spki) {
  base::FixedBytes<64> out{};
  std::ranges::copy(crypto::sha256(spki), out.begin());
  return out;
}

Result<VerifiedReport> appraise_report_data(const Policy& policy, Verdict& verdict,
                                            const base::FixedBytes<64>& expected, const References& references) {
  evaluate(policy, verdict, expected, references);
  if (verdict.evidence == Genuineness::not_genuine) {
    return from_root_cause(Code::evidence_false, "the evidence is not genuine", verdict);
  }
  if (verdict.outcome == Outcome::undecided) {
    return from_root_cause(Code::collateral_missing, "it cannot be decided whether the evidence is genuine", verdict);
  }
  if (failed(verdict, CheckId::policy_report_data)) {
    return from_root_cause(Code::evidence_false, "the evidence was made for something else", verdict);
  }
  if (verdict.outcome != Outcome::accepted) {
    return from_root_cause(Code::denied, "policy \"" + policy.name() + "\" refuses the evidence", verdict);
  }
  return VerifiedReport(verdict, expected, policy.sha256());
}

Result<VerifiedKey> appraise_key(const Policy& policy, Verdict& verdict, base::ByteView spki,
                                 const References& references) {
  TRY(auto report, appraise_report_data(policy, verdict, key_report_data(spki), references));
  return VerifiedKey(report.verdict(), base::to_bytes(spki), report.policy_sha256());
}

}  // namespace attestry::attestation
