// RSA keys that are kept for clients: RSAES-OAEP, RSASSA-PKCS1-v1_5 and RSASSA-PSS of RFC 8017 with the hashes of
// SHA-2. Padding and blinding take the library's randomness.
#pragma once
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "crypto/secret.h"

namespace attestry::crypto {

/// Bytes of the salt of a PSS signature.
struct PssSalt {
  static constexpr int kHash = -1;  ///< as long as the digest
  static constexpr int kAuto = -2;  ///< the longest when signing, any when verifying
  int bytes = kAuto;
};

/// Immutable, cheap to copy (shared), thread-safe.
class RsaKey {
 public:
  /// `bits`: 2048, 3072 or 4096. Takes up to seconds.
  static RsaKey generate(unsigned bits, Random& random);
  /// PKCS #8 DER; `malformed` for other keys and sizes. The numbers are checked, which costs as much as a signature.
  static base::Result<RsaKey> from_pkcs8(base::ByteView der);

  unsigned bits() const noexcept;
  Secret pkcs8() const;
  Secret pkcs1_pem() const;        ///< "RSA PRIVATE KEY"
  std::string public_pem() const;  ///< "PUBLIC KEY"

  /// OAEP with SHA-256, MGF1 with SHA-256, no label. `malformed` for more than bits / 8 - 66 bytes.
  base::Result<base::Bytes> encrypt(base::ByteView plaintext) const;
  /// One error for everything that does not open.
  base::Result<Secret> decrypt(base::ByteView ciphertext) const;

  /// `digest` is of `hash`; `malformed` for another size, another hash than SHA-2, and a salt that does not fit.
  base::Result<base::Bytes> sign_pkcs1(HashName hash, base::ByteView digest) const;
  base::Result<base::Bytes> sign_pss(HashName hash, base::ByteView digest, PssSalt salt) const;
  bool verify_pkcs1(HashName hash, base::ByteView digest, base::ByteView signature) const;
  bool verify_pss(HashName hash, base::ByteView digest, PssSalt salt, base::ByteView signature) const;

  struct Impl;

 private:
  explicit RsaKey(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace attestry::crypto
