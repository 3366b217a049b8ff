// What a keystore knows of the chain: stored secrets and access keys as of a final block, remembered for as long as the
// head is (keystore_ckd.md 3.3, 6.1). Nothing is asked for a request that a remembered answer serves.
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "chain/near_rpc.h"
#include "secrets/keystore_access.h"
#include "secrets/keystore_accessor.h"

namespace attestry::secrets {

struct KeystoreSecretName {
  keystore::Accessor accessor{};
  std::string profile{};
  chain::near::AccountId owner;
};

/// One stored secret as the contract has it. Immutable.
struct KeystoreSecret {
  keystore::StoredSecret stored{};
  /// What its `access` says; an error when that is no condition.
  base::Result<keystore::AccessCondition> access;
};

/// What one takes in memory, about: the blob, the condition and its compiled patterns.
std::size_t memory_of(const KeystoreSecret& secret) noexcept;

/// Null: the contract has no such secret.
using KeystoreFound = std::shared_ptr<const KeystoreSecret>;

struct KeystoreView {
  KeystoreFound secret{};
  chain::near::Block at{};
};

struct KeystoreChainRules {
  std::chrono::milliseconds ttl{1000};  ///< of what is remembered, as the reader's head_ttl
  keystore::AccessRules access{};
  std::size_t most = 16'384;           ///< remembered answers
  std::size_t most_bytes = 64u << 20;  ///< and what they take together, about
};

/// Thread-safe; reader and clock outlive it. Errors of reads: `unavailable` and `deadline_exceeded`, also when the
/// contract answers something else than its interface says; `not_found` and `denied` when there is no such contract or
/// it refuses.
class KeystoreChain {
 public:
  /// Without a contract there are access keys alone: read() is `configuration`.
  KeystoreChain(chain::near::ChainReader& reader, std::optional<chain::near::AccountId> contract,
                const base::Clock& clock, KeystoreChainRules rules = {})
      : reader_(reader), contract_(std::move(contract)), clock_(clock), rules_(rules) {}

  /// The bytes that a name is remembered under, and the arguments of the view.
  static std::string arguments(const KeystoreSecretName& name);
  /// What is remembered and still counts; never waits.
  std::optional<KeystoreView> at_hand(const std::string& arguments) const;
  /// Waits for the chain unless it is at hand.
  base::Result<KeystoreView> read(const std::string& arguments, base::Deadline deadline);

  /// `not_found`: the key is not one of the account's.
  base::Status has_key(const chain::near::Block& at, const chain::near::AccountId& account,
                       const chain::near::PublicKey& key, base::Deadline deadline);
  /// At the newest block.
  base::Status has_key(const chain::near::AccountId& account, const chain::near::PublicKey& key,
                       base::Deadline deadline);

  chain::near::ChainReader& reader() const noexcept { return reader_; }
  bool has_contract() const noexcept { return contract_.has_value(); }

 private:
  struct Entry {
    KeystoreView view;
    base::Deadline until;
    std::size_t bytes;
  };
  void keep(const std::string& arguments, const KeystoreView& view, base::Deadline until);
  chain::near::ChainReader& reader_;
  const std::optional<chain::near::AccountId> contract_;
  const base::Clock& clock_;
  const KeystoreChainRules rules_;
  mutable base::Mutex mutex_;
  std::unordered_map<std::string, Entry> entries_ ATTESTRY_GUARDED_BY(mutex_);
  std::size_t bytes_ ATTESTRY_GUARDED_BY(mutex_) = 0;
};

}  // namespace attestry::secrets
