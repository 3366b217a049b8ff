// Values sealed at rest: AES-256-GCM under a key of the tenant, bound to the key of the record they stand in, so that a
// sealed value moved to another record does not open.
#pragma once
#include "base/bytes.h"
#include "base/result.h"
#include "crypto/random.h"
#include "crypto/secret.h"

namespace attestry::state {

/// Thread-safe. Sealed form: version u8 (1) ‖ nonce (12) ‖ ciphertext and tag. Nonces are random: fewer than 2^32
/// values per key.
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
