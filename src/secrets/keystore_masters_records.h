// Secrets of a keystore as the store keeps them: sealed under a key that a device holds, where there is one, and that
// under the sealing epochs of the standard tenant (docs/reference/sealing.md). Both are needed to open one.
#pragma once
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "keys/resealed.h"
#include "keys/sealing_epochs.h"
#include "state/keys.h"
#include "state/sealed.h"
#include "state/store.h"

namespace attestry::secrets {

/// Thread-safe; epochs and random outlive it.
class KeystoreRecords final : public keys::Resealed {
 public:
  /// `first`: 32 bytes, which seal before the first rotation of the sealing epochs.
  KeystoreRecords(const keys::SealingEpochs& epochs, crypto::Secret first, crypto::Random& random)
      : epochs_(epochs), first_(std::move(first)), random_(random) {}

  /// Every record of this class has a key that begins so.
  static state::Key prefix() { return state::Key(state::Space::keystore_masters, tenant()).lp("sealed"); }
  static state::Key master_key(std::string_view vault, std::uint32_t epoch) {
    return prefix().lp("master").lp(vault).u64(epoch);
  }
  static state::Key v0_key() { return prefix().lp("v0"); }
  static state::Key wallets_key() { return prefix().lp("wallets"); }
  static base::Tenant tenant() { return base::Tenant::standard(); }

  /// `device_key`: 32 bytes, or empty for a record that no device holds.
  base::Status put(state::WriteTxn& txn, const state::Key& key, const crypto::Secret& value,
                   const crypto::Secret& device_key) const;
  /// `not_found` when there is none; `wrong_key` when a device holds it and `device_key` is empty or another's;
  /// `corrupt` when it does not open; `denied` when its sealing epoch is retired.
  base::Result<crypto::Secret> open(const state::ReadView& view, const state::Key& key,
                                    const crypto::Secret& device_key) const;

  /// Seals all of them in the current sealing epoch, which needs no device; how many were of an older one. What does
  /// not open stays as it is, and is logged.
  base::Result<std::uint64_t> reseal(state::WriteTxn& txn, const base::Tenant& whose) const override;
  /// How many are sealed in an epoch before `epoch`.
  base::Result<std::uint64_t> older_than(const state::ReadView& view, const base::Tenant& whose,
                                         std::uint32_t epoch) const override;

 private:
  base::Result<state::SealedValues> outer(const state::ReadView& view, std::uint32_t epoch) const;
  base::Status put_inner(state::WriteTxn& txn, base::ByteView key, bool device, base::ByteView inner) const;

  const keys::SealingEpochs& epochs_;
  const crypto::Secret first_;
  crypto::Random& random_;
};

}  // namespace attestry::secrets
