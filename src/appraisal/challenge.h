// Challenges: stateless nonces, used once (FORMATS 3). `Fresh` is the proof that a nonce was ours, in time and for this
// purpose, and the only way to spend it.
#pragma once
#include <optional>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "state/store.h"

namespace attestry::appraisal {

inline constexpr std::int64_t kChallengeLifetimeSeconds = 300;
inline constexpr std::size_t kNonceBytes = 42;

struct Challenge {
  base::FixedBytes<kNonceBytes> nonce{};
  base::UtcTime expires;
};

/// The nonce that one of several nodes gave for evidence which all of them will judge.
struct NodeNonce {
  std::uint32_t id = 0;
  base::FixedBytes<kNonceBytes> nonce{};
  friend bool operator==(const NodeNonce&, const NodeNonce&) = default;
};
inline constexpr std::size_t kMostNodeNonces = 255;
/// What such evidence is made for (FORMATS 10). Error `malformed` unless there are 1 to kMostNodeNonces, ids ascending
/// and distinct.
base::Result<base::Digest32> combined_nonce(std::span<const NodeNonce> nonces);

/// What was answered to a spent nonce: the same body gets it again until the nonce expires.
struct SpentNonce {
  base::Digest32 body_sha256{};
  bool released = false;  ///< false: a refusal by policy, which spends the nonce too
  std::uint64_t leaf_index = 0;
  base::Bytes reply;  ///< sealed bytes of a release; the problem document of a refusal
};

/// Proof that a nonce is ours, unexpired and made for `purpose`. Movable, not copyable. That it is unused is known only
/// when spend() succeeds inside the transaction that also holds the leaf.
class Fresh {
 public:
  Fresh(Fresh&&) noexcept = default;
  Fresh& operator=(Fresh&&) noexcept = default;
  Fresh(const Fresh&) = delete;
  Fresh& operator=(const Fresh&) = delete;

  /// What the evidence must be made for: the nonce that is spent, or the combined one that it went into.
  const base::Bytes& nonce() const noexcept { return nonce_; }
  base::Purpose purpose() const noexcept { return purpose_; }
  base::UtcTime expires() const noexcept { return expires_; }
  const base::Digest32& body_sha256() const noexcept { return body_sha256_; }

  /// Marks the nonce as used, with what was answered (at most 8 MiB). Error `replayed` when it was used before, and
  /// `challenge_expired` when it expired while the answer was made: the row of an earlier use may be collected then.
  base::Status spend(state::WriteTxn& txn, base::UtcTime now, bool released, std::uint64_t leaf_index,
                     base::ByteView reply) const;

 private:
  friend class Challenges;
  Fresh(base::Bytes nonce, base::Purpose purpose, base::UtcTime expires, base::Digest32 body)
      : nonce_(nonce), spent_(std::move(nonce)), purpose_(purpose), expires_(expires), body_sha256_(body) {}
  base::Bytes nonce_;
  base::Bytes spent_;  ///< ours
  base::Purpose purpose_;
  base::UtcTime expires_;
  base::Digest32 body_sha256_;
};

/// Makes and checks challenges. Thread-safe. Reads no clock: `now` is max(clock, highest time in the store).
class Challenges {
 public:
  /// `key` 32 bytes; `previous` is accepted for 300 s after `changed_at`.
  Challenges(crypto::Secret key, crypto::Random& random, std::optional<crypto::Secret> previous = {},
             base::UtcTime changed_at = {});

  Challenge issue(base::Purpose purpose, base::UtcTime now) const;

  /// `malformed` when it is no nonce of ours, `challenge_expired`, or `denied` when it was made for another purpose.
  /// `body` is the whole request body: the nonce is its idempotency key.
  base::Result<Fresh> check(base::ByteView nonce, base::Purpose purpose, base::ByteView body, base::UtcTime now) const;

  /// The same for evidence that several nodes judge: node `own` spends its own nonce, and the evidence must be made for
  /// all of them combined. Besides the errors above: those of combined_nonce(), and `denied` when `own` has none here.
  base::Result<Fresh> check_among(std::span<const NodeNonce> nonces, std::uint32_t own, base::Purpose purpose,
                                  base::ByteView body, base::UtcTime now) const;

  /// The answer already given for this nonce and body; nullopt when the nonce is unused; `replayed` when it was used
  /// with another body.
  static base::Result<std::optional<SpentNonce>> answered(const state::Store& store, const Fresh& fresh);

  /// Erases nonces whose expiry lies before `now`, at most `limit`, oldest first. Runs inside the committer.
  static base::Result<std::size_t> collect_expired(state::WriteTxn& txn, base::UtcTime now, std::size_t limit);

 private:
  crypto::Secret key_;
  std::optional<crypto::Secret> previous_;
  base::UtcTime changed_at_;
  crypto::Random& random_;
};

}  // namespace attestry::appraisal
