#include "crypto/hpke.h"

#include <algorithm>
#include <utility>

#include "crypto/ec.h"
#include "crypto/internal/awslc.h"
#include "crypto/internal/hpke_suite.h"

namespace attestry::crypto {
namespace {

constexpr std::size_t kKey = 32;
constexpr std::size_t kTag = 16;

base::Error refused(const char* what) { return base::Error{.code = base::Code::crypto, .what = what}; }

base::Result<HpkeSealed> seal(bssl::ScopedEVP_HPKE_CTX& ctx, base::FixedBytes<32> enc, base::ByteView aad,
                              base::ByteView plaintext) {
  HpkeSealed out{enc, base::Bytes(plaintext.size() + kTag)};
  std::size_t size = 0;
  if (EVP_HPKE_CTX_seal(ctx.get(), out.ciphertext.data(), &size, out.ciphertext.size(), plaintext.data(),
                        plaintext.size(), aad.data(), aad.size()) != 1 ||
      size != out.ciphertext.size()) {
    ERR_clear_error();
    return refused("HPKE cannot seal");
  }
  return out;
}

base::Result<HpkeSealed> seal_seeded(const EVP_HPKE_AEAD* aead, base::ByteView seed, base::ByteView recipient_public,
                                     base::ByteView info, base::ByteView aad, base::ByteView plaintext) {
  bssl::ScopedEVP_HPKE_CTX ctx;
  base::FixedBytes<32> enc{};
  std::size_t size = 0;
  if (EVP_HPKE_CTX_setup_sender_with_seed_for_testing(
          ctx.get(), enc.data(), &size, enc.size(), EVP_hpke_x25519_hkdf_sha256(), EVP_hpke_hkdf_sha256(), aead,
          recipient_public.data(), recipient_public.size(), info.data(), info.size(), seed.data(), seed.size()) != 1) {
    ERR_clear_error();
    return refused("HPKE recipient key refused");
  }
  return seal(ctx, enc, aad, plaintext);
}

}  // namespace

HpkeKeyPair hpke_generate(Random& random) {
  HpkeKeyPair out{random.secret(kKey), {}};
  out.public_key = x25519_public(out.private_key.reveal());
  return out;
}

base::Result<HpkeSealed> hpke_seal(base::ByteView recipient_public, base::ByteView info, base::ByteView aad,
                                   base::ByteView plaintext) {
  bssl::ScopedEVP_HPKE_CTX ctx;
  base::FixedBytes<32> enc{};
  std::size_t size = 0;
  // Fails on a key of a wrong size and on the points of small order, whose shared secret is zero (RFC 9180 7.1.4).
  if (EVP_HPKE_CTX_setup_sender(ctx.get(), enc.data(), &size, enc.size(), EVP_hpke_x25519_hkdf_sha256(),
                                EVP_hpke_hkdf_sha256(), EVP_hpke_aes_256_gcm(), recipient_public.data(),
                                recipient_public.size(), info.data(), info.size()) != 1) {
    ERR_clear_error();
    return refused("HPKE recipient key refused");
  }
  return seal(ctx, enc, aad, plaintext);
}

base::Result<Secret> hpke_open(const Secret& recipient_private, base::ByteView enc, base::ByteView info,
                               base::ByteView aad, base::ByteView ciphertext) {
  bssl::ScopedEVP_HPKE_KEY key;
  bssl::ScopedEVP_HPKE_CTX ctx;
  const base::ByteView raw = recipient_private.reveal();
  if (EVP_HPKE_KEY_init(key.get(), EVP_hpke_x25519_hkdf_sha256(), raw.data(), raw.size()) != 1 ||
      EVP_HPKE_CTX_setup_recipient(ctx.get(), key.get(), EVP_hpke_hkdf_sha256(), EVP_hpke_aes_256_gcm(), enc.data(),
                                   enc.size(), info.data(), info.size()) != 1) {
    ERR_clear_error();
    return refused("HPKE encapsulated key or private key refused");
  }
  if (ciphertext.size() < kTag) return refused("HPKE ciphertext does not open");
  Secret out(ciphertext.size() - kTag);
  std::size_t size = 0;
  std::uint8_t nothing = 0;
  std::uint8_t* to = out.empty() ? &nothing : out.writable().data();
  if (EVP_HPKE_CTX_open(ctx.get(), to, &size, out.size(), ciphertext.data(), ciphertext.size(), aad.data(),
                        aad.size()) != 1 ||
      size != out.size()) {
    ERR_clear_error();
    return refused("HPKE ciphertext does not open");
  }
  return out;
}

base::Result<HpkeSealed> hpke_seal_with_ephemeral_for_test(base::ByteView ephemeral_seed,
                                                           base::ByteView recipient_public, base::ByteView info,
                                                           base::ByteView aad, base::ByteView plaintext) {
  return seal_seeded(EVP_hpke_aes_256_gcm(), ephemeral_seed, recipient_public, info, aad, plaintext);
}

base::Result<HpkeSealed> internal::hpke_seal_aes128_for_test(base::ByteView ephemeral_seed,
                                                             base::ByteView recipient_public, base::ByteView info,
                                                             base::ByteView aad, base::ByteView plaintext) {
  return seal_seeded(EVP_hpke_aes_128_gcm(), ephemeral_seed, recipient_public, info, aad, plaintext);
}

}  // namespace attestry::crypto
