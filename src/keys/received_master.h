// A master that comes to this server while it runs: made here once, or received from another server. Kept sealed, so
// that a restart has it (docs/reference/bootstrap.md).
#pragma once
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "crypto/random.h"
#include "keys/registry_keys.h"
#include "state/sealed.h"
#include "state/store.h"

namespace attestry::keys {

/// Thread-safe.
class ReceivedMaster final : public RegistryMaster {
 public:
  /// `sealing` wraps the master at rest. Error `wrong_key` when what is stored does not open.
  static base::Result<std::unique_ptr<ReceivedMaster>> open(state::Store& store, crypto::Secret sealing,
                                                            crypto::Random& random);
  base::Result<crypto::Secret> master() const override;
  bool has() const;
  /// `conflict` when there is one already: a server never changes its master. 32 bytes.
  base::Status set(crypto::Secret master, base::Deadline deadline);

 private:
  ReceivedMaster(state::Store& store, state::SealedValues sealed) : store_(store), sealed_(std::move(sealed)) {}

  state::Store& store_;
  const state::SealedValues sealed_;
  mutable base::Mutex mutex_;
  std::optional<crypto::Secret> master_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::keys
