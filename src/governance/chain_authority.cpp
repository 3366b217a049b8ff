#include "governance/chain_authority.h"

#include <algorithm>
#include <limits>

#include "base/encoding.h"
#include "base/log.h"
#include "chain/registry_abi.h"
#include "governance/chain_answer.h"
#include "governance/kms_contract.h"

namespace attestry::governance {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using chain::Call;
using chain::CallOutcome;
namespace abi = chain::registry;

namespace {

constexpr std::size_t kMaxListed = 1u << 14;

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

/// The extended identity first: where a contract allows it, it says more.
std::vector<Call> batch_for(const ContractQuestion& question, bool known_too, std::vector<Asked>& asked) {
  std::vector<Call> calls;
  if (question.extended) ask_identity(calls, question, *question.extended, asked);
  if (known_too) ask_identity(calls, question, question.identity, asked);
  calls.push_back(abi::kStorageBackends.at(question.contract));
  calls.push_back(abi::older::kStorageBackends.at(question.contract));
  calls.push_back(abi::kInstanceDomainNames.at(question.contract));
  calls.push_back(abi::older::kInstanceDomainNames.at(question.contract));
  calls.push_back(abi::kPolicy.at(question.contract));
  return calls;
}

/// The answers to what batch_for() asks after the identities.
Status read_rest(std::span<const CallOutcome> outcomes, ContractAnswer& answer) {
  TRY(answer.storage, names_of(either(outcomes[0], outcomes[1])));
  TRY(answer.domain_names, names_of(either(outcomes[2], outcomes[3])));
  TRY(answer.policy, policy_in_force(outcomes[4]));
  return base::done();
}

/// The first identity that is allowed, and what belongs to it.
void take_allowed(const std::vector<Asked>& asked, const std::vector<Judged>& judged, const ContractQuestion& question,
                  ContractAnswer& answer) {
  for (std::size_t i = 0; i < asked.size() && !answer.allowed; ++i) {
    answer.reason = judged[i].reason;
    if (!judged[i].allowed) continue;
    answer.allowed = true;
    answer.identity = asked[i].identity;
    if (question.operator_address != ContractAddress{}) answer.operator_address = question.operator_address;
    answer.configuration = judged[i].config;
  }
}

bool nothing_in(std::span<const CallOutcome> outcomes) {
  return std::ranges::all_of(outcomes, [](const CallOutcome& o) { return !o.reverted && o.data.empty(); });
}

/// Names of a list that somebody asks for; letters of either case, as in DNS.
std::vector<std::string> wanted_of(const std::vector<std::string>& listed, const std::vector<std::string>& wanted) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  const auto same = [&lower](std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, [&lower](char x, char y) { return lower(x) == lower(y); });
  };
  std::vector<std::string> out;
  for (const std::string& name : listed) {
    if (std::ranges::any_of(wanted, [&](const std::string& one) { return same(one, name); })) out.push_back(name);
  }
  return out;
}

/// In which the endpoints' answers are not what is proved; nothing: they are. `listed`: domain names that they gave.
std::optional<std::string> contradiction(const RegistryFacts& facts, const std::vector<Judged>& judged,
                                         const ContractAnswer& answer, std::size_t listed) {
  for (std::size_t i = 0; i < judged.size(); ++i) {
    if (judged[i].allowed != facts.allows(i)) return facts.allows(i) ? "the identity is allowed" : "it is not allowed";
    if (judged[i].allowed && judged[i].config != facts.configurations[i]) {
      return "configuration " + base::hex(facts.configurations[i]);
    }
  }
  if (answer.policy.value_or(base::Digest32{}) != facts.policy) return "policy " + base::hex(facts.policy);
  if (facts.domain_count != chain::to_word(listed)) return "another number of domain names";
  if (answer.domain_names != facts.domain_names) return "other domain names";
  return std::nullopt;
}

}  // namespace

