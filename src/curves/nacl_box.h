// NaCl boxes and libsodium's sealed boxes (X25519, XSalsa20-Poly1305): how key managers of the dstack family hand their
// master key on. Nothing of ours seals like this: HPKE (crypto/hpke.h) binds what a box is for. Pure functions.
#pragma once
#include "base/bytes.h"
#include "base/result.h"
#include "crypto/random.h"
#include "crypto/secret.h"

namespace attestry::curves {

using BoxPublicKey = base::FixedBytes<32>;

/// An X25519 key (RFC 7748). Move-only.
class BoxPrivateKey {
 public:
  /// 32 bytes, of which every value is a key.
  static base::Result<BoxPrivateKey> from_bytes(base::ByteView bytes);
  static BoxPrivateKey generate(crypto::Random& random);
  const BoxPublicKey& public_key() const noexcept { return public_; }
  const crypto::Secret& bytes() const noexcept { return secret_; }

 private:
  explicit BoxPrivateKey(crypto::Secret secret);
  crypto::Secret secret_;
  BoxPublicKey public_{};
};

/// How many bytes a sealed box is longer than what it holds: the ephemeral public key and the tag.
inline constexpr std::size_t kSealedBoxOverhead = 48;

/// The key of crypto_box for this pair: HSalsa20 of the shared point, 32 bytes. Error `malformed` when `theirs` is not
/// the one spelling of a point, or a point of small order, which agrees on a key that everybody knows; `crypto` when
/// libsodium cannot be set up.
base::Result<crypto::Secret> box_shared_key(const BoxPrivateKey& ours, const BoxPublicKey& theirs);

/// The nonce of a sealed box: BLAKE2b-192(ephemeral ‖ recipient). Error `crypto` when libsodium cannot be set up.
base::Result<base::FixedBytes<24>> sealed_box_nonce(const BoxPublicKey& ephemeral, const BoxPublicKey& recipient);

/// Ephemeral public key ‖ tag 16 ‖ ciphertext, as crypto_box_seal writes it. Takes 32 bytes of `random`. Says nothing
/// about the sender. Errors as box_shared_key.
base::Result<base::Bytes> sealed_box_seal(const BoxPublicKey& to, base::ByteView plaintext, crypto::Random& random);

/// Strict: error `malformed` for what is too short or whose ephemeral key box_shared_key refuses, `crypto` for what
/// does not open. The caller must know what length to expect and check what it gets: anybody can seal.
base::Result<crypto::Secret> sealed_box_open(const BoxPrivateKey& key, base::ByteView box);

/// The X25519 public key of an Ed25519 public key (the birational map of RFC 7748 4.1); its private key is
/// crypto::x25519_from_ed25519_seed. Errors: `malformed` for 32 bytes that are no point of the large subgroup.
base::Result<BoxPublicKey> x25519_from_ed25519(const base::FixedBytes<32>& ed25519_public);

}  // namespace attestry::curves
