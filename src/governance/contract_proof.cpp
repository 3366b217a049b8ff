#include "governance/contract_proof.h"

#include <algorithm>

#include "base/encoding.h"
#include "chain/proof.h"
#include "chain/registry_abi.h"

namespace attestry::governance {

using base::Code;
using base::Digest32;
using base::Error;
using base::Result;
using chain::Word;

namespace {

// Of OpenZeppelin's structs: RoleData.hasRole, StringSet._positions.
constexpr std::uint64_t kPositions = 1;

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

bool flag(const Word& word, unsigned offset) { return word[word.size() - 1 - offset] != 0; }

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

Result<RegistryFacts> ContractProofs::registry(const chain::BlockRef& at, const RegistryProofQuestion& question,
                                               base::Deadline deadline) const {
  const OwnContract* own = find(OwnKind::registry);
  if (own == nullptr) return Error{Code::internal, "this program knows no contract of its own"};
  static const Word kOperator = chain::registry::role("ROLE_OPERATOR");
  std::vector<Word> slots{own->paused, own->policy, role_slot(*own, kOperator, question.operator_address)};
  const std::size_t first_identity = slots.size();
  for (const Digest32& identity : question.identities) slots.push_back(chain::mapping_slot(identity, own->identities));
  const std::size_t first_name = slots.size();
  for (const std::string& name : question.domain_names) slots.push_back(domain_slot(*own, name));

  TRY(const auto proved, prover_.storage(at, question.contract, slots, deadline));
  if (proved.code_hash != own->code_hash) return not_provable(question.contract, proved.code_hash);
  RegistryFacts out{.frozen = flag(proved.words[0], own->paused_offset),
                    .is_operator = flag(proved.words[2], 0),
                    .policy = proved.words[1]};
  for (std::size_t i = first_identity; i < first_name; ++i) out.configurations.push_back(proved.words[i]);
  for (std::size_t i = 0; i < question.domain_names.size(); ++i) {
    if (proved.words[first_name + i] != Word{}) out.domain_names.push_back(question.domain_names[i]);
  }
  return out;
}

}  // namespace attestry::governance
