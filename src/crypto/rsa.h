// RSA signatures (RFC 8017), for vendors that sign with RSA: AMD's chains and the tokens of Azure. Keys of 2048 to 8192
// bits with a public exponent of at least 65537 (FIPS 186-5 5.1, 5.4).
#pragma once
#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/secret.h"

namespace attestry::crypto {

/// Immutable, cheap to copy (shared), thread-safe.
class RsaPublicKey {
 public:
  /// Big-endian magnitudes; leading zeros are allowed. Error `malformed` for sizes and exponents out of range and for
  /// an even modulus.
  static base::Result<RsaPublicKey> from_numbers(base::ByteView n, base::ByteView e);
  /// DER SubjectPublicKeyInfo with rsaEncryption and NULL parameters (RFC 3279 2.3.1).
  static base::Result<RsaPublicKey> from_spki(base::ByteView der);

  std::size_t bits() const noexcept;
  base::Bytes n() const;  ///< big-endian, no leading zeros
  base::Bytes e() const;
  base::Bytes spki() const;

  /// RSASSA-PKCS1-v1_5 with SHA-256 (RS256; sha256WithRSAEncryption). The signature has exactly the modulus' size.
  bool verify_pkcs1_sha256(base::ByteView message, base::ByteView signature) const;
  /// The same for a message that was hashed already.
  bool verify_pkcs1(const Sha256Digest& digest, base::ByteView signature) const;
  /// RSASSA-PSS with SHA-384, MGF1 with SHA-384 and a salt of exactly 48 bytes, as AMD signs.
  bool verify_pss_sha384(base::ByteView message, base::ByteView signature) const;

  struct Impl;
  explicit RsaPublicKey(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}

 private:
  std::shared_ptr<const Impl> impl_;
};

/// For test PKIs, and for the keys that clients keep here (crypto/rsa_key.h). Immutable, cheap to copy (shared),
/// thread-safe.
class RsaPrivateKey {
 public:
  /// The same random stream gives the same key. `bits`: 2048, 3072 or 4096; takes up to seconds.
  static RsaPrivateKey generate(unsigned bits, Random& random);

  RsaPublicKey public_key() const;
  Secret pkcs8() const;  ///< unencrypted DER
  base::Bytes sign_pkcs1_sha256(base::ByteView message) const;
  /// `salt` has 48 bytes for a signature that verify_pss_sha384 accepts; other sizes up to 64 are for tests.
  base::Bytes sign_pss_sha384(base::ByteView message, base::ByteView salt) const;

  struct Impl;
  explicit RsaPrivateKey(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}

 private:
  std::shared_ptr<const Impl> impl_;
};

}  // namespace attestry::crypto
