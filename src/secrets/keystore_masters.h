// The masters of a keystore: one default master per epoch, one per vault under it, in memory once opened and sealed at
// rest to a device and to the store (keystore_ckd.md 1.6, 4.1, 7.3; docs/reference/keystore-masters.md).
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "audit/log.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/random.h"
#include "crypto/sealing_device.h"
#include "crypto/secret.h"
#include "keys/sealing_epochs.h"
#include "secrets/keystore_masters_records.h"
#include "secrets/keystore_masters_source.h"
#include "state/store.h"

namespace attestry::secrets {

using MasterPtr = std::shared_ptr<const crypto::Secret>;

/// 16 hex characters that name a master of 32 bytes and say nothing about it.
std::string master_key_id(const crypto::Secret& master);

/// A master as one look saw it: whatever changes meanwhile, these three belong together.
struct MasterInUse {
  std::uint32_t epoch = 0;
  MasterPtr master;
  std::string id;  ///< master_key_id(): another master of the same vault and epoch (after a restoration) has another
};

/// All of it outlives the masters.
struct KeystoreMastersParts {
  state::Store& store;
  audit::Log& log;
  const keys::SealingEpochs& epochs;
  crypto::Random& random;
};

struct KeystoreMastersOptions {
  crypto::Secret first{};  ///< 32 bytes that seal before the first rotation of the store's sealing epochs
  std::shared_ptr<MasterSource> source{};
  std::shared_ptr<crypto::SealingDevice> device{};    ///< null: the store's sealing alone
  std::shared_ptr<crypto::SealingDevice> previous{};  ///< what sealed before, when `device` is a new one; else null
  std::optional<crypto::Secret> v0_seed{};            ///< Ed25519 seed of KEYSTORE_PRIVATE_KEY, 32 bytes
  bool wait_for_import = false;  ///< an empty store gets no master of its own: a standby or a restoration brings it
  /// Asked at each use of a master, besides hold(): of a server that has to stop serving by itself. May be null.
  std::function<base::Status()> gate{};
};

struct MasterEpoch {
  std::uint32_t epoch = 0;
  std::string key_id;  ///< 16 hex characters that name the master and say nothing about it
  base::UtcTime since;
};

struct VaultBan {
  std::string vault;
  std::string reason;
  base::UtcTime since;
};

/// Everything that another server or a backup needs to give the same keys.
struct KeystoreBundle {
  struct Master {
    std::string vault;  ///< empty: default
    std::uint32_t epoch = 0;
    base::UtcTime since;  ///< of a default master; 0 for a vault's
    crypto::Secret master;
  };
  std::uint32_t current = 0;
  std::uint32_t oldest = 0;
  std::string source;           ///< name() of where epoch 1 came from
  std::vector<Master> masters;  ///< by vault and epoch; every default master from oldest to current is there
  crypto::Secret v0_seed;       ///< empty: none was imported
  /// The master that wallets are of, when its epoch is retired: earlier than `oldest`. 0 and empty: wallets are of the
  /// oldest epoch. Of vaults whose masters others give, that epoch's are among `masters`.
  std::uint32_t wallets_epoch = 0;
  crypto::Secret wallets;
  std::vector<VaultBan> bans;  ///< by vault
};

/// Thread-safe. Methods that say so wait for the store, a device or a source: never call those from a server's worker.
class KeystoreMasters {
 public:
  using Completion = state::Store::Completion;

  /// Reads bans and then does what prepare() does; an error of that is not an error of this, but what ready() says.
  /// Only a store that cannot be read is an error. Waits.
  static base::Result<std::unique_ptr<KeystoreMasters>> open(KeystoreMastersParts parts,
                                                             KeystoreMastersOptions options);

  /// Opens what is stored, or makes and keeps the first master. Nothing to do when it is ready. May be called again at
  /// any time, as when the device comes back. Errors: `wrong_key` (another device, another state of it, or a setting
  /// that names another than the stored one), `unavailable` (device or source away, or wait_for_import),
  /// `configuration` (an imported master is not the stored one), `corrupt`. Waits.
  base::Status prepare(base::Deadline deadline);
  /// Whether masters may be used now; what keeps them from it. Cheap.
  base::Status ready() const;
  /// Takes masters out of use while `why` is there (a standby, a server that was taken over); nullopt ends that.
  void hold(std::optional<base::Error> why);

