#include "cluster/approved_end.h"

#include <string>
#include <utility>

namespace attestry::cluster {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::chrono::seconds kLookAgain{1};

Result<attestation::VerifiedReport> judge_by(const governance::AppPolicy& app, attestation::Verdict verdict,
                                             const base::FixedBytes<64>& report_data) {
  return attestation::appraise_report_data(app.policy(), verdict, report_data, {.lists = app.lists()});
}

}  // namespace

Result<governance::AppPolicy> software_policy(const governance::Registry& registry, const base::Tenant& tenant,
                                              const base::AppRef& app, base::UtcTime now) {
  auto found = registry.policy_of(tenant, app, now);
  if (!found && found.error().code == Code::not_found) {
    return Error{Code::not_found, "nobody has approved which software " + app.text() + " is",
                 "approvals for that app in the log of whoever says this", "none",
                 "There: attestry app create " + app.text() +
                     ", approve policy, approve identity. Nodes and servers do "
                     "not take each other's approvals."};
  }
  TRY(auto policy, std::move(found), "app " + app.text());
  if (policy.policy().rules().require_identity) return policy;
  return Error{Code::denied, "the approvals for " + app.text() + " do not say which software it is",
               "an approved identity", "none", "attestry approve identity " + app.text() + " FILE"};
}

Result<channel::End> approved_end(ApprovedEndParts parts) {
  TRY([[maybe_unused]] const auto approved,
      software_policy(parts.registry, parts.tenant, parts.nodes, parts.clock.now()));
  channel::End out;
  out.audience = "node:" + parts.nodes.text();
  out.realm = parts.registry.realm();
  out.clock = &parts.clock;
  out.random = &parts.random;
  out.attest = [&attester = parts.attester](const base::FixedBytes<64>& data) { return attester.attest(data); };
  out.verify = [parts = std::move(parts)](const attestation::Evidence& evidence,
                                          const base::FixedBytes<64>& report_data,
                                          base::Deadline deadline) -> Result<attestation::VerifiedReport> {
    const auto now = parts.clock.now();
    TRY(const auto verdict, parts.appraiser.verify(evidence, now, now, deadline));
    const auto judge = [&](const base::AppRef& app) -> Result<attestation::VerifiedReport> {
      TRY(const auto policy, software_policy(parts.registry, parts.tenant, app, now));
      return judge_by(policy, verdict, report_data);
    };
    auto node = judge(parts.nodes);
    if (node || !parts.servers || node.error().code != Code::denied) return node;
    return judge(*parts.servers);
  };
  return out;
}

ApprovedPeer::ApprovedPeer(Parts parts, attestation::VerifiedReport shown, const governance::AppPolicy& app,
                           attestation::VerifiedReport report)
    : parts_(std::move(parts)),
      shown_(std::move(shown)),
      report_(std::move(report)),
      version_(app.state().version),
      references_(app.state().references),
      looked_(parts_.clock.steady()) {}

Result<ApprovedPeer> ApprovedPeer::judge(Parts parts, const channel::Session& session) {
  TRY(const auto app, software_policy(parts.registry, parts.tenant, parts.app, parts.clock.now()));
  TRY(auto report, judge_by(app, session.peer().verdict(), session.peer().report_data()));
  return ApprovedPeer{std::move(parts), session.peer(), app, std::move(report)};
}

Status ApprovedPeer::in_time() const {
  const auto& until = report_.verdict().valid_until;
  if (until && parts_.clock.now() < *until) return base::done();
  return Error{Code::unavailable, "the attestation is no longer valid: show it anew"};
}

/// The approvals, if they are others than those of the last time.
Result<std::optional<governance::AppPolicy>> ApprovedPeer::changed() {
  TRY(auto app, software_policy(parts_.registry, parts_.tenant, parts_.app, parts_.clock.now()));
  const auto& now = app.state();
  const bool same =
      now.version == version_ && now.references == references_ && app.policy().sha256() == report_.policy_sha256();
  return same ? std::optional<governance::AppPolicy>{} : std::optional{std::move(app)};
}

Status ApprovedPeer::unchanged() {
  if (parts_.clock.steady() < looked_ + kLookAgain) return base::done();
  TRY(const auto other, changed());
  if (other) return Error{Code::unavailable, "the approvals have changed: show your evidence anew"};
  TRY_OK(in_time());
  looked_ = parts_.clock.steady();
  return base::done();
}

Status ApprovedPeer::still_approved() {
  if (parts_.clock.steady() < looked_ + kLookAgain) return base::done();
  TRY(const auto other, changed());
  if (other) {
    TRY(report_, judge_by(*other, shown_.verdict(), shown_.report_data()));
    version_ = other->state().version;
    references_ = other->state().references;
  }
  TRY_OK(in_time());
  looked_ = parts_.clock.steady();
  return base::done();
}

}  // namespace attestry::cluster
