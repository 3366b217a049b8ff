#include "governance/kms_contract.h"

#include <algorithm>

#include "base/encoding.h"

namespace attestry::governance {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using chain::CallOutcome;
namespace abi = chain::registry;

namespace {

bool is_zero(const chain::Word& word) {
  return std::ranges::all_of(word, [](std::uint8_t byte) { return byte == 0; });
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

/// This server does not appraise by the policies that a key service's contract can name. Where its owner has put one in
/// force, nothing is given rather than something without it. Older contracts do not have the function.
Status no_policy(const CallOutcome& outcome, const auto& function, std::string_view setter) {
  if (outcome.reverted || outcome.data.empty()) return base::done();
  TRY(const chain::Word digest, function.decode(outcome.data));
  if (is_zero(digest)) return base::done();
  return Error{Code::configuration, "the key service's contract names a policy, by which this server cannot appraise",
               "none", base::hex(digest),
               "Put the rules into registry.policy, and send " + std::string{setter} + " with zero."};
}

}  // namespace

Status KmsContract::application_allowed(const ContractAddress& app, base::Deadline deadline) {
  TRY(const auto block, reader_.head(deadline));
  const std::vector<chain::Call> calls{abi::kApplicationAllowed.at(contract_, app),
                                       abi::kApplicationPolicy.at(contract_, app)};
  TRY(const auto outcomes, reader_.call(block, calls, deadline));
  if (outcomes.front().reverted) return refused("application not allowed", outcomes.front());
  TRY(const bool allowed, abi::kApplicationAllowed.decode(outcomes.front().data));
  if (allowed) return no_policy(outcomes[1], abi::kApplicationPolicy, "setApplicationPolicy");
  return Error{Code::denied, "application not allowed", "an application that the key service's contract lists",
               "0x" + base::hex(app), "Let the contract's owner send AllowApplication."};
}

Result<bool> KmsContract::is_operator(const ContractAddress& account, base::Deadline deadline) {
  TRY(const auto block, reader_.head(deadline));
  const std::vector<chain::Call> calls{abi::kHasRole.at(contract_, abi::role("ROLE_OPERATOR"), account)};
  TRY(const auto outcomes, reader_.call(block, calls, deadline));
  if (outcomes.front().reverted) return false;
  return abi::kHasRole.decode(outcomes.front().data);
}

Result<std::optional<base::Bytes>> KmsContract::published_key(base::Deadline deadline) {
  TRY(const auto block, reader_.head(deadline));
  const std::vector<chain::Call> calls{abi::kPki.at(contract_)};
  TRY(const auto outcomes, reader_.call(block, calls, deadline));
  TRY(auto pki, abi::kPki.result(outcomes.front()));
  if (pki.pubkey.empty()) return std::optional<base::Bytes>{};
  return std::optional{std::move(pki.pubkey)};
}

Result<OnboardRequest> KmsContract::request(const base::Digest32& hash, base::Deadline deadline) {
  TRY(const auto block, reader_.head(deadline));
  const std::vector<chain::Call> calls{abi::kFetchOnboardRequest.at(contract_, hash)};
  TRY(const auto outcomes, reader_.call(block, calls, deadline));
  return request_in(outcomes.front(), hash);
}

Result<OnboardApproval> KmsContract::onboarding(const base::Digest32& hash, const base::Digest32& identity,
                                                base::Deadline deadline) {
  TRY(const auto known, request(hash, deadline));
  TRY(const auto block, reader_.head(deadline));
  const std::vector<chain::Call> calls{abi::kFetchOnboardRequest.at(contract_, hash),
                                       abi::kIdentityAllowed.at(contract_, identity, known.operator_address),
                                       abi::kPolicy.at(contract_)};
  TRY(const auto outcomes, reader_.call(block, calls, deadline));
  TRY(auto present, request_in(outcomes[0], hash));
  if (!(present == known)) {
    return Error{Code::conflict, "the onboard request changed while it was looked at", {}, {}, "Try again."};
  }
  const std::string who = "identity " + base::hex(identity) + " for operator " + base::hex(known.operator_address);
  if (outcomes[1].reverted) return refused(who + " unauthorized", outcomes[1]);
  TRY(const bool allowed, abi::kIdentityAllowed.decode(outcomes[1].data));
  if (!allowed) return refused(who + " unauthorized", outcomes[1]);
  TRY_OK(no_policy(outcomes[2], abi::kPolicy, "setPolicy"));
  return OnboardApproval(
      std::move(present), identity,
      "evm:" + std::to_string(chain_id_) + "@" + std::to_string(block.number) + ":0x" + base::hex(block.hash));
}

Result<ServerApproval> KmsContract::server(const base::Digest32& identity, const ContractAddress& operator_address,
                                           base::Deadline deadline) {
  TRY(const auto block, reader_.head(deadline));
  const std::vector<chain::Call> calls{abi::kIdentityAllowed.at(contract_, identity, operator_address),
                                       abi::kPolicy.at(contract_)};
  TRY(const auto outcomes, reader_.call(block, calls, deadline));
  const std::string who = "identity " + base::hex(identity) + " for operator " + base::hex(operator_address);
  if (outcomes[0].reverted) return refused(who + " unauthorized", outcomes[0]);
  TRY(const bool allowed, abi::kIdentityAllowed.decode(outcomes[0].data));
  if (!allowed) return refused(who + " unauthorized", outcomes[0]);
  TRY_OK(no_policy(outcomes[1], abi::kPolicy, "setPolicy"));
  return ServerApproval(identity, "evm:" + std::to_string(chain_id_) + "@" + std::to_string(block.number) + ":0x" +
                                      base::hex(block.hash));
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
  return grant;
}

}  // namespace attestry::governance