  /// Of a vault, or the default with an empty name; of an epoch, or the current one with 0. Cheap: one HMAC and one
  /// HKDF at the first use of a vault. Errors: those of ready(), `denied` for a banned vault or a retired epoch,
  /// `not_found` for an epoch that is not there and for a vault that load_vault() must bring first (a source that is
  /// not local()).
  base::Result<MasterPtr> master(std::string_view vault = {}, std::uint32_t epoch = 0) const;
  /// The same, with what a memory of derived keys must tell masters apart by.
  base::Result<MasterInUse> at(std::string_view vault, std::uint32_t epoch) const;
  base::Result<MasterInUse> current(std::string_view vault = {}) const { return at(vault, 0); }
  /// What wallets are of, whatever is rotated or retired: the oldest epoch as it was when wallets began. Errors as
  /// those of at(). For addresses, signatures, policies of wallets and keys of vaults alone: what else is encrypted
  /// under that epoch is not to be opened once it is retired.
  base::Result<MasterInUse> wallets(std::string_view vault = {}) const;
  /// Called, on any thread, each time that masters have changed or gone: who remembers what was derived from them
  /// forgets it. One listener; an empty function removes it, and returns when no older one is running any more.
  void on_change(std::function<void()> listener);
  /// The current epoch; 0 while there is no master. Old data was encrypted under what it says: keep it beside the data.
  std::uint32_t current_epoch() const;
  std::uint32_t oldest_epoch() const;
  std::uint32_t wallets_epoch() const;      ///< of wallets(); it may be retired
  std::vector<MasterEpoch> epochs() const;  ///< oldest first; not the retired ones
  /// Seed of the v0 Ed25519 key: what was imported, or HKDF(ikm = default master of epoch 1, info = LP("keystore v0
  /// key")). Errors of ready(); `denied` when epoch 1 is retired and none was imported.
  base::Result<crypto::Secret> v0_seed() const;
  /// The same while hold() keeps masters back: for whoever decides whether that ends.
  base::Result<crypto::Secret> v0_seed_though_held() const;
  /// Name of the device, "none" without one; what it is bound to.
  std::string device_name() const;
  std::string device_bound_to() const;
  std::string_view source_name() const noexcept;

  /// Brings a vault's master from a source that is not local, and keeps it sealed. `denied` for a banned one; other
  /// errors are the source's. Waits.
  base::Status load_vault(std::string_view vault, base::Deadline deadline);
  /// Whether load_vault() must come first; cheap. False while there are no masters at all.
  bool needs_loading(std::string_view vault) const;
  /// Vaults with a master in memory, by name.
  std::vector<std::string> loaded_vaults() const;
  /// Out of memory and of the store; it comes again when it is asked for. Unknown vaults are no error.
  void evict(std::string vault, Completion completion);
  /// Durable, with a leaf "keystore.ban"; takes effect before the completion, and is no error when it stands already.
  /// An empty name is `usage`.
  void ban(std::string vault, std::string reason, Completion completion);
  /// The same for the end of a ban, with a leaf "keystore.unban".
  void unban(std::string vault, Completion completion);
  std::optional<VaultBan> banned(std::string_view vault) const;
  std::vector<VaultBan> bans() const;
  /// Reads bans anew, which another hand has written into the store.
  base::Status reload_bans() { return read_bans(); }

  /// Makes the next epoch and its master; what comes is encrypted under it. The new epoch. `unavailable` unless ready.
  /// Leaf "keystore.rotate". Waits.
  base::Result<std::uint32_t> begin_epoch(base::Deadline deadline);
  /// Erases every epoch before `epoch`, which must not be later than the current one. `needed` runs in the transaction
  /// and its error refuses. A v0 key that hangs on epoch 1 is kept by itself, and so is the master of wallets, for
  /// wallets() alone: nobody can say what needs them still. Leaf "keystore.retire". Waits.
  using Needed = std::move_only_function<base::Status(const state::ReadView&)>;
  base::Status retire_before(std::uint32_t epoch, Needed needed, base::Deadline deadline);

  /// A copy of everything. Errors of prepare(), not of hold(), and `denied` for a source whose masters are given() to
  /// those that others have let in. Whoever calls it appends the leaf that says so.
  base::Result<KeystoreBundle> bundle() const;
  /// The same as `view` has it, which may be newer than what is in use: what a standby needs while a change is not
  /// acknowledged yet. Without bans. Asks the device only for what another hand has sealed.
  base::Result<KeystoreBundle> bundle(const state::ReadView& view) const;
  /// Keeps a bundle in the place of everything that is here, sealed to this server's device; leaf "keystore.import".
  /// Its bans are added. One transaction. `conflict` when there are keys that are no part of it, unless `replace`;
  /// also for masters that this keystore would not start with, or that a source whose masters are given() does not give
  /// it, and the source's error while it cannot say which those are. Waits.
  base::Status import(const KeystoreBundle& bundle, bool replace, base::Deadline deadline);

