// Values sealed at rest: AES-256-GCM under a key of the tenant, bound to the key of the record they stand in, so that a
// sealed value moved to another record does not open.
#pragma once
#include "base/bytes.h"
#include "base/result.h"
#include "crypto/random.h"
#include "crypto/secret.h"

namespace attestry::state {

/// Thread-safe. Sealed form: version u8 (2) ‖ salt (24) ‖ ciphertext and tag. Each value has a key and a nonce of its
/// own, of the 44 bytes HKDF-SHA-256(salt, ikm = key, info = LP("attestry/sealed-value/2")): no number of values under
/// one key is too many (docs/decisions/0018). What was sealed before, version u8 (1) ‖ nonce (12) ‖ ciphertext and tag
/// under the key itself, is opened.
class SealedValues {
 public:
  /// `key` has 32 bytes and belongs to one tenant; `random` outlives this.
  static base::Result<SealedValues> create(crypto::Secret key, crypto::Random& random);
  base::Result<base::Bytes> seal(base::ByteView record_key, base::ByteView plaintext) const;
  /// Error `corrupt` when the value was altered, moved to another record or sealed under another key.
  base::Result<crypto::Secret> open(base::ByteView record_key, base::ByteView sealed) const;

 private:
  SealedValues(crypto::Secret key, crypto::Random& random) : key_(std::move(key)), random_(&random) {}
  crypto::Secret key_;
  crypto::Random* random_;
};

}  // namespace attestry::state
