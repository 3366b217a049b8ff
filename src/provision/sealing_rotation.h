// Rotation of the keys that what is kept of a tenant is sealed under: begins epochs, seals anew in the background what
// is of older ones, and retires them (docs/reference/sealing.md).
#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "audit/log.h"
#include "base/result.h"
#include "base/time.h"
#include "blobs/sealing.h"
#include "keys/received_master.h"
#include "keys/resealed.h"
#include "keys/sealing_epochs.h"
#include "secrets/secret_store.h"
#include "state/store.h"

namespace attestry::provision {

/// All of it outlives the rotation.
struct SealingRotationDeps {
  state::Store& store;
  audit::Log& log;
  const secrets::SecretStore& secrets;
  const keys::SealedMaster& master;  ///< of the registry's dialect, where an operator brings it
  blobs::Sealer& sealer;
  std::string files;                    ///< folder of the file store that is sealed; there may be none
  std::string cache;                    ///< folder of the cache; there may be none
  std::string first_keys;               ///< folder of the tenants' first keys for files
  std::chrono::milliseconds pause{20};  ///< between two steps
};

struct SealingProgress {
  keys::SealingState state;
  std::uint64_t values_left = 0;  ///< sealed in an epoch before the current one
  std::uint64_t files_left = 0;
};

/// Thread-safe. One thread of its own does the work and goes on after every start where the last run stopped: each step
/// is one transaction, or a file that is replaced as a whole.
class SealingRotation {
 public:
  explicit SealingRotation(SealingRotationDeps deps);
  ~SealingRotation();
  SealingRotation(const SealingRotation&) = delete;
  SealingRotation& operator=(const SealingRotation&) = delete;

  /// What is sealed under these epochs elsewhere. At the start of a server, before anybody can ask for a retirement.
  void add(std::shared_ptr<const keys::Resealed> more);

  base::Result<SealingProgress> progress(const base::Tenant& tenant) const;
  /// Begins the next epoch. `conflict` while the last change is not done.
  base::Result<SealingProgress> rotate(const base::Tenant& tenant, base::Deadline deadline);
  /// Ends all epochs before the current one; their keys are erased. `conflict` while anything needs them, or when there
  /// are none.
  base::Result<SealingProgress> retire(const base::Tenant& tenant, base::Deadline deadline);

 private:
  void work();
  void wake();
  bool rest(std::chrono::milliseconds most);
  base::Status step(const base::Tenant& tenant);
  base::Result<std::uint64_t> values_older_than(const state::ReadView& view, const base::Tenant& tenant,
                                                std::uint32_t epoch) const;
  base::Status reseal_values(const base::Tenant& tenant);
  base::Status reseal_files(const base::Tenant& tenant, const keys::SealingState& state);
  base::Result<std::deque<std::string>*> pending(const base::Tenant& tenant, const keys::SealingState& state);
  base::Result<SealingProgress> progress_after(const base::Tenant& tenant) const;
  base::Status erase(const base::Tenant& tenant);
  base::Status settle(state::WriteTxn& txn, const base::Tenant& tenant, keys::SealingState state,
                      std::string_view what);
  base::Status leaf(state::WriteTxn& txn, const base::Tenant& tenant, std::string_view what,
                    const keys::SealingState& state);

  std::vector<std::shared_ptr<const keys::Resealed>> others() const;

  const SealingRotationDeps deps_;
  const keys::SealingEpochs& epochs_;
  // std::mutex: a condition variable waits on it.
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<const keys::Resealed>> others_;  ///< guarded by mutex_
  std::condition_variable wake_;
  bool woken_ = true;      ///< guarded by mutex_
  bool stopping_ = false;  ///< guarded by mutex_
  /// Of the thread alone: what is still to be looked at, so that a folder is listed once and not before each step.
  struct Pending {
    std::uint32_t epoch = 0;
    base::Bytes cursor{};  ///< the state's when this was right
    std::deque<std::string> files{};
  };
  std::map<std::string, Pending> pending_;
  std::thread thread_;
};

}  // namespace attestry::provision
