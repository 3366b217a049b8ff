#include "governance/server_grant.h"

#include <utility>

#include "governance/standing_evidence.h"

namespace attestry::governance {

using base::Result;

Result<ServerGrant> ServerGrant::of(const attestation::VerifiedReport& report, base::Realm realm, base::UtcTime now) {
  TRY_OK(standing(report.verdict(), realm, now));
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
