#include "crypto/hash.h"

#include "crypto/internal/awslc.h"

namespace attestry::crypto {
namespace {

// A null pointer with length 0 is fine for the library, but HKDF and HMAC are given a real one to stay clear of
// implementations that test the pointer.
constexpr std::uint8_t kNothing[1] = {0};
const std::uint8_t* ptr(base::ByteView view) noexcept { return view.empty() ? kNothing : view.data(); }

}  // namespace

Sha256Digest sha256(base::ByteView data) {
  Sha256Digest out;
  SHA256(ptr(data), data.size(), out.data());
  return out;
}

Sha256Digest sha256(std::initializer_list<base::ByteView> parts) {
  SHA256_CTX ctx;
  SHA256_Init(&ctx);
  for (const base::ByteView part : parts) SHA256_Update(&ctx, ptr(part), part.size());
  Sha256Digest out;
  SHA256_Final(out.data(), &ctx);
  OPENSSL_cleanse(&ctx, sizeof ctx);
  return out;
}

Sha256Pair sha256_with_prefix(base::ByteView data, std::size_t prefix) {
  SHA256_CTX all;
  SHA256_Init(&all);
  SHA256_Update(&all, ptr(data), prefix);
  SHA256_CTX first = all;
  const base::ByteView rest = data.subspan(prefix);
  SHA256_Update(&all, ptr(rest), rest.size());
  Sha256Pair out;
  SHA256_Final(out.prefix.data(), &first);
  SHA256_Final(out.whole.data(), &all);
  return out;
}

Sha384Digest sha384(base::ByteView data) {
  Sha384Digest out;
  SHA384(ptr(data), data.size(), out.data());
  return out;
}

Sha384Digest sha384(std::initializer_list<base::ByteView> parts) {
  SHA512_CTX ctx;
  SHA384_Init(&ctx);
  for (const base::ByteView part : parts) SHA384_Update(&ctx, ptr(part), part.size());
  Sha384Digest out;
  SHA384_Final(out.data(), &ctx);
  OPENSSL_cleanse(&ctx, sizeof ctx);
  return out;
}

Sha512Digest sha512(base::ByteView data) {
  Sha512Digest out;
  SHA512(ptr(data), data.size(), out.data());
  return out;
}

Sha256Digest hmac_sha256(base::ByteView key, base::ByteView data) {
  Sha256Digest out;
  unsigned size = 0;
  const auto* done = HMAC(EVP_sha256(), ptr(key), key.size(), ptr(data), data.size(), out.data(), &size);
  internal::require(done != nullptr && size == out.size(), "HMAC failed");
  return out;
}

Secret hkdf_sha256(base::ByteView salt, base::ByteView ikm, base::ByteView info, std::size_t length) {
  Secret out(length);
  const int ok = HKDF(out.writable().data(), length, EVP_sha256(), ptr(ikm), ikm.size(), ptr(salt), salt.size(),
                      ptr(info), info.size());
  internal::require(ok == 1, "HKDF failed: more than 8160 bytes asked for?");
  return out;
}

Secret hkdf_expand_sha256(base::ByteView prk, base::ByteView info, std::size_t length) {
  Secret out(length);
  const int ok = HKDF_expand(out.writable().data(), length, EVP_sha256(), ptr(prk), prk.size(), ptr(info), info.size());
  internal::require(ok == 1, "HKDF expand failed: more than 8160 bytes asked for?");
  return out;
}

base::Result<Secret> scrypt(base::ByteView passphrase, base::ByteView salt, std::uint64_t n, std::uint32_t r,
                            std::uint32_t p, std::size_t length) {
  // The library's own limit is 32 MiB, below what a passphrase deserves; the caller's parameters decide, up to 4 GiB,
  // which keeps the sum below from overflowing.
  constexpr std::uint64_t kMaxMemory = std::uint64_t{1} << 32;
  if (n < 2 || (n & (n - 1)) != 0 || r == 0 || p == 0 || r > 1024 || p > 1024 || n > kMaxMemory / 128 / r) {
    return base::Error{.code = base::Code::malformed,
                       .what = "scrypt parameters out of range",
                       .expected = "n a power of two, r and p between 1 and 1024, at most 4 GiB of memory"};
  }
  const std::uint64_t memory = 128 * (n * r + std::uint64_t{r} * p) + 256 * std::uint64_t{r} + 4096;
  Secret out(length);
  const auto limit = static_cast<std::size_t>(memory);
  if (EVP_PBE_scrypt(reinterpret_cast<const char*>(ptr(passphrase)), passphrase.size(), ptr(salt), salt.size(), n, r, p,
                     limit, out.writable().data(), length) != 1) {
    return base::Error{.code = base::Code::crypto, .what = "scrypt failed; is there enough memory?"};
  }
  return out;
}

}  // namespace attestry::crypto
