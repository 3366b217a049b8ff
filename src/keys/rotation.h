// Values of an app sealed under the keys of its epochs: a new epoch seals what comes, what is there stays readable and
// is sealed anew step by step, and an epoch is retired when nothing is left in it (docs/reference/bootstrap.md).
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "state/store.h"

namespace attestry::keys {

/// Keys for sealing at rest, one for each epoch of an app; 32 bytes. Thread-safe.
class EpochKeys {
 public:
  virtual ~EpochKeys() = default;
  virtual base::Result<crypto::Secret> sealing_key(const base::Tenant& tenant, const base::AppRef& app,
                                                   std::uint32_t epoch) const = 0;
};

/// HKDF-Expand(app_root of that epoch, LP("sealing") ‖ LP("epoch")): never a key that is given to anybody (FORMATS 5).
class DerivedEpochKeys final : public EpochKeys {
 public:
  DerivedEpochKeys(crypto::Secret root, base::Realm realm) : root_(std::move(root)), realm_(realm) {}
  base::Result<crypto::Secret> sealing_key(const base::Tenant& tenant, const base::AppRef& app,
                                           std::uint32_t epoch) const override;

 private:
  crypto::Secret root_;
  base::Realm realm_;
};

struct EpochState {
  std::uint32_t current = 0;   ///< what is sealed now is sealed in it
  std::uint32_t oldest = 0;    ///< nothing older can be read
  std::uint64_t resealed = 0;  ///< values that were sealed anew since `current` began
  bool finished = true;        ///< every value is in `current`
};

/// Thread-safe. Every change is one transaction, so that a crash leaves the state before it or after it; whoever calls
/// step() again goes on.
class EpochSealed {
 public:
  /// All outlive this.
  EpochSealed(state::Store& store, const EpochKeys& keys, crypto::Random& random)
      : store_(store), keys_(keys), random_(random) {}

  base::Status put(const base::Tenant& tenant, const base::AppRef& app, std::string_view name,
                   const crypto::Secret& value, base::Deadline deadline);
  /// `not_found`; `denied` when it is of a retired epoch; `corrupt` when it was altered or moved.
  base::Result<crypto::Secret> get(const base::Tenant& tenant, const base::AppRef& app, std::string_view name) const;
  base::Result<EpochState> state(const base::Tenant& tenant, const base::AppRef& app) const;

  /// Begins a later epoch, as operators approved it; the present one again is no change. `conflict` for an earlier one.
  base::Status advance(const base::Tenant& tenant, const base::AppRef& app, std::uint32_t epoch,
                       base::Deadline deadline);
  /// Looks at up to `most` values, in the order of their names, and seals those of older epochs anew. What it did is on
  /// the disk when it returns, with the place where the next call goes on.
  base::Result<EpochState> step(const base::Tenant& tenant, const base::AppRef& app, std::size_t most,
                                base::Deadline deadline);
  /// Nothing older than `oldest` can be read any more. `conflict` while a value is older, or for an epoch that has not
  /// begun.
  base::Status retire(const base::Tenant& tenant, const base::AppRef& app, std::uint32_t oldest,
                      base::Deadline deadline);

 private:
  struct Record;
  base::Result<base::Bytes> seal(const base::Tenant& tenant, const base::AppRef& app, std::uint32_t epoch,
                                 base::ByteView record_key, base::ByteView value) const;
  base::Result<crypto::Secret> open(const base::Tenant& tenant, const base::AppRef& app, base::ByteView record_key,
                                    const Record& record) const;
  base::Status reseal(state::WriteTxn& txn, const base::Tenant& tenant, const base::AppRef& app,
                      std::size_t most) const;

  state::Store& store_;
  const EpochKeys& keys_;
  crypto::Random& random_;
};

}  // namespace attestry::keys