Error ChainAuthority::nothing_there(const ContractAddress& contract, const chain::ChainReader& reader,
                                    const chain::BlockRef& block) const {
  std::string found = "no code at block " + std::to_string(block.number);
  if (!options_.finality.empty()) found += " (" + options_.finality + ")";
  if (const auto newest = reader.newest_number()) found += "; the newest is " + std::to_string(*newest);
  return {Code::not_found, "no contract at 0x" + base::hex(contract),
          "a registry contract on chain " + std::to_string(chain_id()), std::move(found),
          "Check the address and that this server reads the right chain. A contract that was deployed a moment ago is "
          "there when its block is final (registry.finality)."};
}

Result<RegistryFacts> ChainAuthority::proved(const ContractQuestion& question, std::vector<base::Digest32> identities,
                                             const ContractAnswer& answer, bool allowed, const chain::BlockRef& block,
                                             base::Deadline deadline) const {
  RegistryProofQuestion asked{.contract = question.contract,
                              .operator_address = question.operator_address,
                              .identities = std::move(identities),
                              .domain_names = answer.domain_names};
  // Also those that are wanted and, as the endpoints say, not listed: that has to be true, too. Who is not allowed
  // anything chooses no names to be proved.
  for (const std::string& name : allowed ? question.domain_names : std::vector<std::string>{}) {
    if (std::ranges::find(asked.domain_names, name) == asked.domain_names.end()) asked.domain_names.push_back(name);
  }
  return options_.proofs->registry(block, asked, deadline);
}

bool ChainAuthority::was_listed(const ContractAddress& contract) const {
  const base::MutexLock lock(mutex_);
  return listed_.contains(contract);
}

void ChainAuthority::remember_listed(const ContractAddress& contract, bool listed) {
  const base::MutexLock lock(mutex_);
  if (!listed) {
    listed_.erase(contract);
    return;
  }
  if (listed_.size() >= kMaxListed) listed_.clear();
  listed_.insert(contract);
}

/// The key service's contract alone, which answers soon whoever asks.
Result<bool> ChainAuthority::is_listed(const ContractAddress& contract, const chain::BlockRef& block,
                                       ContractAnswer& answer, base::Deadline deadline) const {
  std::vector<Call> calls;
  ask_served_app(calls, *options_.key_service, contract);
  TRY(const auto outcomes, reader_.call(block, calls, deadline));
  return read_service(contract, outcomes, block, answer, deadline);
}

Result<ContractAnswer> ChainAuthority::ask(const ContractQuestion& question, base::Deadline deadline) {
  std::vector<Asked> asked;
  auto calls = batch_for(question, !options_.require_extended, asked);
  if (asked.empty()) {
    return Error{Code::denied, "identity not allowed", "evidence that gives an extended identity",
                 "a proxy's word or a token",
                 "registry.identity = extended asks for a quote that this server verifies itself."};
  }
  const std::size_t own = calls.size();
  if (options_.key_service) ask_served_app(calls, *options_.key_service, question.contract);
  ContractAnswer answer;
  answer.asked = options_.clock->steady();
  TRY(const chain::BlockRef block, reader_.head(deadline));
  answer.snapshot = block_snapshot(chain_id(), block);
  answer.version = block.number;
  // Anybody with a genuine TEE can name any contract, and one of his own can keep a node busy: until the key service is
  // known to list it, it is called on the strangers' side only. An app that is listed loses nothing when that is full.
  const bool stranger = options_.key_service && !was_listed(question.contract);
  auto answered = (stranger ? strangers_ : reader_).call(block, calls, deadline);
  if (!answered && stranger) {
    TRY(const bool listed, is_listed(question.contract, block, answer, deadline));
    if (!listed) return answer;
    remember_listed(question.contract, true);
    answered = reader_.call(block, calls, deadline);
  }
  if (!answered) return std::move(answered).error();
  const std::vector<CallOutcome>& outcomes = *answered;
  const bool nothing = nothing_in(std::span{outcomes}.first(own));
  if (nothing && options_.proofs == nullptr) return nothing_there(question.contract, reader_, block);
  if (options_.key_service) {
    TRY(const bool listed, read_service(question.contract, std::span{outcomes}.subspan(own), block, answer, deadline));
    remember_listed(question.contract, listed);
    if (!listed) return answer;
  }
  std::vector<Judged> judged;
  for (const Asked& one : asked) {
    TRY(auto judgement, judge(outcomes, one, options_.first_generation));
    judged.push_back(std::move(judgement));
  }
  TRY_OK(read_rest(std::span{outcomes}.subspan(asked.size() * kPerIdentity), answer));
  if (options_.proofs != nullptr) {
    std::vector<base::Digest32> identities;
    for (const Asked& one : asked) identities.push_back(one.identity);
    const std::size_t listed = answer.domain_names.size();
    const bool allowed = std::ranges::any_of(judged, &Judged::allowed);
    answer.domain_names = wanted_of(answer.domain_names, question.domain_names);
    TRY(const RegistryFacts facts, proved(question, std::move(identities), answer, allowed, block, deadline));
    if (nothing) return disproved(question.contract, block, "a contract is there");
    if (auto why = contradiction(facts, judged, answer, listed))
      return disproved(question.contract, block, *std::move(why));
  }
  take_allowed(asked, judged, question, answer);
  return answer;
}

