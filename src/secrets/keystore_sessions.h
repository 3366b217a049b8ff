// Sessions of workers with the keystore (keystore_ckd.md 3.3: /tee-challenge, /register-tee): a challenge is answered
// once and within a minute; what comes of it lives in the store, ends by itself, can be ended, and is of use over the
// connection it was made on and to the worker it was made with. docs/formats/keystore-wire.md
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
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
  std::int64_t seconds = 86'400;        ///< a session's life
  std::int64_t challenge_seconds = 60;  ///< as every generation has it
  std::size_t most_challenges = 4096;   ///< unanswered; beyond, the oldest is forgotten
  std::size_t most_sessions = 65'536;   ///< beyond: `rate_limited`
};

/// One worker that has registered. Immutable once stored.
struct KeystoreSession {
  base::Digest32 digest{};   ///< SHA-256 of the id, under which it is stored: who reads the store cannot use it
  std::string public_key{};  ///< "ed25519:…", as the operator's account has it
  base::UtcTime made{};
  base::UtcTime expires{};
  /// tls-exporter of the connection it was made on; nothing where TLS does not end here.
  std::optional<base::FixedBytes<32>> channel{};
  /// Of a worker whose evidence was verified: policy and evidence, for leaves.
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

  /// 32 fresh bytes.
  base::FixedBytes<32> challenge(base::Deadline now);
  /// Takes it out, whatever becomes of the registration. `malformed`: "Invalid or expired challenge" or "Challenge
  /// expired".
  base::Status answer(const base::FixedBytes<32>& challenge, base::Deadline now);

  /// A version 4 UUID for a new session.
  std::string new_id() const;
  static base::Digest32 digest_of(std::string_view id);

  /// In a write closure: stores it. Visible to find() after admitted(), for the closure's completion to call.
  base::Status put(state::WriteTxn& txn, const KeystoreSession& session) const;
  void admitted(std::shared_ptr<const KeystoreSession> session);
  bool full() const;

  /// `denied` in the words of the wire: "TEE session not found or expired". `channel`: of the connection that it is
  /// used over.
  base::Result<std::shared_ptr<const KeystoreSession>> find(std::string_view id, base::UtcTime now,
                                                            const base::FixedBytes<32>* channel) const;

  /// Ends those that `which` chooses, at once and for good; how many. Waits for the store.
  base::Result<std::size_t> end(const std::function<bool(const KeystoreSession&)>& which, base::Deadline deadline);
  /// Ends what has expired.
  base::Result<std::size_t> collect(base::UtcTime now, base::Deadline deadline);

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

  state::Store& store_;
  const state::SealedValues sealed_;
  crypto::Random& random_;
  const KeystoreSessionRules rules_;
  mutable base::Mutex mutex_;
  std::map<base::FixedBytes<32>, base::Deadline> challenges_ ATTESTRY_GUARDED_BY(mutex_);
  std::unordered_map<base::Digest32, std::shared_ptr<const KeystoreSession>, Hash> sessions_
      ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::secrets
