#include "governance/server_grant.h"

#include <utility>

namespace attestry::governance {

using base::Code;
using base::Error;
using base::Result;

Result<ServerGrant> ServerGrant::of(const attestation::VerifiedReport& report, base::Realm realm, base::UtcTime now) {
  const auto& verdict = report.verdict();
  const base::Realm from = verdict.simulated ? base::Realm::simulated : base::Realm::production;
  if (from != realm) {
    return Error{Code::realm_mismatch, "evidence of another realm", std::string{base::to_text(realm)},
                 std::string{base::to_text(from)}};
  }
  if (!verdict.valid_until || *verdict.valid_until <= now)
    return Error{Code::denied, "the attestation is no longer valid"};
  ServerGrant grant;
  grant.report_data_ = report.report_data();
  grant.policy_sha256_ = report.policy_sha256();
  return grant;
}

Result<ServerGrant> authorize_server(const attestation::VerifiedReport& report, const ServerApproval& approval,
                                     base::Realm realm, base::UtcTime now) {
  TRY(auto grant, ServerGrant::of(report, realm, now));
  grant.identity_ = approval.identity();
  grant.service_policy_ = approval.policy();
  grant.snapshot_ = approval.snapshot();
  grant.asked_ = approval.asked();
  return grant;
}

Result<ServerGrant> authorize_server(const attestation::VerifiedReport& report, const base::Digest32& identity,
                                     ContractApproval approval, base::Realm realm, base::UtcTime now) {
  TRY(auto grant, ServerGrant::of(report, realm, now));
  grant.identity_ = identity;
  grant.snapshot_ = approval.answer().snapshot;
  grant.approval_ = std::move(approval);
  return grant;
}

}  // namespace attestry::governance
