#include "governance/local_authority.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "curves/keccak.h"

namespace attestry::governance {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

std::string snapshot_of(const AppState& state) {
  return state.tenant.text() + "/" + state.app.text() + "#" + std::to_string(state.version) + "@" + state.prev;
}

/// The registers that a contract's identity of a TD is made of (docs/formats/registry.md, "Identities").
constexpr std::array<std::string_view, 3> kRegisters{"rtmr0", "rtmr1", "rtmr2"};
constexpr std::size_t kRegisterBytes = 48;
/// Identities that one document may stand for: each register may have several values.
constexpr std::size_t kMaxCombinations = 256;

const std::vector<std::string>* values_of(const attestation::IdentityRule& rule, std::string_view claim) {
  for (const auto& [name, values] : rule.claims) {
    if (name == claim) return &values;
  }
  return nullptr;
}

bool makes(const ContractQuestion& question, std::initializer_list<std::string_view> registers) {
  base::LpWriter packed;
  packed.raw(question.contract);
  for (const std::string_view hex : registers) {
    const auto value = base::hex_decode(hex);
    if (!value || value->size() != kRegisterBytes) return false;
    packed.raw(*value);
  }
  return curves::keccak256(packed.bytes()) == question.identity;
}

/// Whether an approved identity says MRTD, the registers of a contract's identity and nothing more, and these are they.
/// MRTD is there because no document without a measurement of code can be approved.
bool stands_for(const attestation::IdentityRule& rule, const ContractQuestion& question) {
  const auto* mrtd = values_of(rule, "mrtd");
  if (mrtd == nullptr || !question.mrtd || std::ranges::find(*mrtd, base::hex(*question.mrtd)) == mrtd->end()) {
    return false;
  }
  const auto* first = values_of(rule, kRegisters[0]);
  const auto* second = values_of(rule, kRegisters[1]);
  const auto* third = values_of(rule, kRegisters[2]);
  if (rule.claims.size() != 1 + kRegisters.size() || first == nullptr || second == nullptr || third == nullptr)
    return false;
  if (first->size() * second->size() * third->size() > kMaxCombinations) return false;
  for (const std::string& a : *first) {
    for (const std::string& b : *second) {
      for (const std::string& c : *third) {
        if (makes(question, {a, b, c})) return true;
      }
    }
  }
  return false;
}

/// Whether a policy looks at what a proxy's word does not have: the state of the platform, logs, certificates, times.
bool asks_for_evidence(const attestation::PolicyRules& rules) {
  static const attestation::PolicyRules kDefaults;
  const bool tcb = rules.accept_tcb != kDefaults.accept_tcb || rules.allow_advisories || rules.min_evaluation_number ||
                   rules.min_tcb_date || rules.minimum.stated();
  const bool switches = rules.require_sept_ve_disable || rules.require_committed_firmware ||
                        rules.require_secure_boot || rules.require_event_log;
  return tcb || switches || !rules.platforms.empty() || !rules.conditions.empty() || !rules.lists.empty() ||
         !rules.identities_from.empty() || rules.max_age_seconds || rules.max_staleness_seconds;
}

/// Of a proxy's word, which counts only where operators ask for identities and nothing more.
bool allows_identity(const attestation::Policy& policy, const ContractQuestion& question) {
  const auto& rules = policy.rules();
  if (asks_for_evidence(rules)) return false;
  return std::ranges::any_of(rules.identities, [&](const auto& rule) { return stands_for(rule, question); });
}

bool somebody_starts(const std::vector<Operator>& operators) {
  return std::ranges::any_of(operators, starts, &Operator::right);
}

/// All zero: nobody signed.
bool may_start(const std::vector<Operator>& operators, const curves::Address& address) {
  return address != curves::Address{} && std::ranges::any_of(operators, [&](const Operator& who) {
           return starts(who.right) && who.address == address;
         });
}

}  // namespace

/// As the contracts' modifier: only where the tenant has accounts that may start workloads is one asked for.
Result<bool> LocalAuthority::may_operate(const ContractQuestion& question, ContractAnswer& answer) const {
  TRY(const auto operators, registry_.operators(question.tenant));
  if (!somebody_starts(operators)) return true;
  answer.operator_address = question.operator_address;
  return may_start(operators, question.operator_address);
}

Result<ContractAnswer> LocalAuthority::ask(const ContractQuestion& question, base::Deadline) {
  const auto app = contract_app(chain_id(), question.contract);
  ContractAnswer answer;
  TRY(const bool authorized, may_operate(question, answer));
  auto policy = registry_.policy_of(question.tenant, app, clock_.now());
  if (!policy && policy.error().code != Code::denied) return std::move(policy).error();
  if (!authorized) {
    answer.reason = "Operator not authorized";
    return answer;
  }
  if (!policy) {
    answer.reason = policy.error().what;
    return answer;
  }
  const AppState& state = policy->state();
  answer.snapshot = snapshot_of(state);
  answer.version = state.version;
  answer.references = state.references;
  answer.epoch = state.epoch;
  answer.configuration = state.configuration;
  answer.storage = {std::string{kLocalStorage}};
  answer.identity = question.identity;
  answer.reason = "identity not allowed";
  if (question.verdict == nullptr) {
    answer.allowed = allows_identity(policy->policy(), question);
    return answer;
  }
  attestation::Verdict verdict = *question.verdict;
  attestation::evaluate(policy->policy(), verdict, {}, {.lists = policy->lists()});
  answer.allowed = verdict.outcome == attestation::Outcome::accepted;
  return answer;
}

Result<ContractFacts> LocalAuthority::facts(const base::Tenant& tenant, const ContractAddress& contract,
                                            base::Deadline) {
  TRY(const auto state, registry_.app(tenant, contract_app(chain_id(), contract)));
  ContractFacts out;
  out.snapshot = snapshot_of(state);
  out.storage = {std::string{kLocalStorage}};
  return out;
}

Status LocalAuthority::still_holds(state::WriteTxn& txn, const ContractApproval& approval) const {
  const ContractAnswer& answer = approval.answer();
  TRY_OK(Registry::require_version(txn, approval.tenant(), approval.app(), answer.version, answer.references));
  TRY(const auto operators, read_operators(txn, approval.tenant()));
  if (answer.operator_address ? may_start(operators, *answer.operator_address) : !somebody_starts(operators)) {
    return base::done();
  }
  return Error{Code::conflict, "the operators changed while this was decided", "an account that may start workloads",
               answer.operator_address ? "0x" + base::hex(*answer.operator_address) : "none",
               "Try again, with the signature of an operator of now."};
}

}  // namespace attestry::governance
