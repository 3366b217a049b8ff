#include "governance/local_authority.h"

namespace attestry::governance {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

std::string snapshot_of(const AppState& state) {
  return state.tenant.text() + "/" + state.app.text() + "#" + std::to_string(state.version) + "@" + state.prev;
}

}  // namespace

Result<ContractAnswer> LocalAuthority::ask(const ContractQuestion& question, base::Deadline) {
  const auto app = contract_app(chain_id(), question.contract);
  auto policy = registry_.policy_of(question.tenant, app, clock_.now());
  if (!policy && policy.error().code != Code::denied) return std::move(policy).error();
  ContractAnswer answer;
  if (!policy) {
    answer.reason = policy.error().what;
    return answer;
  }
  const AppState& state = policy->state();
  answer.snapshot = snapshot_of(state);
  answer.version = state.version;
  answer.epoch = state.epoch;
  answer.configuration = state.configuration;
  answer.storage = {"local://"};
  answer.identity = question.identity;
  if (question.verdict == nullptr) {
    answer.reason = "approvals say more than an identity does: they need evidence, and a proxy's word is none";
    return answer;
  }
  attestation::Verdict verdict = *question.verdict;
  attestation::evaluate(policy->policy(), verdict, {}, {.lists = policy->lists()});
  answer.allowed = verdict.outcome == attestation::Outcome::accepted;
  if (!answer.allowed) answer.reason = "identity not allowed";
  return answer;
}

Result<ContractFacts> LocalAuthority::facts(const base::Tenant& tenant, const ContractAddress& contract,
                                            base::Deadline) {
  TRY(const auto state, registry_.app(tenant, contract_app(chain_id(), contract)));
  ContractFacts out;
  out.snapshot = snapshot_of(state);
  return out;
}

Status LocalAuthority::still_holds(state::WriteTxn& txn, const ContractApproval& approval) const {
  return Registry::require_version(txn, approval.tenant(), approval.app(), approval.answer().version);
}

}  // namespace attestry::governance
