#include "attestation/binding.h"

#include <algorithm>

#include "attestation/root_cause.h"
#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::attestation {

using base::Code;

namespace {

void record(Verdict& verdict, CheckResult result) {
  std::erase_if(verdict.checks, [&](const CheckResult& r) { return r.check == result.check; });
  const auto place = std::ranges::upper_bound(verdict.checks, result.check, {}, &CheckResult::check);
  verdict.checks.insert(place, std::move(result));
}

/// FORMATS 3: a Nitro document carries the nonce beside B, and no public key but the CSR's. Which of them is foreign,
/// or empty.
std::string_view foreign_part(const Verdict& verdict, const BindingStatement& statement) {
  if (verdict.platform != Platform::nitro) return {};
  const Claim* nonce = verdict.claim("nonce");
  if (nonce == nullptr || nonce->value != base::hex(statement.nonce)) return "nonce";
  const Claim* key = verdict.claim("public_key");
  if (key != nullptr && key->value != base::hex(statement.csr_spki)) return "public_key";
  return {};
}

/// True when the report data is B. FORMATS 3: TDX and SGX carry all 64 bytes of it, Nitro as user_data.
bool record_binding(Verdict& verdict, base::ByteView binding, const BindingStatement& statement) {
  // A Nitro document may have no user data: it was made for no request then.
  if (verdict.report_data.empty() && verdict.platform != Platform::nitro) {
    record(verdict, {.check = CheckId::binding_report_data,
                     .status = CheckStatus::skipped,
                     .detail = "the evidence could not be read"});
    return false;
  }
  const std::string_view foreign = foreign_part(verdict, statement);
  const bool equal = base::equal(verdict.report_data, binding) && foreign.empty();
  record(verdict, {.check = CheckId::binding_report_data,
                   .status = equal ? CheckStatus::pass : CheckStatus::fail,
                   .expected = base::hex(binding),
                   .actual = base::hex(verdict.report_data),
                   .detail = foreign.empty() ? "" : std::string{foreign} + " is of something else"});
  return equal;
}

}  // namespace

base::Bytes BindingStatement::transcript() const {
  const auto purpose_byte = static_cast<std::uint8_t>(purpose);
  base::LpWriter t;
  t.lp("attestry/report-data/1").lp(base::ByteView{&purpose_byte, 1}).lp(audience).lp(nonce);
  t.lp(tenant.text()).lp(app.bytes()).lp(csr_spki).lp(recipient).lp(subordinate_sha256);
  return std::move(t).take();
}

base::FixedBytes<64> BindingStatement::binding() const { return crypto::sha512(transcript()); }

base::Result<Bound> bind(Verdict& verdict, BindingStatement statement) {
  const base::FixedBytes<64> binding = statement.binding();
  const bool bound = record_binding(verdict, binding, statement);
  const bool readable = !verdict.report_data.empty() || verdict.platform == Platform::nitro;
  if (verdict.evidence == Genuineness::not_genuine || (readable && !bound)) {
    verdict.outcome = Outcome::refused;
    return from_root_cause(Code::evidence_false,
                           verdict.evidence == Genuineness::not_genuine ? "the evidence is not genuine"
                                                                        : "the evidence was not made for this request",
                           verdict);
  }
  if (verdict.evidence != Genuineness::genuine || !bound) {
    verdict.outcome = Outcome::undecided;
    return from_root_cause(Code::collateral_missing, "it cannot be decided whether the evidence is genuine", verdict);
  }
  return Bound(verdict, std::move(statement), binding);
}

base::Result<Verified> appraise(const Policy& policy, Bound bound, Verdict& out, const References& references) {
  out = bound.verdict();
  evaluate(policy, out, {}, references);
  if (out.outcome != Outcome::accepted) {
    return from_root_cause(Code::denied, "policy \"" + policy.name() + "\" refuses the evidence", out);
  }
  return Verified(std::move(bound), out, policy.sha256());
}

}  // namespace attestry::attestation
