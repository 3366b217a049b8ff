// Under which key what is kept of a tenant is sealed: one random key for each epoch of the tenant, wrapped by the
// service's own (docs/formats/derivation.md). A new epoch seals what comes; what is there stays readable and is sealed
// anew bit by bit; an epoch whose key nothing needs any more is retired, and its key erased
// (docs/reference/sealing.md).
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "state/store.h"

namespace attestry::keys {

/// What is still to be done for a tenant, in this order.
enum class SealingPhase : std::uint8_t {
  settled = 0,  ///< everything is sealed in the current epoch
  values = 1,   ///< values of the store are being sealed anew
  files = 2,    ///< and then files
  erasing = 3,  ///< epochs were retired, and what is left of their keys is being erased
};
std::string_view to_text(SealingPhase phase) noexcept;

struct SealingState {
  std::uint32_t current = 0;  ///< what is sealed now is sealed in it; 0: the keys from before the first rotation
  std::uint32_t oldest = 0;   ///< nothing older can be read
  SealingPhase phase = SealingPhase::settled;
  std::uint64_t values = 0;  ///< sealed anew since `current` began
  std::uint64_t files = 0;
  base::UtcTime since{};  ///< when `current` began
  base::Bytes cursor{};   ///< what was looked at last in this phase
};

/// Thread-safe; store and random outlive it. It keeps no key in memory but the one that wraps them.
class SealingEpochs {
 public:
  /// `wrapping` has 32 bytes.
  SealingEpochs(state::Store& store, crypto::Secret wrapping, crypto::Random& random)
      : store_(store), wrapping_(std::move(wrapping)), random_(random) {}

  base::Result<SealingState> state(const state::ReadView& view, const base::Tenant& tenant) const;
  base::Result<SealingState> state(const base::Tenant& tenant) const;
  /// Whether what was sealed in `epoch` may be read; `denied` when it is retired.
  base::Status readable(const state::ReadView& view, const base::Tenant& tenant, std::uint32_t epoch) const;
  /// 32 bytes for one purpose; `denied` when the epoch is retired, `corrupt` when its key is gone. Epoch 0 has no key
  /// here: every user has its own from before the first rotation.
  base::Result<crypto::Secret> key(const state::ReadView& view, const base::Tenant& tenant, std::uint32_t epoch,
                                   std::string_view purpose) const;
  base::Result<crypto::Secret> key(const base::Tenant& tenant, std::uint32_t epoch, std::string_view purpose) const;
  /// Tenants with a phase other than settled.
  base::Result<std::vector<base::Tenant>> unsettled() const;

  /// Makes the next epoch and its key. `conflict` unless everything is settled.
  base::Result<SealingState> begin(state::WriteTxn& txn, const base::Tenant& tenant, base::UtcTime now) const;
  /// Erases the keys of all epochs before the current one and leaves the phase `erasing`. The caller has seen that
  /// nothing needs them. `conflict` unless everything is settled.
  base::Result<SealingState> retire(state::WriteTxn& txn, const base::Tenant& tenant) const;
  base::Status keep(state::WriteTxn& txn, const base::Tenant& tenant, const SealingState& state) const;

 private:
  state::Store& store_;
  crypto::Secret wrapping_;
  crypto::Random& random_;
};

}  // namespace attestry::keys
