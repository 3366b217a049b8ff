#include "governance/grant.h"

#include "base/encoding.h"
#include "governance/standing_evidence.h"

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
  TRY(const auto until, standing(verdict, realm, now));
  Grant grant{state, statement.purpose, realm};
  grant.policy_sha256_ = verified.policy_sha256();
  grant.expires_ = until;
  grant.binding_ = verified.binding();
  grant.recipient_ = statement.recipient;
  grant.spki_ = statement.csr_spki;
  return grant;
}

Result<Grant> authorize(const MeasuredKey& key, const ContractApproval& approval, base::Realm realm,
                        base::UtcTime now) {
  TRY_OK(require_realm(key.realm(), realm));
  TRY(const auto until, still_valid(key.until(), now));
  const ContractAnswer& answer = approval.answer();
  AppState state{.tenant = approval.tenant(),
                 .app = approval.app(),
                 .version = answer.version,
                 .prev = answer.snapshot,
                 .epoch = answer.epoch,
                 .oldest_epoch = answer.epoch,
                 .policy = answer.policy,
                 .identities = {answer.identity},
                 .configuration = answer.configuration,
                 .secrets = {}};
  Grant grant{std::move(state), base::Purpose::instance_release, realm};
  grant.policy_sha256_ = key.policy_sha256();
  grant.expires_ = until;
  if (key.verdict() != nullptr) grant.binding_ = attestation::key_report_data(key.spki());
  grant.spki_ = key.spki();
  return grant;
}

}  // namespace attestry::governance
