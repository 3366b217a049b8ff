#include "governance/kms_contract.h"

#include <algorithm>
#include <chrono>

#include "base/encoding.h"

namespace attestry::governance {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using chain::CallOutcome;
namespace abi = chain::registry;

namespace {

/// As for the apps' contracts (ChainAuthorityOptions).
constexpr std::uint64_t kMaxBlocksBehind = 2;
constexpr std::chrono::seconds kMaxAge{5};

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

Error refused(std::string what, const CallOutcome& outcome) {
  return {Code::denied, std::move(what), {}, outcome.reverted ? outcome.reason : std::string{}};
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

std::string KmsContract::snapshot(const chain::BlockRef& block) const {
  return "evm:" + std::to_string(chain_id_) + "@" + std::to_string(block.number) + ":0x" + base::hex(block.hash);
}

Status KmsContract::still_holds(const AskedAt& asked) const {
  TRY(const chain::BlockRef newest, reader_.known_head());
  if (newest.number <= asked.block + kMaxBlocksBehind || clock_.steady() - asked.when <= kMaxAge) return base::done();
  return Error{Code::conflict, "the chain moved on while this was decided",
               "at most " + std::to_string(kMaxBlocksBehind) + " blocks since " + std::to_string(asked.block),
               std::to_string(newest.number), "Try again."};
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
  if (outcomes.front().reverted) return false;
  return abi::kHasRole.decode(outcomes.front().data);
}

Result<std::optional<base::Bytes>> KmsContract::published_key(base::Deadline deadline) {
  const std::vector<chain::Call> calls{abi::kPki.at(contract_)};
  chain::BlockRef block;
  TRY(const auto outcomes, read(reader_, calls, block, deadline));
  TRY(auto pki, abi::kPki.result(outcomes.front()));
  if (pki.pubkey.empty()) return std::optional<base::Bytes>{};
  return std::optional{std::move(pki.pubkey)};
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
  TRY(auto present, request_in(outcomes[0], hash));
  if (!(present == known)) {
    return Error{
        Code::conflict, "the onboard request changed while it was looked at", base::hex(hash), {}, "Try again."};
  }
  const std::string who = "identity " + base::hex(identity) + " for operator " + base::hex(known.operator_address);
  if (outcomes[1].reverted) return refused(who + " unauthorized", outcomes[1]);
  TRY(const bool allowed, abi::kIdentityAllowed.decode(outcomes[1].data));
  if (!allowed) return refused(who + " unauthorized", outcomes[1]);
  TRY(const auto policy, policy_in_force(outcomes[2]));
  return OnboardApproval(std::move(present), identity, policy, snapshot(block),
                         AskedAt{.block = block.number, .when = asked});
}

Result<ServerApproval> KmsContract::server(const base::Digest32& identity, const ContractAddress& operator_address,
                                           base::Deadline deadline) {
  const std::vector<chain::Call> calls{abi::kIdentityAllowed.at(contract_, identity, operator_address),
                                       abi::kPolicy.at(contract_)};
  chain::BlockRef block;
  const base::Deadline asked = clock_.steady();
  TRY(const auto outcomes, read(reader_, calls, block, deadline));
  const std::string who = "identity " + base::hex(identity) + " for operator " + base::hex(operator_address);
  if (outcomes[0].reverted) return refused(who + " unauthorized", outcomes[0]);
  TRY(const bool allowed, abi::kIdentityAllowed.decode(outcomes[0].data));
  if (!allowed) return refused(who + " unauthorized", outcomes[0]);
  TRY(const auto policy, policy_in_force(outcomes[1]));
  return ServerApproval(identity, policy, snapshot(block), AskedAt{.block = block.number, .when = asked});
}

Result<OnboardGrant> authorize_onboarding(const attestation::VerifiedReport& report, const OnboardApproval& approval,
                                          const base::FixedBytes<64>& report_data, base::Realm realm,
                                          base::UtcTime now) {
  if (report.report_data() != report_data) {
    return Error{Code::denied, "the evidence was made for another onboard request", base::hex(report_data),
                 base::hex(report.report_data())};
  }
  const auto& verdict = report.verdict();
  const base::Realm from = verdict.simulated ? base::Realm::simulated : base::Realm::production;
  if (from != realm) {
    return Error{Code::realm_mismatch, "evidence of another realm", std::string{base::to_text(realm)},
                 std::string{base::to_text(from)}};
  }
  if (!verdict.valid_until || *verdict.valid_until <= now) {
    return Error{Code::denied, "the attestation is no longer valid"};
  }
  OnboardGrant grant;
  grant.request_ = approval.request();
  grant.identity_ = approval.identity();
  grant.policy_sha256_ = report.policy_sha256();
  grant.snapshot_ = approval.snapshot();
  grant.asked_ = approval.asked();
  return grant;
}

}  // namespace attestry::governance