/// What the key service's contract says of the app: whether it lists it.
Result<bool> ChainAuthority::read_service(const ContractAddress& app, std::span<const CallOutcome> outcomes,
                                          const chain::BlockRef& block, ContractAnswer& answer,
                                          base::Deadline deadline) const {
  TRY(const auto service, served_app(outcomes, *options_.key_service, chain_id()));
  if (options_.proofs != nullptr) TRY_OK(proved_as_served(app, service, block, deadline));
  answer.service_policy = service.policy;
  if (!service.allowed) answer.reason = service.reason;
  return service.allowed;
}

/// That the key service's contract holds what the endpoints say of the app.
Status ChainAuthority::proved_as_served(const ContractAddress& app, const ServedApp& said, const chain::BlockRef& block,
                                        base::Deadline deadline) const {
  TRY(const auto facts, options_.proofs->served_app(block, *options_.key_service, app, deadline));
  if (facts.allowed != said.allowed)
    return disproved(*options_.key_service, block, facts.allowed ? "the app is listed" : "the app is not listed");
  if (facts.allowed && facts.policy != said.policy.value_or(base::Digest32{}))
    return disproved(*options_.key_service, block, "policy " + base::hex(facts.policy));
  return base::done();
}

Result<ContractFacts> ChainAuthority::facts(const base::Tenant&, const ContractAddress& contract,
                                            base::Deadline deadline) {
  const std::vector<Call> calls{abi::kPki.at(contract),
                                abi::older::kPki.at(contract),
                                abi::kInstanceDomainNames.at(contract),
                                abi::older::kInstanceDomainNames.at(contract),
                                abi::kStorageBackends.at(contract),
                                abi::older::kStorageBackends.at(contract)};
  TRY(const chain::BlockRef block, strangers_.head(deadline));
  TRY(const auto outcomes, strangers_.call(block, calls, deadline));
  if (nothing_in(outcomes)) return nothing_there(contract, strangers_, block);
  ContractFacts out;
  out.snapshot = block_snapshot(chain_id(), block);
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

bool ChainAuthority::is_newest(const ContractAnswer& answer, base::Deadline deadline) const {
  // Asked, where it is not known for sure: what nobody polls for would always be the newest.
  const auto newest = reader_.head(deadline);
  return newest.ok() && newest->number <= answer.version;
}

Status ChainAuthority::still_holds(state::WriteTxn&, const ContractApproval& approval) const {
  // Without asking: inside a transaction nobody waits for a chain.
  const ContractAnswer& answer = approval.answer();
  const base::Deadline now = options_.clock->steady();
  const AskedAt asked{.block = answer.version, .when = answer.asked.value_or(now - 2 * kMaxAnswerAge)};
  return answer_counts(asked, reader_, now);
}

}  // namespace attestry::governance
