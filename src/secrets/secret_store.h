// Secrets that operators deposit for apps: sealed at rest per tenant, released only under a Grant of an app whose
// approvals name them. A deposited value never takes the place of another: it lies beside it, under an id of its own,
// until operators approve that id.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "governance/grant.h"
#include "keys/sealing_epochs.h"
#include "state/sealed.h"
#include "state/spaces.h"
#include "state/store.h"

namespace attestry::secrets {

/// Where SecretStore::put_record() may write, in ascending order.
inline constexpr state::Space kSealedSpaces[] = {state::Space::kv_values, state::Space::transit_keys};

/// What one app may have stored, values of every name, approved or not. All of them fit into one release.
inline constexpr std::size_t kMaxValueBytes = 64 * 1024;
inline constexpr std::size_t kMaxValues = 64;

struct SecretInfo {
  base::Digest32 id{};  ///< content id: SHA-256 of the sealed bytes, so that a short value cannot be guessed from it
  std::string name;     ///< [a-z0-9_.-]{1,63}; what templates refer to; several values may have it
  base::AppRef app;
  std::size_t size = 0;
  base::UtcTime stored;
};
struct OpenSecret {
  SecretInfo info;
  crypto::Secret value;
};

/// Thread-safe.
class SecretStore {
 public:
  /// `sealing` wraps one random key per tenant, made on first use.
  SecretStore(state::Store& store, crypto::Secret sealing, crypto::Random& random);
  /// Stores a value beside all others, with an id that needs an approval of its own. `too_large` beyond kMaxValueBytes,
  /// or when the app has kMaxValues already.
  base::Result<SecretInfo> put(const base::Tenant& tenant, const base::AppRef& app, std::string_view name,
                               const crypto::Secret& value, base::UtcTime now, base::Deadline deadline);
  /// Takes a value out for good. `conflict` while `governed` has its id approved, or when the app's approvals are not
  /// `governed` any more; `not_found` when the app has no value of that name and id.
  base::Status remove(const governance::AppState& governed, std::string_view name, const base::Digest32& id,
                      base::Deadline deadline);
  base::Result<std::vector<SecretInfo>> list(const base::Tenant& tenant, const base::AppRef& app) const;
  /// What the grant's app has approved, one value of each name, by name: of several approved values that of the last
  /// approval. `corrupt` when an approved id is not stored for that app: less than what operators approved is never
  /// released.
  base::Result<std::vector<OpenSecret>> release(const governance::Grant& grant) const;

  /// Under which keys a tenant's values are sealed; begin() and retire() of it concern this store, too.
  const keys::SealingEpochs& epochs() const noexcept { return epochs_; }
  struct Resealed {
    std::uint64_t values = 0;  ///< sealed anew
    base::Bytes cursor;        ///< where to go on
    bool finished = false;     ///< no value comes after
  };
  /// Looks at up to `most` values of the tenant after `cursor`, in the order of their keys, and seals those of older
  /// epochs in the current one. Their ids stay: operators approved them.
  base::Result<Resealed> reseal(state::WriteTxn& txn, const base::Tenant& tenant, base::ByteView cursor,
                                std::size_t most) const;
  /// How many values of the tenant are sealed in an epoch before `epoch`.
  base::Result<std::uint64_t> older_than(const state::ReadView& view, const base::Tenant& tenant,
                                         std::uint32_t epoch) const;
  /// Erases the key from before the first rotation; nothing may need it any more.
  base::Status erase_first_key(state::WriteTxn& txn, const base::Tenant& tenant) const;

  /// Records of other spaces (kSealedSpaces) under the same keys: sealed by put_record(), opened by open_record(), and
  /// part of reseal() and older_than(). The form is version u8 (1) ‖ epoch u32 ‖ LP(sealed), bound to `key`.
  base::Status put_record(state::WriteTxn& txn, const base::Tenant& tenant, base::ByteView key,
                          base::ByteView plaintext) const;
  /// The form alone, for values that are kept elsewhere. The tenant must have sealed something before.
  base::Result<base::Bytes> seal_record(const state::ReadView& view, const base::Tenant& tenant, base::ByteView key,
                                        base::ByteView plaintext) const;
  /// `stored` is the record's value. `denied` when its epoch is retired, `corrupt` when it does not open.
  base::Result<crypto::Secret> open_record(const state::ReadView& view, const base::Tenant& tenant, base::ByteView key,
                                           base::ByteView stored) const;
  /// Keeps the tenant's present key at hand, once it is committed, so that records need no unwrapping each time. Does
  /// nothing when no record missed it since the last call.
  void remember_keys(const base::Tenant& tenant) const;

 private:
  base::Result<state::SealedValues> sealer(const state::ReadView& view, const base::Tenant& tenant,
                                           std::uint32_t epoch) const;
  base::Status make_first_key(state::WriteTxn& txn, const base::Tenant& tenant) const;
  base::Result<Resealed> reseal_secrets(state::WriteTxn& txn, const base::Tenant& tenant, base::ByteView cursor,
                                        std::size_t most) const;
  base::Result<Resealed> reseal_records(state::WriteTxn& txn, const base::Tenant& tenant, state::Space space,
                                        base::ByteView cursor, std::size_t most) const;
  using Sealer = std::shared_ptr<const state::SealedValues>;
  base::Result<Sealer> record_sealer(const state::ReadView& view, const base::Tenant& tenant,
                                     std::uint32_t epoch) const;

  state::Store& store_;
  crypto::Secret sealing_;
  crypto::Random& random_;
  keys::SealingEpochs epochs_;
  mutable std::atomic<bool> missed_{false};
  mutable base::Mutex mutex_;
  /// Of committed epochs only: what a transaction sees may never be committed.
  mutable std::map<std::pair<std::string, std::uint32_t>, Sealer> sealers_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::secrets
