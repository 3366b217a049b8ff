// The contracts that this program deploys and recognises, as contracts/compile.mjs compiled them.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "governance/contract_proof.h"

namespace attestry::app {

namespace generated {
/// Hex with 0x, straight out of contracts/artifacts (cmake/contracts.cmake).
struct CompiledContract {
  std::string_view name, compiler, creation, deployed;
  std::span<const governance::StorageVariable> variables;
};
extern const CompiledContract kContracts[5];
}  // namespace generated

enum class ContractKind : std::uint8_t { registry, kms, key_manager, reputation, reputation_factory };
std::string_view to_text(ContractKind kind) noexcept;

struct ContractCode {
  ContractKind kind{};
  std::string_view compiler;
  base::Bytes creation;  ///< data of the transaction that creates it
  base::Bytes deployed;  ///< what stands on the chain then, exactly; immutable values are zeros here (is_code_with)
};
/// Error `internal` when this program was built from no hex.
base::Result<ContractCode> contract_code(ContractKind kind);
/// Whether `found` is that code with these immutable values in its holes: each hole (PUSH32 of zeros, as the compiler
/// leaves it) holds one of `immutables`, and every other byte is the compiler's.
bool is_code_with(const ContractCode& code, base::ByteView found, std::span<const base::FixedBytes<32>> immutables);
/// Registry and KMS, as a chain knows them: by the hash of their code.
base::Result<std::vector<governance::OwnContract>> own_contracts();
/// Which of these two `code` is, byte for byte; nothing for everything else.
base::Result<std::optional<ContractKind>> recognise_contract(base::ByteView code);

}  // namespace attestry::app
