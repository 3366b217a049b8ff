// Looks, with every block that becomes final, whether contracts still allow what this server released to, and writes
// one leaf for each that they no longer do. What a server missed while it was not running it sees at its next start.
#pragma once
#include <condition_variable>
#include <thread>

#include "base/mutex.h"
#include "crypto/random.h"
#include "governance/contract_authority.h"
#include "provision/registry_grants.h"

namespace attestry::provision {

struct RegistryWatchDeps {
  state::Store& store;
  audit::Log& log;
  governance::ContractAuthority& authority;
  crypto::Random& random;
  base::Tenant tenant = base::Tenant::standard();
  std::chrono::seconds patience{10};  ///< for one question, and for one write
};

/// Thread-safe. Refuses nothing itself: a release asks the contract anyway. The destructor waits for a question under
/// way.
class RegistryWatch {
 public:
  explicit RegistryWatch(RegistryWatchDeps deps);
  ~RegistryWatch();
  RegistryWatch(const RegistryWatch&) = delete;
  RegistryWatch& operator=(const RegistryWatch&) = delete;

  /// There is a new head. Never waits.
  void head_moved();
  /// Grants that were looked at, since the start.
  std::uint64_t looked_at() const;

 private:
  void work();
  bool wait_for_head();
  bool stopping() const;
  /// False when the authority cannot be asked now.
  bool look_at_all();
  base::Status look_at(const ContractGrant& grant);
  base::Status revoke(const ContractGrant& grant, std::uint64_t block, std::string snapshot, std::string reason);

  const RegistryWatchDeps deps_;
  mutable base::Mutex mutex_;
  std::condition_variable_any changed_;
  bool moved_ ATTESTRY_GUARDED_BY(mutex_) = false;
  bool stopping_ ATTESTRY_GUARDED_BY(mutex_) = false;
  std::uint64_t looked_at_ ATTESTRY_GUARDED_BY(mutex_) = 0;
  std::thread thread_;
};

}  // namespace attestry::provision
