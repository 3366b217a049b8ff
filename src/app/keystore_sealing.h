// What seals the masters of a keystore: the settings that name it, and the masters opened with it.
#pragma once
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "api/slow_lane.h"
#include "app/service.h"
#include "app/settings.h"
#include "crypto/sealing_device.h"
#include "secrets/keystore_masters.h"
#include "secrets/keystore_rotation.h"

namespace attestry::app {

std::span<const SettingInfo> keystore_sealing_setting_infos() noexcept;

struct KeystoreSealing {
  std::shared_ptr<crypto::SealingDevice> device{};    ///< null: the root file alone
  std::shared_ptr<crypto::SealingDevice> previous{};  ///< null: none
};
/// Appends every mistake; what is returned is good only without any. Touches no device.
KeystoreSealing read_keystore_sealing(const Settings& settings, std::vector<base::Error>& mistakes);

/// "tpm2:0,2,4,7", "sgx:mrenclave", "sgx:mrsigner", "snp", "dstack" or "key-file"; null for nothing. `configuration`
/// for anything else.
base::Result<std::shared_ptr<crypto::SealingDevice>> sealing_device(const Settings& settings, std::string_view text);

struct KeystoreKeysOptions {
  std::shared_ptr<secrets::MasterSource> source{};
  std::optional<crypto::Secret> v0_seed{};  ///< as KeystoreMastersOptions has it
  bool wait_for_import = false;             ///< likewise
  std::function<base::Status()> gate{};     ///< likewise
  std::shared_ptr<secrets::SecretLister>
      lister{};                                ///< null: no secrets are read from anywhere, so none are walked over
  secrets::keystore::BrokenCiphers allowed{};  ///< that a walk reads
  /// Of vaults, as KeystoreRotationParts has it.
  std::function<base::Status(std::string_view vault, base::Deadline deadline)> vault_gate{};
};

/// The masters of a server that runs; a thread that tries to open them for as long as a device or a source is away, and
/// that walks over secrets after a rotation; what operators do with them.
class KeystoreKeys {
 public:
  /// Joins the rotation of the store's sealing keys. What `parts` refers to outlives it.
  static base::Result<std::unique_ptr<KeystoreKeys>> open(const Settings& settings, const ServiceParts& parts,
                                                          KeystoreKeysOptions options);
  ~KeystoreKeys();
  KeystoreKeys(const KeystoreKeys&) = delete;
  KeystoreKeys& operator=(const KeystoreKeys&) = delete;

  secrets::KeystoreMasters& masters() noexcept { return *masters_; }
  /// Routes of operators on the admin listener (api/keystore_operations.h).
  base::Status add_routes(net::Router& router);
  /// KeystoreRotation::walk_again().
  base::Status walk_again();
  void update_metrics() const;
  /// Ends its threads: nothing is asked of it any more. May be called again.
  void stop();

 private:
  explicit KeystoreKeys(const ServiceParts& parts) : parts_(parts) {}
  void work();
  bool rest(std::chrono::milliseconds most);

  const ServiceParts parts_;
  std::shared_ptr<secrets::MasterSource> source_;
  std::unique_ptr<secrets::KeystoreMasters> masters_;
  std::shared_ptr<secrets::SecretLister> lister_;
  std::optional<secrets::KeystoreRotation> rotation_;
  api::SlowLane lane_{2, 64};
  // std::mutex: a condition variable waits on it.
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;  ///< guarded by mutex_
  bool woken_ = true;      ///< guarded by mutex_
  std::thread thread_;
};

}  // namespace attestry::app
