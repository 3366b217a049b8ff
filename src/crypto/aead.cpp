#include "crypto/aead.h"

#include "crypto/internal/awslc.h"

namespace attestry::crypto {
namespace {

constexpr std::size_t kKey = 32;
constexpr std::size_t kNonce = 12;
constexpr std::size_t kTag = 16;

base::Status init(bssl::ScopedEVP_AEAD_CTX& ctx, base::ByteView key, base::ByteView nonce) {
  if (key.size() != kKey || nonce.size() != kNonce) {
    return base::Error{
        .code = base::Code::crypto, .what = "AES-256-GCM", .expected = "a key of 32 bytes and a nonce of 12 bytes"};
  }
  internal::require(EVP_AEAD_CTX_init(ctx.get(), EVP_aead_aes_256_gcm(), key.data(), key.size(), kTag, nullptr) == 1,
                    "AES-256-GCM cannot start");
  return base::done();
}

}  // namespace

base::Result<base::Bytes> aes256gcm_seal(base::ByteView key, base::ByteView nonce, base::ByteView plaintext,
                                         base::ByteView aad) {
  bssl::ScopedEVP_AEAD_CTX ctx;
  TRY_OK(init(ctx, key, nonce));
  base::Bytes out(plaintext.size() + kTag);
  std::size_t size = 0;
  if (EVP_AEAD_CTX_seal(ctx.get(), out.data(), &size, out.size(), nonce.data(), nonce.size(), plaintext.data(),
                        plaintext.size(), aad.data(), aad.size()) != 1 ||
      size != out.size()) {
    ERR_clear_error();
    return base::Error{.code = base::Code::crypto, .what = "AES-256-GCM cannot seal so much at once"};
  }
  return out;
}

base::Result<Secret> aes256gcm_open(base::ByteView key, base::ByteView nonce, base::ByteView sealed,
                                    base::ByteView aad) {
  bssl::ScopedEVP_AEAD_CTX ctx;
  TRY_OK(init(ctx, key, nonce));
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

}  // namespace attestry::crypto
