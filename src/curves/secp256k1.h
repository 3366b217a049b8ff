// secp256k1 keys and ECDSA on libsecp256k1 (SEC 2 section 2.4.1).
#pragma once
#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"
#include "curves/address.h"

namespace attestry::curves {

/// Immutable, thread-safe.
class Secp256k1PrivateKey {
 public:
  /// Big-endian scalar in [1, n-1], 32 bytes.
  static base::Result<Secp256k1PrivateKey> from_scalar(base::ByteView scalar);
  /// d = OS2IP(bytes) mod (n-1) + 1 (FIPS 186-5 A.2.1) from 48 bytes.
  static base::Result<Secp256k1PrivateKey> from_wide(base::ByteView bytes);

  const crypto::Secret& scalar() const noexcept { return scalar_; }
  const base::FixedBytes<33>& public_key_compressed() const noexcept { return compressed_; }
  /// x ‖ y.
  const base::FixedBytes<64>& public_key_raw() const noexcept { return raw_; }
  /// r ‖ s over a 32-byte digest, low s, nonce after RFC 6979.
  base::Result<base::FixedBytes<64>> sign_digest(base::ByteView digest) const;
  /// r ‖ s ‖ v over a 32-byte digest, low s, v in {0, 1}: what secp256k1_recover takes.
  base::Result<base::FixedBytes<65>> sign_recoverable(base::ByteView digest) const;

 private:
  explicit Secp256k1PrivateKey(crypto::Secret scalar) : scalar_(std::move(scalar)) {}
  crypto::Secret scalar_;
  base::FixedBytes<33> compressed_{};
  base::FixedBytes<64> raw_{};
};

/// `public_key` 33 or 65 bytes; high s is accepted.
bool secp256k1_verify_digest(base::ByteView public_key, base::ByteView digest, base::ByteView signature);

/// x ‖ y of the key that signed the 32-byte digest; `signature` is r ‖ s ‖ v with v in {0, 1}: 27 and 28 are refused.
/// A high s is accepted, so a signature is never the name of what it signed.
base::Result<base::FixedBytes<64>> secp256k1_recover(base::ByteView digest, base::ByteView signature);

/// The last 20 bytes of Keccak-256(x ‖ y).
Address ethereum_address(const base::FixedBytes<64>& public_key_raw);

}  // namespace attestry::curves
