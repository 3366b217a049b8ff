#include "governance/kms_contract.h"

#include <algorithm>

#include "base/encoding.h"
#include "curves/address.h"
#include "governance/standing_evidence.h"

namespace attestry::governance {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using chain::CallOutcome;
namespace abi = chain::registry;

namespace {

constexpr std::size_t kMaxPublishedKey = 1024;

bool is_zero(const chain::Word& word) {
  return std::ranges::all_of(word, [](std::uint8_t byte) { return byte == 0; });
}

Error no_contract(const ContractAddress& contract, std::uint64_t chain_id, std::string found) {
  return {Code::configuration, "no key service's contract at 0x" + base::hex(contract),
          "a Kms contract on chain " + std::to_string(chain_id), std::move(found),
          "Look at registry.kms_contract, and whether registry.rpc reads the right chain."};
}

/// A contract of another kind: a revert without a word. Where endpoints word one differently, it has no data either.
bool no_such_function(const CallOutcome& outcome) {
  return outcome.reverted && outcome.data.empty() && outcome.reason.empty();
}

/// Whether there is such a request; nothing when the contract does not say.
std::optional<bool> is_there(const CallOutcome& outcome) {
  const auto said = abi::kFetchOnboardRequest.result(outcome);
  return said ? std::optional{!is_zero(said->nonce)} : std::nullopt;
}

bool is_allowed(const CallOutcome& outcome) {
  if (outcome.reverted) return false;
  const auto said = abi::kIdentityAllowed.decode(outcome.data);
  return said.ok() && *said;
}

/// The answer to IdentityAllowed(identity, operator).
Status require_allowed(const CallOutcome& outcome, const base::Digest32& identity,
                       const ContractAddress& operator_address) {
  Error refused{Code::denied,
                "identity " + base::hex(identity) + " for operator " + base::hex(operator_address) + " unauthorized",
                {},
                outcome.reverted ? outcome.reason : std::string{}};
  if (outcome.reverted) return refused;
  TRY(const bool allowed, abi::kIdentityAllowed.decode(outcome.data));
  if (!allowed) return refused;
  return base::done();
}

Result<OnboardRequest> request_in(const CallOutcome& outcome, const base::Digest32& hash) {
  TRY(auto request, abi::kFetchOnboardRequest.result(outcome));
  // The contract answers with an empty request where there is none.
  if (is_zero(request.nonce)) {
    return Error{Code::not_found,
                 "onchain onboard request " + base::hex(hash) + " not found",
                 "a request of that hash",
                 {},
                 "Send it first: requestOnboard, by an operator of the contract."};
  }
  return request;
}

}  // namespace

Result<std::optional<base::Digest32>> policy_in_force(const CallOutcome& outcome) {
  if (outcome.reverted || outcome.data.empty()) return std::optional<base::Digest32>{};
  TRY(const chain::Word digest, abi::kPolicy.decode(outcome.data));
  return is_zero(digest) ? std::optional<base::Digest32>{} : std::optional{digest};
}

void ask_served_app(std::vector<chain::Call>& calls, const ContractAddress& service, const ContractAddress& app) {
  calls.push_back(abi::kApplicationAllowed.at(service, app));
  calls.push_back(abi::kApplicationPolicy.at(service, app));
}

Result<ServedApp> served_app(std::span<const CallOutcome> outcomes, const ContractAddress& service,
                             std::uint64_t chain_id) {
  const CallOutcome& allowed = outcomes[0];
  if (no_such_function(allowed)) return no_contract(service, chain_id, "one without ApplicationAllowed()");
  if (!allowed.reverted && allowed.data.empty()) return no_contract(service, chain_id, "no code");
  ServedApp out{.reason = "application not allowed"};
  if (allowed.reverted) {
    out.reason += ": " + allowed.reason;
    return out;
  }
  TRY(out.allowed, abi::kApplicationAllowed.decode(allowed.data));
  TRY(out.policy, policy_in_force(outcomes[1]));
  return out;
}

Result<std::vector<CallOutcome>> KmsContract::read(chain::ChainReader& reader, std::span<const chain::Call> calls,
                                                   chain::BlockRef& block, base::Deadline deadline) const {
  TRY(block, reader.head(deadline));
  TRY(auto outcomes, reader.call(block, calls, deadline));
  if (no_such_function(outcomes.front())) return no_contract(contract_, chain_id_, "a contract of another kind");
  if (outcomes.front().reverted || !outcomes.front().data.empty()) return outcomes;
  return no_contract(contract_, chain_id_, "no code");
}

Status KmsContract::still_holds(const AskedAt& asked) const { return answer_counts(asked, reader_, clock_.steady()); }

Status KmsContract::proved(const ServerProofQuestion& question, const Said& said, const chain::BlockRef& block,
                           base::Deadline deadline) const {
  if (proofs_ == nullptr) return base::done();
  TRY(const auto facts, proofs_->server(block, question, deadline));
  if (facts.allowed != said.allowed)
    return disproved(contract_, block, facts.allowed ? "the server is allowed" : "the server is not allowed");
  if (facts.policy != said.policy.value_or(base::Digest32{}))
    return disproved(contract_, block, "policy " + base::hex(facts.policy));
  // What is frozen answers no questions about requests; anything else does.
  const bool silent = question.request != base::Digest32{} && !said.requested && !facts.frozen;
  if (silent || said.requested.value_or(facts.requested) != facts.requested)
    return disproved(contract_, block, facts.requested ? "the onboard request" : "no such onboard request");
  return base::done();
}

Status KmsContract::application_allowed(const ContractAddress& app, base::Deadline deadline) {
  std::vector<chain::Call> calls;
  ask_served_app(calls, contract_, app);
  chain::BlockRef block;
  TRY(const auto outcomes, read(strangers_, calls, block, deadline));
  TRY(auto served, served_app(outcomes, contract_, chain_id_));
  if (served.allowed) return base::done();
  return Error{Code::denied, std::move(served.reason), "an application that the key service's contract lists",
               "0x" + base::hex(app), "Let the contract's owner send AllowApplication."};
}

Result<bool> KmsContract::is_operator(const ContractAddress& account, base::Deadline deadline) {
  const std::vector<chain::Call> calls{abi::kHasRole.at(contract_, abi::role("ROLE_OPERATOR"), account)};
  chain::BlockRef block;
  TRY(const auto outcomes, read(reader_, calls, block, deadline));
  const CallOutcome& said = outcomes.front();
  bool has_role = false;
  if (!said.reverted) {
    TRY(has_role, abi::kHasRole.decode(said.data));
  }
  if (proofs_ == nullptr) return has_role;
  const ServerProofQuestion question{.contract = contract_, .operator_address = account, .identity = {}, .request = {}};
  TRY(const auto facts, proofs_->server(block, question, deadline));
  if (facts.is_operator == has_role) return has_role;
  return disproved(contract_, block, has_role ? "the account has no right" : "the account has the operator's role");
}

Result<std::optional<base::Bytes>> KmsContract::published_key(base::Deadline deadline) {
  const std::vector<chain::Call> calls{abi::kPki.at(contract_)};
  chain::BlockRef block;
  TRY(const auto outcomes, read(reader_, calls, block, deadline));
  TRY(auto pki, abi::kPki.result(outcomes.front()));
  if (proofs_ != nullptr) {
    // Each 32 bytes are a slot to prove; a public key has a few hundred.
    if (pki.pubkey.size() > kMaxPublishedKey)
      return Error{Code::too_large, "the published key is too long to be proved"};
    TRY(const bool published, proofs_->publishes(block, contract_, pki.pubkey, deadline));
    if (!published) return disproved(contract_, block, "another published key");
  }
  if (pki.pubkey.empty()) return std::optional<base::Bytes>{};
  return std::optional{std::move(pki.pubkey)};
}

Result<base::Bytes> KmsContract::known_key(base::Deadline deadline) {
  TRY(auto published, published_key(deadline));
  if (published) return *std::move(published);
  return Error{Code::conflict,
               "the key service's contract publishes no key, so its master cannot be known",
               "PKI() of " + curves::address_checksum_text(contract_),
               {},
               "Let its owner send it, from a server that has the master: attestry registry publish-pki."};
}

Result<std::optional<base::Digest32>> KmsContract::policy(base::Deadline deadline) {
  // PKI() first: a contract of before policy() reverts there without a word, as one of another kind does.
  const std::vector<chain::Call> calls{abi::kPki.at(contract_), abi::kPolicy.at(contract_)};
  chain::BlockRef block;
  TRY(const auto outcomes, read(reader_, calls, block, deadline));
  TRY(auto policy, policy_in_force(outcomes[1]));
  if (proofs_ == nullptr) return policy;
  const ServerProofQuestion question{.contract = contract_, .operator_address = {}, .identity = {}, .request = {}};
  TRY(const auto facts, proofs_->server(block, question, deadline));
  if (facts.policy == policy.value_or(base::Digest32{})) return policy;
  return disproved(contract_, block, "policy " + base::hex(facts.policy));
}

Result<OnboardRequest> KmsContract::request(const base::Digest32& hash, base::Deadline deadline) {
  const std::vector<chain::Call> calls{abi::kFetchOnboardRequest.at(contract_, hash)};
  chain::BlockRef block;
  TRY(const auto outcomes, read(strangers_, calls, block, deadline));
  return request_in(outcomes.front(), hash);
}

Result<OnboardApproval> KmsContract::onboarding(const base::Digest32& hash, const OnboardRequest& known,
                                                const base::Digest32& identity, base::Deadline deadline) {
  const std::vector<chain::Call> calls{abi::kFetchOnboardRequest.at(contract_, hash),
                                       abi::kIdentityAllowed.at(contract_, identity, known.operator_address),
                                       abi::kPolicy.at(contract_)};
  chain::BlockRef block;
  const base::Deadline asked = clock_.steady();
  TRY(const auto outcomes, read(reader_, calls, block, deadline));
  TRY(const auto policy, policy_in_force(outcomes[2]));
  const ServerProofQuestion question{
      .contract = contract_, .operator_address = known.operator_address, .identity = identity, .request = hash};
  const Said said{.allowed = is_allowed(outcomes[1]), .policy = policy, .requested = is_there(outcomes[0])};
  TRY_OK(proved(question, said, block, deadline));
  TRY(auto present, request_in(outcomes[0], hash));
  if (!(present == known)) {
    return Error{
        Code::conflict, "the onboard request changed while it was looked at", base::hex(hash), {}, "Try again."};
  }
  TRY_OK(require_allowed(outcomes[1], identity, known.operator_address));
  return OnboardApproval(std::move(present), identity, policy, block_snapshot(chain_id_, block),
                         AskedAt{.block = block.number, .when = asked});
}

Result<ServerApproval> KmsContract::server(const base::Digest32& identity, const ContractAddress& operator_address,
                                           base::Deadline deadline) {
  const std::vector<chain::Call> calls{abi::kIdentityAllowed.at(contract_, identity, operator_address),
                                       abi::kPolicy.at(contract_)};
  chain::BlockRef block;
  const base::Deadline asked = clock_.steady();
  TRY(const auto outcomes, read(reader_, calls, block, deadline));
  TRY(const auto policy, policy_in_force(outcomes[1]));
  const ServerProofQuestion question{
      .contract = contract_, .operator_address = operator_address, .identity = identity, .request = {}};
  TRY_OK(proved(question, {.allowed = is_allowed(outcomes[0]), .policy = policy}, block, deadline));
  TRY_OK(require_allowed(outcomes[0], identity, operator_address));
  return ServerApproval(identity, policy, block_snapshot(chain_id_, block),
                        AskedAt{.block = block.number, .when = asked});
}

Result<OnboardGrant> authorize_onboarding(const attestation::VerifiedReport& report, const OnboardApproval& approval,
                                          const base::FixedBytes<64>& report_data, base::Realm realm,
                                          base::UtcTime now) {
  if (report.report_data() != report_data) {
    return Error{Code::denied, "the evidence was made for another onboard request", base::hex(report_data),
                 base::hex(report.report_data())};
  }
  TRY_OK(standing(report.verdict(), realm, now));
  OnboardGrant grant;
  grant.request_ = approval.request();
  grant.identity_ = approval.identity();
  grant.policy_sha256_ = report.policy_sha256();
  grant.snapshot_ = approval.snapshot();
  grant.asked_ = approval.asked();
  return grant;
}

}  // namespace attestry::governance
