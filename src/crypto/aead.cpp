#include "crypto/aead.h"

#include <string>
#include <string_view>

#include "crypto/hash.h"
#include "crypto/internal/awslc.h"

namespace attestry::crypto {
namespace {

constexpr std::size_t kNonce = 12;
constexpr std::size_t kTag = 16;

struct Kind {
  const EVP_AEAD* (*algorithm)();
  std::string_view name;
  std::size_t key;
};
constexpr Kind kAes256Gcm{EVP_aead_aes_256_gcm, "AES-256-GCM", 32};
constexpr Kind kAes128Gcm{EVP_aead_aes_128_gcm, "AES-128-GCM", 16};
constexpr Kind kChaCha20Poly1305{EVP_aead_chacha20_poly1305, "ChaCha20-Poly1305", 32};

base::Status init(bssl::ScopedEVP_AEAD_CTX& ctx, const Kind& kind, base::ByteView key, base::ByteView nonce) {
  if (key.size() != kind.key || nonce.size() != kNonce) {
    return base::Error{.code = base::Code::crypto,
                       .what = std::string{kind.name},
                       .expected = "a key of " + std::to_string(kind.key) + " bytes and a nonce of 12 bytes"};
  }
  internal::require(EVP_AEAD_CTX_init(ctx.get(), kind.algorithm(), key.data(), key.size(), kTag, nullptr) == 1,
                    "an AEAD cannot start");
  return base::done();
}

base::Result<base::Bytes> seal(const Kind& kind, base::ByteView key, base::ByteView nonce, base::ByteView plaintext,
                               base::ByteView aad) {
  bssl::ScopedEVP_AEAD_CTX ctx;
  TRY_OK(init(ctx, kind, key, nonce));
  base::Bytes out(plaintext.size() + kTag);
  std::size_t size = 0;
  if (EVP_AEAD_CTX_seal(ctx.get(), out.data(), &size, out.size(), nonce.data(), nonce.size(), plaintext.data(),
                        plaintext.size(), aad.data(), aad.size()) != 1 ||
      size != out.size()) {
    ERR_clear_error();
    return base::Error{.code = base::Code::crypto, .what = std::string{kind.name} + " cannot seal so much at once"};
  }
  return out;
}

base::Result<Secret> open(const Kind& kind, base::ByteView key, base::ByteView nonce, base::ByteView sealed,
                          base::ByteView aad) {
  bssl::ScopedEVP_AEAD_CTX ctx;
  TRY_OK(init(ctx, kind, key, nonce));
  const base::Error refused{.code = base::Code::crypto,
                            .what = "sealed bytes do not open with this key and this context"};
  if (sealed.size() < kTag) return refused;
  Secret out(sealed.size() - kTag);
  std::size_t size = 0;
  std::uint8_t nothing = 0;  // the library wants an address even for an empty plaintext
  std::uint8_t* to = out.empty() ? &nothing : out.writable().data();
  if (EVP_AEAD_CTX_open(ctx.get(), to, &size, out.size(), nonce.data(), nonce.size(), sealed.data(), sealed.size(),
                        aad.data(), aad.size()) != 1 ||
      size != out.size()) {
    ERR_clear_error();
    return refused;
  }
  return out;
}

}  // namespace

base::Result<base::Bytes> aes256gcm_seal(base::ByteView key, base::ByteView nonce, base::ByteView plaintext,
                                         base::ByteView aad) {
  return seal(kAes256Gcm, key, nonce, plaintext, aad);
}

base::Result<Secret> aes256gcm_open(base::ByteView key, base::ByteView nonce, base::ByteView sealed,
                                    base::ByteView aad) {
  return open(kAes256Gcm, key, nonce, sealed, aad);
}

/// Key ‖ nonce of one text. Among 2^80 texts two have the same salt with probability 2^-33.
static Secret of_one(base::ByteView key, std::string_view label, base::ByteView salt) {
  base::LpWriter info;
  info.lp(label);
  return hkdf_sha256(salt, key, info.bytes(), kAes256Gcm.key + kNonce);
}

base::Result<base::Bytes> aes256gcm_seal_salted(base::ByteView key, std::string_view label, base::ByteView plaintext,
                                                base::ByteView aad, Random& random) {
  const auto salt = random.bytes<kSaltBytes>();
  const auto one = of_one(key, label, salt);
  TRY(const auto sealed,
      aes256gcm_seal(one.reveal().first(kAes256Gcm.key), one.reveal().subspan(kAes256Gcm.key), plaintext, aad));
  base::Bytes out = base::to_bytes(salt);
  base::append(out, sealed);
  return out;
}

base::Result<Secret> aes256gcm_open_salted(base::ByteView key, std::string_view label, base::ByteView sealed,
                                           base::ByteView aad) {
  if (sealed.size() < kSaltBytes) return base::Error{base::Code::crypto, "a sealed text is cut short"};
  const auto one = of_one(key, label, sealed.first(kSaltBytes));
  return aes256gcm_open(one.reveal().first(kAes256Gcm.key), one.reveal().subspan(kAes256Gcm.key),
                        sealed.subspan(kSaltBytes), aad);
}

base::Result<base::Bytes> aes128gcm_seal(base::ByteView key, base::ByteView nonce, base::ByteView plaintext,
                                         base::ByteView aad) {
  return seal(kAes128Gcm, key, nonce, plaintext, aad);
}

base::Result<Secret> aes128gcm_open(base::ByteView key, base::ByteView nonce, base::ByteView sealed,
                                    base::ByteView aad) {
  return open(kAes128Gcm, key, nonce, sealed, aad);
}

base::Result<base::Bytes> chacha20poly1305_seal(base::ByteView key, base::ByteView nonce, base::ByteView plaintext,
                                                base::ByteView aad) {
  return seal(kChaCha20Poly1305, key, nonce, plaintext, aad);
}

base::Result<Secret> chacha20poly1305_open(base::ByteView key, base::ByteView nonce, base::ByteView sealed,
                                           base::ByteView aad) {
  return open(kChaCha20Poly1305, key, nonce, sealed, aad);
}

}  // namespace attestry::crypto
