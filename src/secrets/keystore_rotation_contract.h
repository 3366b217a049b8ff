// The secrets that a contract of NEAR OutLayer keeps, for a walk after a rotation (keystore_ckd.md 6.1).
#pragma once
#include <chrono>

#include "base/time.h"
#include "chain/near_rpc.h"
#include "secrets/keystore_rotation.h"

namespace attestry::secrets {

/// `list_user_secrets` names them, `get_secret_with_vault` has each, all at one final block, which is a list's state:
/// height u64 ‖ time u64 ‖ hash 32. `not_found` when nodes have no answer for that block any more, while they answer
/// for newer ones: when it is kBlocksKept behind their head. Thread-safe; the reader and the clock outlive it.
/// `unavailable` also for answers that are not what the contract's interface says: a walk never passes over what it
/// does not understand. Of a list's entries only `accessor` and `profile` are read.
class ContractLister final : public SecretLister {
 public:
  ContractLister(chain::near::ChainReader& reader, chain::near::AccountId contract, const base::Clock& clock,
                 keystore::SeedRules seeds, std::chrono::milliseconds patience)
      : reader_(reader), contract_(std::move(contract)), clock_(clock), seeds_(seeds), patience_(patience) {}
  static constexpr std::uint64_t kBlocksKept = 1'000;
  base::Result<Page> list(std::string_view owner, std::uint64_t from, std::size_t most, base::ByteView state) override;

 private:
  base::Result<std::vector<ListedSecret>> list_at(const chain::near::Block& at, const chain::near::AccountId& account,
                                                  std::uint64_t from, std::size_t most) const;
  base::Result<ListedSecret> read(const chain::near::Block& at, const chain::near::AccountId& owner,
                                  const base::JsonValue& entry) const;

  chain::near::ChainReader& reader_;
  const chain::near::AccountId contract_;
  const base::Clock& clock_;
  const keystore::SeedRules seeds_;
  const std::chrono::milliseconds patience_;  ///< for one answer
};

}  // namespace attestry::secrets
