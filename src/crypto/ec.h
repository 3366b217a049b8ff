// Signatures and key agreement on P-256, P-384, P-521, Ed25519 and X25519.
#pragma once
#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/random.h"
#include "crypto/secret.h"

namespace attestry::crypto {

enum class Curve : std::uint8_t { p256, p384, p521 };
/// "P-256".
std::string_view to_text(Curve curve) noexcept;
/// Bytes of a coordinate, of a scalar, and of each half of a signature: 32, 48 or 66.
std::size_t field_size(Curve curve) noexcept;

/// An ECDSA public key that is on its curve. Immutable, cheap to copy (shared), thread-safe.
class EcPublicKey {
 public:
  /// x ‖ y, big-endian, 64 (P-256), 96 (P-384) or 132 (P-521) bytes; off-curve points and zeros are refused.
  static base::Result<EcPublicKey> from_raw(Curve curve, base::ByteView xy);
  /// DER SubjectPublicKeyInfo (RFC 5480) with a named curve.
  static base::Result<EcPublicKey> from_spki(base::ByteView der);
  /// 04 ‖ X ‖ Y (SEC 1 2.3.3); compressed points are refused.
  static base::Result<EcPublicKey> from_point(Curve curve, base::ByteView point);

  Curve curve() const noexcept;
  base::Bytes raw() const;
  base::Bytes spki() const;
  base::Bytes point() const;  ///< 04 ‖ X ‖ Y

  /// ECDSA with SHA-256 (P-256), SHA-384 (P-384) or SHA-512 (P-521); signature r ‖ s of exactly twice the field size;
  /// 0 and >= n refused.
  bool verify_raw(base::ByteView message, base::ByteView signature) const;
  /// The same with a DER Ecdsa-Sig-Value.
  bool verify_der(base::ByteView message, base::ByteView signature) const;
  /// The same over a digest of any length, cut to the leftmost bits of the order (FIPS 186-5 6.4.1).
  bool verify_digest_der(base::ByteView digest, base::ByteView signature) const;

  struct Impl;
  explicit EcPublicKey(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}
  const Impl& impl() const noexcept { return *impl_; }

 private:
  std::shared_ptr<const Impl> impl_;
};

/// An ECDSA private key. Immutable, thread-safe.
class EcPrivateKey {
 public:
  static EcPrivateKey generate(Curve curve, Random& random);
  /// Big-endian scalar in [1, n-1], as long as the field.
  static base::Result<EcPrivateKey> from_scalar(Curve curve, base::ByteView scalar);
  /// d = OS2IP(bytes) mod (n-1) + 1 (FIPS 186-5 A.2.1) from 48 bytes (P-256), 56 (P-384) or 74 (P-521).
  static base::Result<EcPrivateKey> from_wide(Curve curve, base::ByteView bytes);
  /// PKCS #8 DER or PEM's content, unencrypted.
  static base::Result<EcPrivateKey> from_pkcs8(base::ByteView der);
  /// ECPrivateKey DER with a named curve (RFC 5915).
  static base::Result<EcPrivateKey> from_sec1(base::ByteView der);

  Curve curve() const noexcept;
  EcPublicKey public_key() const;
  Secret scalar() const;
  Secret pkcs8() const;
  /// ECPrivateKey DER with the curve and the public key in it: 121 bytes on P-256.
  Secret sec1() const;
  /// ECDH (SP 800-56A 5.7.1.2): the shared point's x, as long as the field. Error `malformed` for a key on another
  /// curve.
  base::Result<Secret> agree(const EcPublicKey& peer) const;
  /// r ‖ s. Deterministic nonce (RFC 6979 or an equivalent that mixes key and message) when `deterministic`: test PKIs
  /// only need it; otherwise the library's hedged nonce.
  base::Bytes sign_raw(base::ByteView message, bool deterministic = false) const;
  base::Bytes sign_der(base::ByteView message, bool deterministic = false) const;
  /// Over a digest of any length, as EcPublicKey::verify_digest_der takes it.
  base::Bytes sign_digest_der(base::ByteView digest) const;

  struct Impl;
  explicit EcPrivateKey(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}
  const Impl& impl() const noexcept { return *impl_; }

 private:
  std::shared_ptr<const Impl> impl_;
};

/// RFC 8032. Public key 32 bytes, signature 64 bytes.
class Ed25519PrivateKey {
 public:
  static Ed25519PrivateKey generate(Random& random);
  static base::Result<Ed25519PrivateKey> from_seed(base::ByteView seed);
  const base::FixedBytes<32>& public_key() const noexcept { return public_; }
  base::FixedBytes<64> sign(base::ByteView message) const;
  const Secret& seed() const noexcept { return seed_; }

 private:
  Ed25519PrivateKey(Secret seed, Secret expanded, base::FixedBytes<32> pub)
      : seed_(std::move(seed)), expanded_(std::move(expanded)), public_(pub) {}
  Secret seed_;
  Secret expanded_;
  base::FixedBytes<32> public_;
};
bool ed25519_verify(base::ByteView public_key, base::ByteView message, base::ByteView signature);

/// RFC 7748. The public key for a 32-byte private key.
base::FixedBytes<32> x25519_public(base::ByteView private_key);
/// The shared point's u coordinate, 32 bytes, of two 32-byte keys. Error `crypto` when it is all zero: the peer's point
/// is of small order, and everybody knows the result (RFC 7748 6.1).
base::Result<Secret> x25519_agree(base::ByteView private_key, base::ByteView peer_public);
/// The X25519 key that belongs to an Ed25519 seed, clamped: the beginning of its SHA-512 (RFC 8032 5.1.5).
/// curves::x25519_from_ed25519 gives its public key from the Ed25519 public key. `seed` 32 bytes.
Secret x25519_from_ed25519_seed(base::ByteView seed);

}  // namespace attestry::crypto
