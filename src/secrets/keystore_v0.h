// The first generation of keystores: one Ed25519 key for everybody. Its shapes work with a real cipher; its own, which
// keeps nothing secret, is behind functions that say so. docs/formats/keystore.md
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/ec.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "secrets/keystore_ciphertext.h"

namespace attestry::secrets::keystore {

/// KEYSTORE_PRIVATE_KEY. Move-only, thread-safe.
class V0Key {
 public:
  /// "ed25519:" and the base58 of 64 bytes: seed ‖ public key. The public key is computed anew, as the original does.
  /// Errors (`malformed`) never show the text: "Private key must start with 'ed25519:'", "Invalid base58 encoding",
  /// "Invalid private key length: expected 64 bytes, got N".
  static base::Result<V0Key> parse(std::string_view text);
  /// 32 bytes.
  static base::Result<V0Key> from_seed(base::ByteView seed);

  const base::FixedBytes<32>& public_key() const noexcept { return signing_.public_key(); }
  std::string public_key_hex() const;
  std::string public_key_base58() const;
  const crypto::Ed25519PrivateKey& signing() const noexcept { return signing_; }
  /// False: the text's second half is another key's, which whoever wrote it should know.
  bool halves_agree() const noexcept { return halves_agree_; }
  /// Of the X25519 key that belongs to this Ed25519 key (v0_encryption_key).
  const SealingKey& sealing() const noexcept { return sealing_; }

  /// `encrypted_secrets` of POST /decrypt. A blob of ECIES v1 for sealing(); with `allowed.xor_v0` what is none is
  /// taken for XOR, which opens everything to something. Errors as open_blob.
  base::Result<crypto::Secret> open(base::ByteView blob, const BrokenCiphers& allowed) const;

 private:
  V0Key(crypto::Ed25519PrivateKey signing, bool halves_agree);
  crypto::Ed25519PrivateKey signing_;
  SealingKey sealing_;
  bool halves_agree_;
};

/// The X25519 public key to encrypt for, of the Ed25519 key that GET /pubkey and the contract publish: its point on the
/// Montgomery curve (RFC 7748 4.1; crypto_sign_ed25519_pk_to_curve25519 of libsodium). Error `malformed` for what is no
/// Ed25519 key.
base::Result<base::FixedBytes<32>> v0_encryption_key(const base::FixedBytes<32>& ed25519_public);
/// The 32 bytes from hex, from base58, or from base58 after "ed25519:" in any case. Error `malformed`.
base::Result<base::FixedBytes<32>> parse_v0_public_key(std::string_view text);
/// What `encrypted_secrets` takes.
base::Result<base::Bytes> v0_seal(const base::FixedBytes<32>& ed25519_public, base::ByteView plaintext,
                                  crypto::Random& random);

/// Repeating SHA-256(public key ‖ "keystore-encryption-v1") over the text: whoever has the public key reads it, whoever
/// has none can change it. Both ways.
crypto::Secret broken_v0_xor(const base::FixedBytes<32>& ed25519_public, base::ByteView text);

/// `KEY=VAL,KEY2=VAL2`, as scripts of this generation take it, as members of a JSON object in that order. Spaces around
/// a name are taken off. Error `malformed` for a part without '=', an empty name, and a name that comes twice.
base::Result<std::vector<std::pair<std::string, crypto::Secret>>> parse_dotenv(std::string_view text);

}  // namespace attestry::secrets::keystore
