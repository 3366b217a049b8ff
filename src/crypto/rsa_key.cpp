#include "crypto/rsa_key.h"

#include "crypto/internal/awslc.h"
#include "crypto/key_pem.h"
#include "crypto/rsa.h"

namespace attestry::crypto {

using base::Code;
using base::Error;
using base::Result;
using internal::cbs_of;
using internal::require;

struct RsaKey::Impl {
  bssl::UniquePtr<EVP_PKEY> key;
  RSA* rsa() const noexcept { return EVP_PKEY_get0_RSA(key.get()); }
};

namespace {

struct Hash {
  int nid = NID_undef;
  const EVP_MD* md = nullptr;
};

Result<Hash> hash_of(HashName name, base::ByteView digest) {
  Hash out;
  switch (name) {
    case HashName::sha2_224:
      out = {NID_sha224, EVP_sha224()};
      break;
    case HashName::sha2_256:
      out = {NID_sha256, EVP_sha256()};
      break;
    case HashName::sha2_384:
      out = {NID_sha384, EVP_sha384()};
      break;
    case HashName::sha2_512:
      out = {NID_sha512, EVP_sha512()};
      break;
    case HashName::sha3_224:
    case HashName::sha3_256:
    case HashName::sha3_384:
    case HashName::sha3_512:
      return Error{Code::malformed, "hash of an RSA signature", "sha2-224 to sha2-512", std::string{to_text(name)}};
  }
  if (digest.size() == EVP_MD_size(out.md)) return out;
  return Error{Code::malformed, "digest", std::to_string(EVP_MD_size(out.md)) + " bytes",
               std::to_string(digest.size()) + " bytes"};
}

Error too_short() {
  ERR_clear_error();
  return {Code::malformed, "the salt does not fit into the key", "a shorter salt, or a longer key"};
}

bssl::UniquePtr<EVP_PKEY_CTX> oaep(EVP_PKEY* key, int (*init)(EVP_PKEY_CTX*)) {
  bssl::UniquePtr<EVP_PKEY_CTX> ctx(EVP_PKEY_CTX_new(key, nullptr));
  require(ctx != nullptr && init(ctx.get()) == 1 &&
              EVP_PKEY_CTX_set_rsa_padding(ctx.get(), RSA_PKCS1_OAEP_PADDING) == 1 &&
              EVP_PKEY_CTX_set_rsa_oaep_md(ctx.get(), EVP_sha256()) == 1 &&
              EVP_PKEY_CTX_set_rsa_mgf1_md(ctx.get(), EVP_sha256()) == 1,
          "OAEP cannot start");
  return ctx;
}

}  // namespace

RsaKey RsaKey::generate(unsigned bits, Random& random) {
  auto key = from_pkcs8(RsaPrivateKey::generate(bits, random).pkcs8().reveal());
  require(key.has_value(), "own RSA key");
  return *std::move(key);
}

Result<RsaKey> RsaKey::from_pkcs8(base::ByteView der) {
  CBS in = cbs_of(der);
  bssl::UniquePtr<EVP_PKEY> key(EVP_parse_private_key(&in));
  const bool whole = key != nullptr && CBS_len(&in) == 0 && EVP_PKEY_id(key.get()) == EVP_PKEY_RSA;
  const auto bits = whole ? EVP_PKEY_bits(key.get()) : 0;
  if (bits == 2048 || bits == 3072 || bits == 4096) {
    return RsaKey(std::make_shared<const Impl>(Impl{std::move(key)}));
  }
  ERR_clear_error();
  return Error{Code::malformed, "not an RSA private key", "PKCS #8 of 2048, 3072 or 4096 bits"};
}

unsigned RsaKey::bits() const noexcept { return static_cast<unsigned>(EVP_PKEY_bits(impl_->key.get())); }

Secret RsaKey::pkcs8() const {
  Secret room(4096);
  CBB cbb;
  require(CBB_init_fixed(&cbb, room.writable().data(), room.size()) == 1 &&
              EVP_marshal_private_key(&cbb, impl_->key.get()) == 1 && CBB_flush(&cbb) == 1,
          "cannot write a private key");
  return Secret::copy_of(room.reveal().first(CBB_len(&cbb)));
}

Secret RsaKey::pkcs1_pem() const {
  Secret room(4096);
  CBB cbb;
  require(CBB_init_fixed(&cbb, room.writable().data(), room.size()) == 1 &&
              RSA_marshal_private_key(&cbb, impl_->rsa()) == 1 && CBB_flush(&cbb) == 1,
          "cannot write a private key");
  return secret_pem("RSA PRIVATE KEY", Secret::copy_of(room.reveal().first(CBB_len(&cbb))));
}

std::string RsaKey::public_pem() const {
  base::Bytes room(1024);
  CBB cbb;
  require(CBB_init_fixed(&cbb, room.data(), room.size()) == 1 && EVP_marshal_public_key(&cbb, impl_->key.get()) == 1 &&
              CBB_flush(&cbb) == 1,
          "cannot write a public key");
  room.resize(CBB_len(&cbb));
  return spki_pem(room);
}

Result<base::Bytes> RsaKey::encrypt(base::ByteView plaintext) const {
  constexpr std::size_t kOverhead = 2 * 32 + 2;
  const std::size_t most = bits() / 8 - kOverhead;
  if (plaintext.size() > most) {
    return Error{Code::malformed, "plaintext for an RSA key", "at most " + std::to_string(most) + " bytes",
                 std::to_string(plaintext.size()) + " bytes"};
  }
  const auto ctx = oaep(impl_->key.get(), EVP_PKEY_encrypt_init);
  base::Bytes out(bits() / 8);
  std::size_t size = out.size();
  const std::uint8_t nothing = 0;
  require(EVP_PKEY_encrypt(ctx.get(), out.data(), &size, plaintext.empty() ? &nothing : plaintext.data(),
                           plaintext.size()) == 1 &&
              size == out.size(),
          "RSA encryption failed");
  return out;
}

Result<Secret> RsaKey::decrypt(base::ByteView ciphertext) const {
  const Error refused{Code::crypto, "the ciphertext does not open with this key"};
  if (ciphertext.size() != bits() / 8) return refused;
  const auto ctx = oaep(impl_->key.get(), EVP_PKEY_decrypt_init);
  Secret room(bits() / 8);
  std::size_t size = room.size();
  if (EVP_PKEY_decrypt(ctx.get(), room.writable().data(), &size, ciphertext.data(), ciphertext.size()) != 1) {
    ERR_clear_error();
    return refused;
  }
  return Secret::copy_of(room.reveal().first(size));
}

Result<base::Bytes> RsaKey::sign_pkcs1(HashName hash, base::ByteView digest) const {
  TRY(const auto how, hash_of(hash, digest));
  base::Bytes out(bits() / 8);
  unsigned size = 0;
  require(RSA_sign(how.nid, digest.data(), digest.size(), out.data(), &size, impl_->rsa()) == 1 && size == out.size(),
          "signing failed");
  return out;
}

Result<base::Bytes> RsaKey::sign_pss(HashName hash, base::ByteView digest, PssSalt salt) const {
  TRY(const auto how, hash_of(hash, digest));
  // emLen is at least digest, salt and two bytes (RFC 8017 9.1.1).
  if (salt.bytes >= 0 && static_cast<std::size_t>(salt.bytes) + digest.size() + 2 > bits() / 8) return too_short();
  base::Bytes out(bits() / 8);
  std::size_t size = 0;
  if (RSA_sign_pss_mgf1(impl_->rsa(), &size, out.data(), out.size(), digest.data(), digest.size(), how.md, how.md,
                        salt.bytes) != 1 ||
      size != out.size()) {
    return too_short();
  }
  return out;
}

bool RsaKey::verify_pkcs1(HashName hash, base::ByteView digest, base::ByteView signature) const {
  const auto how = hash_of(hash, digest);
  const bool good =
      how && RSA_verify(how->nid, digest.data(), digest.size(), signature.data(), signature.size(), impl_->rsa()) == 1;
  if (!good) ERR_clear_error();
  return good;
}

bool RsaKey::verify_pss(HashName hash, base::ByteView digest, PssSalt salt, base::ByteView signature) const {
  const auto how = hash_of(hash, digest);
  const bool good = how && RSA_verify_pss_mgf1(impl_->rsa(), digest.data(), digest.size(), how->md, how->md, salt.bytes,
                                               signature.data(), signature.size()) == 1;
  if (!good) ERR_clear_error();
  return good;
}

}  // namespace attestry::crypto
