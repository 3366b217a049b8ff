#include "governance/grant.h"

#include <algorithm>

#include "base/encoding.h"

namespace attestry::governance {

using base::Code;
using base::Error;
using base::Result;

Result<Grant> authorize(const attestation::Verified& verified, const appraisal::Fresh& fresh, const AppPolicy& app,
                        base::Realm realm, base::UtcTime now) {
  const AppState& state = app.state();
  const auto& statement = verified.statement();
  const auto& verdict = verified.verdict();
  if (statement.tenant != state.tenant || statement.app != state.app) {
    return Error{Code::denied, "the evidence was made for another app", state.tenant.text() + "/" + state.app.text(),
                 statement.tenant.text() + "/" + statement.app.text()};
  }
  if (statement.nonce != fresh.nonce() || statement.purpose != fresh.purpose()) {
    return Error{Code::denied, "the evidence was made for another challenge"};
  }
  if (verified.policy_sha256() != app.policy().sha256()) {
    return Error{Code::denied, "the evidence was appraised by another policy", base::hex(app.policy().sha256()),
                 base::hex(verified.policy_sha256())};
  }
  // ARCHITECTURE 3.6: forged evidence never reaches production keys, and the reverse keeps simulated stores simulated.
  const base::Realm evidence_realm = verdict.simulated ? base::Realm::simulated : base::Realm::production;
  if (evidence_realm != realm) {
    return Error{Code::realm_mismatch, "evidence of another realm", std::string{base::to_text(realm)},
                 std::string{base::to_text(evidence_realm)}};
  }
  if (!verdict.valid_until || *verdict.valid_until <= now) {
    return Error{Code::denied, "the attestation is no longer valid", "valid_until after " + base::to_rfc3339(now),
                 verdict.valid_until ? base::to_rfc3339(*verdict.valid_until) : "none"};
  }
  Grant grant{state, statement.purpose, realm};
  grant.policy_sha256_ = verified.policy_sha256();
  grant.expires_ = *verdict.valid_until;
  grant.binding_ = verified.binding();
  grant.recipient_ = statement.recipient;
  grant.spki_ = statement.csr_spki;
  return grant;
}

}  // namespace attestry::governance
