#include "app/registry_contracts.h"

#include <algorithm>

#include "base/encoding.h"
#include "curves/keccak.h"

namespace attestry::app {

using base::Result;

std::string_view to_text(ContractKind kind) noexcept {
  if (kind == ContractKind::key_manager) return "key manager";
  if (kind == ContractKind::reputation) return "reputation";
  if (kind == ContractKind::reputation_factory) return "reputation factory";
  return kind == ContractKind::registry ? "registry" : "kms";
}

Result<ContractCode> contract_code(ContractKind kind) {
  const auto& compiled = generated::kContracts[static_cast<std::size_t>(kind)];
  ContractCode out{.kind = kind, .compiler = compiled.compiler, .creation = {}, .deployed = {}};
  TRY(out.creation, base::hex_decode(compiled.creation.substr(2)), compiled.name);
  TRY(out.deployed, base::hex_decode(compiled.deployed.substr(2)), compiled.name);
  return out;
}

bool is_code_with(const ContractCode& code, base::ByteView found, std::span<const base::FixedBytes<32>> immutables) {
  constexpr std::uint8_t kPush32 = 0x7f;
  constexpr std::size_t kWord = 32;
  const base::ByteView known{code.deployed};
  if (known.size() != found.size()) return false;
  for (std::size_t at = 0; at < known.size(); ++at) {
    if (known[at] != found[at]) return false;
    if (known[at] != kPush32 || known.size() - at <= kWord) continue;
    const auto hole = known.subspan(at + 1, kWord);
    if (std::ranges::any_of(hole, [](std::uint8_t byte) { return byte != 0; })) continue;
    const auto filled = found.subspan(at + 1, kWord);
    if (std::ranges::none_of(immutables, [&](const auto& value) { return base::equal(value, filled); })) return false;
    at += kWord;
  }
  return true;
}

/// Registry and KMS have neither immutables nor libraries: what stands on a chain is what was compiled, whoever deploys
/// it.
Result<std::vector<governance::OwnContract>> own_contracts() {
  std::vector<governance::OwnContract> out;
  for (const auto kind : {ContractKind::registry, ContractKind::kms}) {
    TRY(const ContractCode known, contract_code(kind));
    const auto own = kind == ContractKind::kms ? governance::OwnKind::kms : governance::OwnKind::registry;
    const auto& variables = generated::kContracts[static_cast<std::size_t>(kind)].variables;
    TRY(auto contract, governance::OwnContract::make(own, curves::keccak256(known.deployed), variables));
    out.push_back(std::move(contract));
  }
  return out;
}

Result<std::optional<ContractKind>> recognise_contract(base::ByteView code) {
  for (const auto kind : {ContractKind::registry, ContractKind::kms}) {
    TRY(const ContractCode known, contract_code(kind));
    if (base::equal(known.deployed, code)) return std::optional{kind};
  }
  return std::optional<ContractKind>{};
}

}  // namespace attestry::app