  /// What the rotation of the store's sealing keys must seal anew.
  std::shared_ptr<const keys::Resealed> records() const noexcept { return records_; }

 private:
  struct Kept {
    MasterPtr master;
    std::string id;
    base::UtcTime since;  ///< of a default master
  };
  struct Opened {
    std::uint32_t current = 0;
    std::uint32_t oldest = 0;
    std::string source;
    std::map<std::uint32_t, Kept> masters;
    std::map<std::pair<std::string, std::uint32_t>, Kept> vaults;
    std::uint32_t wallets_epoch = 0;                                  ///< 0: the oldest of `masters`
    Kept wallets{};                                                   ///< when its epoch is retired
    MasterPtr v0;                                                     ///< null: none was imported
    MasterPtr device_key = std::make_shared<const crypto::Secret>();  ///< empty: no device
  };
  KeystoreMasters(KeystoreMastersParts parts, KeystoreMastersOptions options);
  base::Status read_bans();
  base::Status prepare_now(base::Deadline deadline) ATTESTRY_REQUIRES(slow_);
  /// How a change is kept: its leaf, what must hold in the transaction, and bans that come with it.
  struct Change {
    std::string_view leaf{};
    std::uint32_t epoch = 0;  ///< that the leaf names; 0: the current one
    Needed needed{};
    std::span<const VaultBan> bans{};
  };
  static Kept kept(crypto::Secret master, base::UtcTime since = {});
  static std::pair<std::uint32_t, const Kept&> wallets_of(const Opened& opened);
  base::Result<MasterInUse> of_vault(std::string_view vault, std::uint32_t epoch, const Kept& base) const
      ATTESTRY_REQUIRES(mutex_);
  static KeystoreBundle bundle_of(const Opened& from, bool with_vaults);
  static base::Result<Opened> opened_of(const KeystoreBundle& bundle);
  static base::Status check_all_there(const Opened& stored, const Opened& next);
  base::Status check_given(const Opened* stored, Opened& next) const;
  base::Result<std::optional<Opened>> read_stored(const state::ReadView& view, MasterPtr device_key) const;
  base::Result<std::optional<Opened>> read_stored(bool& reseal) const;
  base::Status read_masters(const state::ReadView& view, Opened& out) const;
  base::Result<MasterPtr> device_key(const state::ReadView& view, bool& reseal) const;
  base::Result<Opened> with_fresh_device_key(Opened opened, base::Bytes& sealed) const;
  base::Result<Opened> make_first() const;
  base::Status keep(state::WriteTxn& txn, const Opened& opened, base::ByteView sealed_device_key) const;
  base::Status replace_stored(Opened opened, Change change, base::Deadline deadline) ATTESTRY_REQUIRES(slow_);
  base::Status put_ban(state::WriteTxn& txn, const VaultBan& ban) const;
  base::Result<base::Bytes> device_record(const state::ReadView& view) const;
  base::Result<MasterPtr> remembered_device_key(const state::ReadView& view) const;
  void remember_device_key(base::Bytes record, MasterPtr key) const;
  void changed() const;
  base::Result<crypto::Secret> v0_now() const;
  base::Status check_settings(const Opened& opened) const;
  base::Status leaf(state::WriteTxn& txn, std::string_view type, std::uint64_t epoch, std::string_view vault) const;
  base::Result<Opened> opened() const;
  void set_opened(Opened opened, std::span<const VaultBan> bans = {});
  void change_ban(std::string vault, std::optional<VaultBan> ban, Completion completion);

  const KeystoreMastersParts parts_;
  const KeystoreMastersOptions options_;
  const std::shared_ptr<const KeystoreRecords> records_;
  base::Mutex slow_;  ///< one change of masters at a time; taken before mutex_
  mutable base::Mutex mutex_;
  mutable std::optional<Opened> opened_ ATTESTRY_GUARDED_BY(mutex_);
  std::optional<base::Error> trouble_ ATTESTRY_GUARDED_BY(mutex_);
  std::optional<base::Error> held_ ATTESTRY_GUARDED_BY(mutex_);
  std::map<std::string, VaultBan, std::less<>> bans_ ATTESTRY_GUARDED_BY(mutex_);
  /// Keys of the device by the record that it is sealed in: of what is in use, and of what is being written.
  mutable std::vector<std::pair<base::Bytes, MasterPtr>> device_keys_ ATTESTRY_GUARDED_BY(mutex_);
  mutable base::Mutex listening_;  ///< taken without the others
  std::function<void()> listener_ ATTESTRY_GUARDED_BY(listening_);
};

}  // namespace attestry::secrets
