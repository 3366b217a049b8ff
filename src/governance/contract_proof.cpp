#include "governance/contract_proof.h"

#include <algorithm>

#include "base/encoding.h"
#include "chain/proof.h"
#include "chain/registry_abi.h"
#include "curves/keccak.h"

namespace attestry::governance {

using base::Code;
using base::Digest32;
using base::Error;
using base::Result;
using chain::Word;

namespace {

// Of OpenZeppelin's structs: RoleData.hasRole, StringSet._positions, AddressSet._inner._positions. StringSet._values is
// the first member, and an array's slot has its length.
constexpr std::uint64_t kPositions = 1;
// Of Types.sol: OnboardRequest.nonce, AppPKI.pubkey.
constexpr std::uint64_t kNonce = 1;
constexpr std::uint64_t kPubkey = 1;

Word word_of(const ContractAddress& address) {
  Word out{};
  std::ranges::copy(address, out.end() - static_cast<std::ptrdiff_t>(address.size()));
  return out;
}

Word slot_after(Word slot, std::uint64_t by) {
  for (std::size_t i = slot.size(); i-- > 0 && by > 0;) {
    by += slot[i];
    slot[i] = static_cast<std::uint8_t>(by);
    by >>= 8;
  }
  return slot;
}

/// _roles[role].hasRole[account]: the set is the first member of its struct.
Word role_slot(const OwnContract& own, const Word& role, const ContractAddress& account) {
  return chain::mapping_slot(word_of(account), chain::mapping_slot(role, own.roles));
}

/// _domains._positions[name]: where the name stands in the list, from one; zero when it does not.
Word domain_slot(const OwnContract& own, const std::string& name) {
  return chain::mapping_slot(std::string_view{name}, slot_after(own.domains, kPositions));
}

/// _applications._inner._positions[address]: as above.
Word application_slot(const OwnContract& own, const ContractAddress& app) {
  return chain::mapping_slot(word_of(app), slot_after(own.applications, kPositions));
}

struct StoredWord {
  Word slot{};
  Word value{};
};

/// The words of a `bytes` variable, as Solidity lays it out: up to 31 bytes with twice their number in the last one;
/// more of them behind Keccak-256 of the slot, whose own word is twice their number plus one.
std::vector<StoredWord> stored_bytes(const Word& slot, base::ByteView bytes) {
  constexpr std::size_t kWord = 32;
  StoredWord first{.slot = slot};
  std::uint64_t mark = 2 * bytes.size() + (bytes.size() < kWord ? 0 : 1);
  for (std::size_t i = kWord; i-- > 0 && mark > 0; mark >>= 8) first.value[i] = static_cast<std::uint8_t>(mark);
  if (bytes.size() < kWord) {
    std::ranges::copy(bytes, first.value.begin());
    return {first};
  }
  std::vector<StoredWord> out{first};
  Word at = curves::keccak256(slot);
  for (; !bytes.empty(); at = slot_after(at, 1)) {
    const auto part = bytes.first(std::min(kWord, bytes.size()));
    StoredWord one{.slot = at};
    std::ranges::copy(part, one.value.begin());
    out.push_back(one);
    bytes = bytes.subspan(part.size());
  }
  return out;
}

bool flag(const Word& word, unsigned offset) { return word[word.size() - 1 - offset] != 0; }

Error unknown() { return {Code::internal, "this program knows no contract of its own"}; }

Error not_provable(const ContractAddress& contract, const Digest32& found) {
  const bool none = found == Digest32{};
  return {
      Code::configuration, "the contract at 0x" + base::hex(contract) + " cannot be proved",
      "the code of attestry's own contract", none ? "no contract" : "code with Keccak-256 " + base::hex(found),
      "registry.storage_proofs knows the storage of contracts that `attestry registry deploy` makes. Deploy one, or "
      "believe a quorum of endpoints: registry.storage_proofs = false."};
}

}  // namespace

Result<OwnContract> OwnContract::make(OwnKind kind, const Digest32& code_hash,
                                      std::span<const StorageVariable> variables) {
  OwnContract out{.kind = kind, .code_hash = code_hash};
  const auto place = [&](std::string_view name) -> Result<StorageVariable> {
    const auto found = std::ranges::find(variables, name, &StorageVariable::name);
    if (found != variables.end()) return *found;
    return Error{Code::internal, "a contract of this program has no variable " + std::string{name}};
  };
  const auto slot = [&](std::string_view name) -> Result<Word> {
    TRY(const auto variable, place(name));
    return chain::slot_at(variable.slot);
  };
  TRY(const auto paused, place("_paused"));
  out.paused = chain::slot_at(paused.slot);
  out.paused_offset = paused.offset;
  TRY(out.roles, slot("_roles"));
  TRY(out.policy, slot("policy"));
  if (kind == OwnKind::registry) {
    TRY(out.identities, slot("identityConfigMap"));
    TRY(out.domains, slot("_domains"));
  } else {
    TRY(out.identities, slot("allowlistedIdentities"));
    TRY(out.requests, slot("onboardRequests"));
    TRY(out.pki, slot("app_pki"));
    TRY(out.applications, slot("_applications"));
    TRY(out.application_policy, slot("applicationPolicy"));
  }
  return out;
}

bool RegistryFacts::allows(std::size_t identity) const {
  return !frozen && is_operator && configurations.at(identity) != Digest32{};
}

const OwnContract* ContractProofs::find(OwnKind kind) const {
  const auto found = std::ranges::find(own_, kind, &OwnContract::kind);
  return found == own_.end() ? nullptr : &*found;
}

/// Of the contract of this kind and of no other code.
Result<std::vector<Word>> ContractProofs::words_of(OwnKind kind, const chain::BlockRef& at,
                                                   const ContractAddress& contract, std::span<const Word> slots,
                                                   base::Deadline deadline) const {
  TRY(auto proved, prover_.storage(at, contract, slots, deadline));
  if (proved.code_hash != find(kind)->code_hash) return not_provable(contract, proved.code_hash);
  return std::move(proved.words);
}

Result<RegistryFacts> ContractProofs::registry(const chain::BlockRef& at, const RegistryProofQuestion& question,
                                               base::Deadline deadline) const {
  const OwnContract* own = find(OwnKind::registry);
  if (own == nullptr) return unknown();
  static const Word kOperator = chain::registry::role("ROLE_OPERATOR");
  std::vector<Word> slots{own->paused, own->policy, role_slot(*own, kOperator, question.operator_address),
                          own->domains};
  const std::size_t first_identity = slots.size();
  for (const Digest32& identity : question.identities) slots.push_back(chain::mapping_slot(identity, own->identities));
  const std::size_t first_name = slots.size();
  for (const std::string& name : question.domain_names) slots.push_back(domain_slot(*own, name));

  TRY(const auto words, words_of(OwnKind::registry, at, question.contract, slots, deadline));
  RegistryFacts out{.frozen = flag(words[0], own->paused_offset),
                    .is_operator = flag(words[2], 0),
                    .policy = words[1],
                    .domain_count = words[3]};
  for (std::size_t i = first_identity; i < first_name; ++i) out.configurations.push_back(words[i]);
  for (std::size_t i = 0; i < question.domain_names.size(); ++i) {
    if (words[first_name + i] != Word{}) out.domain_names.push_back(question.domain_names[i]);
  }
  return out;
}

Result<ServedAppFacts> ContractProofs::served_app(const chain::BlockRef& at, const ContractAddress& service,
                                                  const ContractAddress& app, base::Deadline deadline) const {
  const OwnContract* own = find(OwnKind::kms);
  if (own == nullptr) return unknown();
  const std::vector<Word> slots{own->paused, application_slot(*own, app),
                                chain::mapping_slot(word_of(app), own->application_policy)};
  TRY(const auto words, words_of(OwnKind::kms, at, service, slots, deadline));
  const bool frozen = flag(words[0], own->paused_offset);
  return ServedAppFacts{.allowed = !frozen && words[1] != Word{}, .policy = words[2]};
}

Result<ServerFacts> ContractProofs::server(const chain::BlockRef& at, const ServerProofQuestion& question,
                                           base::Deadline deadline) const {
  const OwnContract* own = find(OwnKind::kms);
  if (own == nullptr) return unknown();
  static const Word kOperator = chain::registry::role("ROLE_OPERATOR");
  const std::vector<Word> slots{own->paused, own->policy, role_slot(*own, kOperator, question.operator_address),
                                chain::mapping_slot(question.identity, own->identities),
                                slot_after(chain::mapping_slot(question.request, own->requests), kNonce)};
  TRY(const auto words, words_of(OwnKind::kms, at, question.contract, slots, deadline));
  const bool frozen = flag(words[0], own->paused_offset);
  const bool is_operator = flag(words[2], 0);
  return ServerFacts{.frozen = frozen,
                     .allowed = !frozen && is_operator && words[3] != Word{},
                     .is_operator = is_operator,
                     .requested = words[4] != Word{},
                     .policy = words[1]};
}

Result<bool> ContractProofs::publishes(const chain::BlockRef& at, const ContractAddress& service, base::ByteView key,
                                       base::Deadline deadline) const {
  const OwnContract* own = find(OwnKind::kms);
  if (own == nullptr) return unknown();
  const auto expected = stored_bytes(slot_after(own->pki, kPubkey), key);
  std::vector<Word> slots;
  slots.reserve(expected.size());
  for (const StoredWord& one : expected) slots.push_back(one.slot);
  TRY(const auto words, words_of(OwnKind::kms, at, service, slots, deadline));
  return std::ranges::equal(words, expected, {}, {}, &StoredWord::value);
}

}  // namespace attestry::governance
