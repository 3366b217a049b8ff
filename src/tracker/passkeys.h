// Passkeys: what a member's ordinary BitTorrent client shows in its announce URL, since it can send nothing else.
// Whoever has one announces as the member; credit cannot be had with it. docs/formats/pbts.md
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "audit/log.h"
#include "base/mutex.h"
#include "base/result.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "state/store.h"
#include "tracker/receipt.h"

namespace attestry::tracker {

/// What a member signs to see its passkey, or to have another: "PBTS passkey\n" ‖ SHA-256(instance id (32) ‖ u8 1 for
/// another ‖ time u64 in seconds ‖ user id). 45 bytes, as nothing else is that members sign. Pure.
base::Bytes passkey_message(const InstanceId& instance, bool rotate, std::uint64_t time, std::string_view user_id);

/// A member as announces know it.
struct PasskeyOwner {
  std::string user_id;
  std::uint32_t number = 0;  ///< for Announcement::member; from 1, another after a restart
};

/// Thread-safe. A passkey is 40 hexadecimal digits: HMAC-SHA256 of the user id and of the time of its last change,
/// under a key of the instance; the store has the time alone.
class Passkeys {
 public:
  template <class T>
  using Completion = std::move_only_function<void(base::Result<T>)>;

  /// `key`: 32 bytes, the same for ever. The store, the log and the randomness outlive it, and it outlives every change
  /// that has begun. Members are added by add(). Errors: those of the store.
  static base::Result<std::unique_ptr<Passkeys>> open(state::Store& store, audit::Log& log, crypto::Random& random,
                                                      crypto::Secret key);

  /// The member's passkey. A member that was not added is.
  std::string add(const std::string& user_id);
  /// Whose it is; nullopt for what is none, or none any more. Takes a lock shortly.
  std::optional<PasskeyOwner> find(std::string_view passkey) const;

  /// Makes the passkey another one; the old is none once `done` is called, with the new. `time`: seconds, what the
  /// member signed; it must be later than that of the last change (`conflict`), so that nobody repeats it. Nullopt: an
  /// administrator's wish, now. Answers before it returns or on the store's thread.
  void rotate(const std::string& user_id, std::optional<std::uint64_t> time, Completion<std::string> done);

 private:
  using Digits = base::FixedBytes<20>;
  struct Hash {
    /// 8 bytes of a MAC. Only where all of them are equal does a table look at the rest, in constant time.
    std::size_t operator()(const Digits& digits) const noexcept;
  };
  struct Equal {
    bool operator()(const Digits& a, const Digits& b) const noexcept { return crypto::equal_constant_time(a, b); }
  };
  struct Own {
    Digits digits{};
    std::uint64_t changed = 0;
    std::uint32_t number = 0;
  };

  Passkeys(state::Store& store, audit::Log& log, crypto::Random& random, crypto::Secret key)
      : store_(store), log_(log), random_(random), key_(std::move(key)) {}
  Digits digits_of(std::string_view user_id, std::uint64_t changed) const;
  Own& own(const std::string& user_id, std::uint64_t changed) ATTESTRY_REQUIRES(mutex_);

  state::Store& store_;
  audit::Log& log_;
  crypto::Random& random_;
  const crypto::Secret key_;
  mutable base::Mutex mutex_;
  // Ordered, as in the ledger: strangers choose these names.
  std::map<std::string, std::uint64_t, std::less<>> changed_
      ATTESTRY_GUARDED_BY(mutex_);  ///< of those that were changed
  std::map<std::string, Own, std::less<>> own_ ATTESTRY_GUARDED_BY(mutex_);
  std::unordered_map<Digits, std::string, Hash, Equal> owners_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::tracker
