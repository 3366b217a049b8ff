#include "app/registry_contracts.h"

#include "base/encoding.h"
#include "curves/keccak.h"

namespace attestry::app {

using base::Result;

std::string_view to_text(ContractKind kind) noexcept {
  if (kind == ContractKind::key_manager) return "key manager";
  return kind == ContractKind::registry ? "registry" : "kms";
}

Result<ContractCode> contract_code(ContractKind kind) {
  const auto& compiled = generated::kContracts[static_cast<std::size_t>(kind)];
  ContractCode out{.kind = kind, .compiler = compiled.compiler, .creation = {}, .deployed = {}};
  TRY(out.creation, base::hex_decode(compiled.creation.substr(2)), compiled.name);
  TRY(out.deployed, base::hex_decode(compiled.deployed.substr(2)), compiled.name);
  return out;
}

/// The contracts have neither immutables nor libraries: what stands on a chain is what was compiled, whoever deploys
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
