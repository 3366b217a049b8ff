// The authority of apps that a contract governs: asks the contract, pinned to one block that a quorum agrees on.
#pragma once
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "chain/rpc.h"
#include "governance/contract_authority.h"
#include "governance/contract_proof.h"
#include "governance/kms_contract.h"

namespace attestry::governance {

struct ChainAuthorityOptions {
  std::uint64_t chain_id = 0;
  /// Ask for the extended identity only; the known one leaves out the firmware and the debug bit.
  bool require_extended = false;
  /// Contracts of the first generation have no IdentityAllowed(): for them an identity is allowed when it has a
  /// configuration. Off, because a contract that reverts without a word would look the same.
  bool first_generation = false;
  const ContractProofs* proofs = nullptr;  ///< null: a quorum's word is enough. Outlives the authority
  std::string finality{};                  ///< as the settings have it, for messages
  const base::Clock* clock = &base::system_clock();
  /// The key service's contract, where it lists the apps that are served and may name a policy for each
  /// (docs/formats/registry.md). Asked with the app's own, at the same block; an app that it has not been heard to
  /// list is asked on the strangers' side.
  std::optional<ContractAddress> key_service{};
};

/// Thread-safe; the readers outlive it. One batch for each question. Contracts of all generations: which names one has
/// is learnt at the first answer.
class ChainAuthority final : public ContractAuthority {
 public:
  /// `strangers`: the same chain, asked for what anybody may know (QuorumReader::for_strangers()).
  ChainAuthority(chain::ChainReader& reader, chain::ChainReader& strangers, ChainAuthorityOptions options)
      : ContractAuthority(options.chain_id), reader_(reader), strangers_(strangers), options_(std::move(options)) {}
  ChainAuthority(chain::ChainReader& reader, ChainAuthorityOptions options)
      : ChainAuthority(reader, reader, std::move(options)) {}

  base::Result<ContractFacts> facts(const base::Tenant& tenant, const ContractAddress& contract,
                                    base::Deadline deadline) override;
  base::Status still_holds(state::WriteTxn& txn, const ContractApproval& approval) const override;

 protected:
  base::Result<ContractAnswer> ask(const ContractQuestion& question, base::Deadline deadline) override;
  bool is_newest(const ContractAnswer& answer, base::Deadline deadline) const override;

 private:
  base::Result<RegistryFacts> proved(const ContractQuestion& question, std::vector<base::Digest32> identities,
                                     const ContractAnswer& answer, bool allowed, const chain::BlockRef& block,
                                     base::Deadline deadline) const;
  base::Error nothing_there(const ContractAddress& contract, const chain::ChainReader& reader,
                            const chain::BlockRef& block) const;
  base::Status proved_as_served(const ContractAddress& app, const ServedApp& said, const chain::BlockRef& block,
                                base::Deadline deadline) const;
  base::Result<bool> is_listed(const ContractAddress& contract, const chain::BlockRef& block, ContractAnswer& answer,
                               base::Deadline deadline) const;
  base::Result<bool> read_service(const ContractAddress& app, std::span<const chain::CallOutcome> outcomes,
                                  const chain::BlockRef& block, ContractAnswer& answer, base::Deadline deadline) const;
  bool was_listed(const ContractAddress& contract) const;
  void remember_listed(const ContractAddress& contract, bool listed);

  chain::ChainReader& reader_;
  chain::ChainReader& strangers_;
  const ChainAuthorityOptions options_;
  mutable base::Mutex mutex_;
  /// Apps that the key service's contract listed when it was asked last: who may cause calls of them at once.
  std::set<ContractAddress> listed_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::governance
