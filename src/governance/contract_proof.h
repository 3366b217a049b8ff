// What decides about a release, proved out of a contract's storage instead of believed because endpoints say so: that
// an identity is allowed, for which operator, with which configuration, under which policy, and that nothing is frozen.
// Only of attestry's own contracts, whose code says where each variable stands.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "chain/prover.h"
#include "governance/contract_authority.h"

namespace attestry::governance {

/// One variable of a contract, as the compiler lays it out (contracts/artifacts, storageLayout).
struct StorageVariable {
  std::string_view name;
  std::uint64_t slot = 0;
  unsigned offset = 0;  ///< bytes from the right
};

enum class OwnKind : std::uint8_t { registry, kms };

/// A contract that is known by its code, with the slots of what is proved.
struct OwnContract {
  OwnKind kind = OwnKind::registry;
  base::Digest32 code_hash{};  ///< Keccak-256 of what stands on the chain
  chain::Word roles{}, paused{}, policy{}, identities{};
  chain::Word domains{};                                                ///< of a registry
  chain::Word requests{}, applications{}, application_policy{}, pki{};  ///< of a KMS contract
  unsigned paused_offset = 0;

  /// `internal` when a variable is missing.
  static base::Result<OwnContract> make(OwnKind kind, const base::Digest32& code_hash,
                                        std::span<const StorageVariable> variables);
};

struct RegistryFacts {
  bool frozen = true;
  bool is_operator = false;
  base::Digest32 policy{};
  std::vector<base::Digest32> configurations{};  ///< in the order of the identities; zero: not allowed
  std::vector<std::string> domain_names{};       ///< those of the question that are registered
  chain::Word domain_count{};                    ///< of all that are
  bool allows(std::size_t identity) const;
};

struct RegistryProofQuestion {
  ContractAddress contract{};
  ContractAddress operator_address{};
  std::vector<base::Digest32> identities{};
  std::vector<std::string> domain_names{};
};

/// What a key service's contract says of one app.
struct ServedAppFacts {
  bool allowed = false;  ///< listed, and nothing is frozen
  base::Digest32 policy{};
};

/// Of one of its servers.
struct ServerProofQuestion {
  ContractAddress contract{};
  ContractAddress operator_address{};
  base::Digest32 identity{};
  base::Digest32 request{};  ///< hash of the onboard request; zero where there is none
};
struct ServerFacts {
  bool frozen = true;
  bool allowed = false;
  bool is_operator = false;
  bool requested = false;
  base::Digest32 policy{};
};

/// Thread-safe; the prover outlives it. What is proved is true of the block with that hash, whoever answers. Errors:
/// `configuration` for a contract of other code, which cannot be proved; `unavailable` when no endpoint proves
/// anything.
class ContractProofs {
 public:
  ContractProofs(chain::StorageProver& prover, std::vector<OwnContract> own) : prover_(prover), own_(std::move(own)) {}

  base::Result<RegistryFacts> registry(const chain::BlockRef& at, const RegistryProofQuestion& question,
                                       base::Deadline deadline) const;
  base::Result<ServedAppFacts> served_app(const chain::BlockRef& at, const ContractAddress& service,
                                          const ContractAddress& app, base::Deadline deadline) const;
  base::Result<ServerFacts> server(const chain::BlockRef& at, const ServerProofQuestion& question,
                                   base::Deadline deadline) const;
  /// Whether exactly these bytes are what the service publishes as its public key; none of them: nothing is published.
  base::Result<bool> publishes(const chain::BlockRef& at, const ContractAddress& service, base::ByteView key,
                               base::Deadline deadline) const;

 private:
  const OwnContract* find(OwnKind kind) const;
  base::Result<std::vector<chain::Word>> words_of(OwnKind kind, const chain::BlockRef& at,
                                                  const ContractAddress& contract, std::span<const chain::Word> slots,
                                                  base::Deadline deadline) const;

  chain::StorageProver& prover_;
  const std::vector<OwnContract> own_;
};

}  // namespace attestry::governance
