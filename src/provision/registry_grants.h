// Whom this server released to because a contract allowed it, and what became of that: a revocation happens on a chain,
// where nobody tells this server, and has to stand in its log (docs/formats/log.md).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "audit/log.h"
#include "base/ids.h"
#include "curves/address.h"
#include "state/store.h"

namespace attestry::provision {

/// One identity that a contract let in for one operator.
struct ContractGrant {
  curves::Address contract{};
  base::Digest32 identity{};
  curves::Address operator_address{};        ///< all zero when nobody signed
  std::uint64_t block = 0;                   ///< at which the newest release to it was allowed
  std::vector<base::Digest32> appraisals{};  ///< of the newest releases to it, at most kMostAppraisals, newest last

  static constexpr std::size_t kMostAppraisals = 32;
};

/// How a grant ended.
struct ContractRevocation {
  std::uint64_t leaf_index = 0;
  crypto::Secret leaf_key{};  ///< k of the leaf's commitments
  std::uint64_t block = 0;    ///< at which the contract was seen not to allow it any more
  base::UtcTime time{};
  std::string reason{};  ///< the contract's
};

/// Inside the releasing transaction.
base::Status remember_grant(state::WriteTxn& txn, const base::Tenant& tenant, const ContractGrant& grant,
                            const std::optional<base::Digest32>& appraisal);

/// Grants that nobody has seen revoked, in the order of their keys, behind `after` (empty: from the first).
struct GrantPage {
  std::vector<ContractGrant> grants{};
  base::Bytes last{};  ///< `after` of the next page
};
base::Result<GrantPage> grants_after(const state::ReadView& view, const base::Tenant& tenant, base::ByteView after,
                                     std::size_t limit);

/// Ends a grant and appends its one leaf, of type revocation.registry; nullopt when there is nothing to end, or it was
/// released to again at a later block than the contract was looked at.
struct RevocationInputs {
  audit::Log& log;
  base::Realm realm;
  const base::Tenant& tenant;
  std::uint64_t chain_id;
  std::string snapshot{};  ///< of the authority's answer
  ContractRevocation revocation{};
};
base::Result<std::optional<std::uint64_t>> revoke_grant(state::WriteTxn& txn, const ContractGrant& grant,
                                                        const RevocationInputs& inputs);

/// What became of the release that an appraisal stands for; nullopt: nothing that this server has seen.
base::Result<std::optional<ContractRevocation>> revocation_of(const state::ReadView& view, const base::Tenant& tenant,
                                                              const base::Digest32& appraisal);

}  // namespace attestry::provision
