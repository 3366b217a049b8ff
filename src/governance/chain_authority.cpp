#include "governance/chain_authority.h"

#include <algorithm>
#include <limits>

#include "base/encoding.h"
#include "chain/registry_abi.h"

namespace attestry::governance {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using chain::Call;
using chain::CallOutcome;
namespace abi = chain::registry;

namespace {

/// Where the answers to one identity lie in the batch.
struct Asked {
  base::Digest32 identity{};
  std::size_t first = 0;
};
enum Offset : std::size_t { kAllowed, kConfig, kOlderConfig, kPerIdentity };

void ask_identity(std::vector<Call>& calls, const ContractQuestion& q, const base::Digest32& identity,
                  std::vector<Asked>& asked) {
  asked.push_back({identity, calls.size()});
  calls.push_back(abi::kIdentityAllowed.at(q.contract, identity, q.operator_address));
  calls.push_back(abi::kConfigForIdentity.at(q.contract, identity, q.operator_address));
  calls.push_back(abi::older::kConfigForIdentity.at(q.contract, identity, q.operator_address));
}

/// No such function, or no contract at all: a revert without data, or an answer without data.
bool absent(const CallOutcome& outcome) { return outcome.data.empty(); }

/// Whichever of the two names the contract has.
const CallOutcome& either(const CallOutcome& newer, const CallOutcome& older) { return absent(newer) ? older : newer; }

bool is_zero(const base::Digest32& word) {
  return std::ranges::all_of(word, [](std::uint8_t b) { return b == 0; });
}

/// Nothing when there is no mapping: that is for the caller to judge.
Result<std::optional<base::Digest32>> config_of(const CallOutcome& outcome) {
  if (outcome.reverted || absent(outcome)) return std::optional<base::Digest32>{};
  TRY(const auto word, abi::kConfigForIdentity.decode(outcome.data));
  return is_zero(word) ? std::optional<base::Digest32>{} : std::optional{word};
}

Result<std::vector<std::string>> names_of(const CallOutcome& outcome) {
  if (outcome.reverted || absent(outcome)) return std::vector<std::string>{};
  return abi::kStorageBackends.decode(outcome.data);
}

struct Judged {
  bool allowed = false;
  std::string reason;
  std::optional<base::Digest32> config;
};

Result<Judged> judge(const std::vector<CallOutcome>& outcomes, const Asked& asked, bool first_generation) {
  const CallOutcome& allowed = outcomes[asked.first + kAllowed];
  const CallOutcome& config = either(outcomes[asked.first + kConfig], outcomes[asked.first + kOlderConfig]);
  Judged out;
  TRY(out.config, config_of(config));
  if (absent(allowed)) {
    out.allowed = first_generation && out.config.has_value();
    out.reason = first_generation ? config.reason : "the contract has no IdentityAllowed()";
    return out;
  }
  if (allowed.reverted) {
    out.reason = allowed.reason;
    return out;
  }
  TRY(out.allowed, abi::kIdentityAllowed.decode(allowed.data));
  return out;
}

}  // namespace

std::string ChainAuthority::snapshot(const chain::BlockRef& block) const {
  return "evm:" + std::to_string(chain_id()) + "@" + std::to_string(block.number) + ":0x" + base::hex(block.hash);
}

Result<std::vector<CallOutcome>> ChainAuthority::read(chain::ChainReader& reader, const std::vector<Call>& calls,
                                                      chain::BlockRef& block, base::Deadline deadline) const {
  TRY(block, reader.head(deadline));
  TRY(auto outcomes, reader.call(block, calls, deadline));
  const bool nothing =
      std::ranges::all_of(outcomes, [](const CallOutcome& o) { return !o.reverted && o.data.empty(); });
  if (nothing) {
    return Error{Code::not_found, "no contract at 0x" + base::hex(calls.front().to),
                 "a registry contract on chain " + std::to_string(chain_id()), "no code",
                 "Check the address and that this server reads the right chain."};
  }
  return outcomes;
}

Result<ContractAnswer> ChainAuthority::ask(const ContractQuestion& question, base::Deadline deadline) {
  std::vector<Call> calls;
  std::vector<Asked> asked;
  // The extended identity first: where a contract allows it, it says more.
  if (question.extended) ask_identity(calls, question, *question.extended, asked);
  if (!options_.require_extended) ask_identity(calls, question, question.identity, asked);
  if (asked.empty()) {
    return Error{Code::denied, "identity not allowed", "evidence that gives an extended identity", "a proxy's word",
                 "registry.identity = extended asks for evidence that this server verifies itself."};
  }
  const std::size_t storage = calls.size();
  calls.push_back(abi::kStorageBackends.at(question.contract));
  calls.push_back(abi::older::kStorageBackends.at(question.contract));
  calls.push_back(abi::kInstanceDomainNames.at(question.contract));
  calls.push_back(abi::older::kInstanceDomainNames.at(question.contract));
  calls.push_back(abi::kPolicy.at(question.contract));

  chain::BlockRef block;
  TRY(const auto outcomes, read(reader_, calls, block, deadline));
  ContractAnswer answer;
  answer.snapshot = snapshot(block);
  answer.version = block.number;
  for (const Asked& one : asked) {
    TRY(const auto judged, judge(outcomes, one, options_.first_generation));
    answer.reason = judged.reason;
    if (!judged.allowed) continue;
    answer.allowed = true;
    answer.identity = one.identity;
    if (question.operator_address != ContractAddress{}) answer.operator_address = question.operator_address;
    answer.configuration = judged.config;
    break;
  }
  TRY(answer.storage, names_of(either(outcomes[storage], outcomes[storage + 1])));
  TRY(answer.domain_names, names_of(either(outcomes[storage + 2], outcomes[storage + 3])));
  const CallOutcome& policy = outcomes[storage + 4];
  if (!policy.reverted && !absent(policy)) {
    TRY(const auto digest, abi::kPolicy.decode(policy.data));
    if (!is_zero(digest)) answer.policy = digest;
  }
  return answer;
}

Result<ContractFacts> ChainAuthority::facts(const base::Tenant&, const ContractAddress& contract,
                                            base::Deadline deadline) {
  const std::vector<Call> calls{abi::kPki.at(contract),
                                abi::older::kPki.at(contract),
                                abi::kInstanceDomainNames.at(contract),
                                abi::older::kInstanceDomainNames.at(contract),
                                abi::kStorageBackends.at(contract),
                                abi::older::kStorageBackends.at(contract)};
  chain::BlockRef block;
  TRY(const auto outcomes, read(strangers_, calls, block, deadline));
  ContractFacts out;
  out.snapshot = snapshot(block);
  const CallOutcome& pki = either(outcomes[0], outcomes[1]);
  if (!pki.reverted && !absent(pki)) {
    TRY(auto published, abi::kPki.decode(pki.data));
    out.ca = std::move(published.ca);
    out.public_key = std::move(published.pubkey);
    out.attestation = std::move(published.attestation);
  }
  TRY(out.domain_names, names_of(either(outcomes[2], outcomes[3])));
  TRY(out.storage, names_of(either(outcomes[4], outcomes[5])));
  return out;
}

Status ChainAuthority::still_holds(state::WriteTxn&, const ContractApproval& approval) const {
  // Without asking: inside a transaction nobody waits for a chain.
  TRY(const chain::BlockRef newest, reader_.known_head());
  const std::uint64_t asked = approval.answer().version;
  if (newest.number <= asked + options_.max_blocks_behind) return base::done();
  return Error{Code::conflict, "the chain moved on while this was decided",
               "block " + std::to_string(newest.number) + " or at most " + std::to_string(options_.max_blocks_behind) +
                   " before it",
               "block " + std::to_string(asked), "Try again."};
}

}  // namespace attestry::governance
