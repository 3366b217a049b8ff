// Sessions of workers with the keystore (keystore_ckd.md 3.3: /tee-challenge, /register-tee): a challenge is answered
// once and within a minute; what comes of it lives in the store, ends by itself, can be ended, and is of use over the
// connection it was made on and to the worker it was made with. docs/formats/keystore-wire.md
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "state/sealed.h"
#include "state/store.h"

namespace attestry::secrets {

struct KeystoreSessionRules {
  std::int64_t seconds = 86'400;             ///< a session's life
  std::int64_t challenge_seconds = 60;       ///< as every generation has it
  std::size_t most_challenges = 4096;        ///< unanswered; beyond, the oldest is forgotten
  std::size_t most_challenges_of_one = 256;  ///< for one token; beyond, its own oldest is forgotten
  std::size_t most_sessions = 65'536;        ///< that have not expired; beyond: `rate_limited`
  std::size_t most_sessions_of_one = 256;    ///< of one key; a new one ends its oldest
};

/// One worker that has registered. Immutable once stored.
struct KeystoreSession {
  base::Digest32 digest{};   ///< SHA-256 of the id, under which it is stored: who reads the store cannot use it
  std::string public_key{};  ///< "ed25519:…", as the operator's account has it
  base::UtcTime made{};
  base::UtcTime expires{};
  /// tls-exporter of the connection it was made on; nothing where TLS does not end here.
  std::optional<base::FixedBytes<32>> channel{};
  /// Of a worker whose evidence was verified: the policy that it met, and the evidence.
  std::optional<base::Digest32> policy{};
  std::optional<base::Digest32> evidence{};
  /// 32 bytes under which its replies are sealed; null of a worker without evidence.
  std::shared_ptr<const crypto::Secret> key{};
};

/// Thread-safe; store and random outlive it.
class KeystoreSessions {
 public:
  /// Reads what is stored. `sealing` has 32 bytes and seals the sessions' keys at rest.
  static base::Result<std::unique_ptr<KeystoreSessions>> open(state::Store& store, crypto::Secret sealing,
                                                              crypto::Random& random, KeystoreSessionRules rules);

  /// A stored session as it goes to a standby: with its key open, for an attested channel alone; and back into a value
  /// that this server opens.
  base::Result<crypto::Secret> carry(base::ByteView key, base::ByteView value) const;
  base::Result<base::Bytes> take(base::ByteView key, base::ByteView carried) const;
  /// Reads anew what is stored, which another hand has written there.
  base::Status reload();

  /// 32 fresh bytes, for whoever has the token of that name.
  base::FixedBytes<32> challenge(std::string_view token, base::Deadline now);
  /// Takes it out, whatever becomes of the registration. `malformed`: "Invalid or expired challenge" or "Challenge
  /// expired".
  base::Status answer(const base::FixedBytes<32>& challenge, base::Deadline now);

  /// A version 4 UUID for a new session.
  std::string new_id() const;
  static base::Digest32 digest_of(std::string_view id);

  /// A place among the sessions, held as long as somebody has it; null: all are taken.
  std::shared_ptr<const void> reserve(base::UtcTime now);
  /// In a write closure: stores it. Visible to find() after admitted(), for the closure's completion to call.
  base::Status put(state::WriteTxn& txn, const KeystoreSession& session) const;
  /// Ends the oldest of the same key when there are too many.
  void admitted(std::shared_ptr<const KeystoreSession> session);

  /// `denied` in the words of the wire: "TEE session not found or expired". `channel`: of the connection that it is
  /// used over.
  base::Result<std::shared_ptr<const KeystoreSession>> find(std::string_view id, base::UtcTime now,
                                                            const base::FixedBytes<32>* channel) const;

  using Choice = std::function<bool(const KeystoreSession&)>;  ///< must not depend on the session's key
  /// Ends those that `which` chooses: at once in memory, for good once the store has said so. `also` runs in the same
  /// write when there are any; `done` gets how many the store had. After an error they are still in the store, and
  /// neither find() nor collect() forgets that they were ended. Does not wait.
  using Ended = std::move_only_function<void(base::Result<std::size_t>)>;
  void end(Choice which, std::function<base::Status(state::WriteTxn&, std::size_t)> also, Ended done);
  /// The same, and waits for the store.
  base::Result<std::size_t> end(Choice which, base::Deadline deadline);
  /// Erases what has expired, what `unwanted` names (may be empty), and what could not be erased before; how many.
  /// Waits for the store.
  base::Result<std::size_t> collect(base::UtcTime now, const Choice& unwanted, base::Deadline deadline);

  /// With those that have expired and are not collected yet.
  std::size_t size() const;
  /// Of all that are alive: the keys of workers, each once.
  std::vector<std::string> public_keys() const;

 private:
  struct Hash {
    std::size_t operator()(const base::Digest32& digest) const noexcept;
  };
  KeystoreSessions(state::Store& store, state::SealedValues sealed, crypto::Random& random, KeystoreSessionRules rules)
      : store_(store), sealed_(std::move(sealed)), random_(random), rules_(rules) {}
  base::Result<KeystoreSession> read(base::ByteView key, base::ByteView value) const;
  /// `with` null: the session's key stays closed.
  static base::Result<KeystoreSession> read_open(base::ByteView key, base::ByteView value,
                                                 const state::SealedValues* with);
  base::Result<base::Bytes> value_of(base::ByteView key, const KeystoreSession& session) const;
  /// Takes out of memory what is chosen; the store is to forget it, too.
  std::size_t drop(const Choice& which) ATTESTRY_REQUIRES(mutex_);
  /// In a write closure: erases every stored one that is chosen.
  static base::Result<std::vector<base::Digest32>> erase_stored(state::WriteTxn& txn, const Choice& which);
  void forgotten(const std::vector<base::Digest32>& digests);

  state::Store& store_;
  const state::SealedValues sealed_;
  crypto::Random& random_;
  const KeystoreSessionRules rules_;
  mutable base::Mutex mutex_;
  struct Challenge {
    base::Deadline until;
    std::string token;
  };
  std::map<base::FixedBytes<32>, Challenge> challenges_ ATTESTRY_GUARDED_BY(mutex_);
  std::unordered_map<base::Digest32, std::shared_ptr<const KeystoreSession>, Hash> sessions_
      ATTESTRY_GUARDED_BY(mutex_);
  std::set<base::Digest32> leftover_ ATTESTRY_GUARDED_BY(mutex_);  ///< ended, and perhaps still stored
  std::size_t reserved_ ATTESTRY_GUARDED_BY(mutex_) = 0;
};

}  // namespace attestry::secrets
