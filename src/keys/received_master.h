// A master that comes to this server while it runs: made here once, or received from another server. Kept sealed, so
// that a restart has it (docs/reference/bootstrap.md), under the sealing epochs of the standard tenant
// (docs/reference/sealing.md).
#pragma once
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "crypto/random.h"
#include "keys/registry_keys.h"
#include "keys/sealing_epochs.h"
#include "state/sealed.h"
#include "state/store.h"

namespace attestry::keys {

/// The master's record in the store. Thread-safe; epochs and random outlive it.
class SealedMaster {
 public:
  /// `first`: 32 bytes, under which it is sealed before the first rotation.
  SealedMaster(const SealingEpochs& epochs, crypto::Secret first, crypto::Random& random)
      : epochs_(epochs), first_(std::move(first)), random_(random) {}

  static base::Tenant tenant() { return base::Tenant::standard(); }
  /// nullopt when there is none. `corrupt` when it does not open, `denied` when its epoch is retired.
  base::Result<std::optional<crypto::Secret>> read(const state::ReadView& view) const;
  /// In the current epoch. `conflict` when there is one.
  base::Status insert(state::WriteTxn& txn, const crypto::Secret& master) const;
  /// Seals it in the current epoch; false when there was nothing to do. What does not open stays as it is, and is
  /// logged.
  base::Result<bool> reseal(state::WriteTxn& txn) const;
  /// Whether it is sealed in an epoch before `epoch`.
  base::Result<bool> older_than(const state::ReadView& view, std::uint32_t epoch) const;

 private:
  struct Record {
    std::uint32_t epoch = 0;
    base::Bytes blob;
  };
  base::Result<std::optional<Record>> record(const state::ReadView& view) const;
  base::Result<state::SealedValues> values(const state::ReadView& view, std::uint32_t epoch) const;
  base::Result<crypto::Secret> open(const state::ReadView& view, const Record& record) const;
  base::Status put(state::WriteTxn& txn, const crypto::Secret& master) const;

  const SealingEpochs& epochs_;
  const crypto::Secret first_;
  crypto::Random& random_;
};

/// Thread-safe.
class ReceivedMaster final : public RegistryMaster {
 public:
  /// Both outlive it. An error when what is stored does not open.
  static base::Result<std::unique_ptr<ReceivedMaster>> open(state::Store& store, const SealedMaster& sealed);
  base::Result<crypto::Secret> master() const override;
  bool has() const;
  /// `conflict` when there is one already: a server never changes its master. 32 bytes. After any error has() says
  /// whether it is kept nevertheless.
  base::Status set(crypto::Secret master, base::Deadline deadline);

 private:
  ReceivedMaster(state::Store& store, const SealedMaster& sealed) : store_(store), sealed_(sealed) {}
  base::Result<std::optional<crypto::Secret>> stored() const;

  state::Store& store_;
  const SealedMaster& sealed_;
  mutable base::Mutex mutex_;
  std::optional<crypto::Secret> master_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::keys
