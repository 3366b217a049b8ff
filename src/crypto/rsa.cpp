#include "crypto/rsa.h"

#include <algorithm>
#include <array>

#include "crypto/hash.h"
#include "crypto/internal/awslc.h"
#include "crypto/x509.h"

namespace attestry::crypto {

using internal::cbs_of;
using internal::require;
using internal::view_of;

struct RsaPublicKey::Impl {
  bssl::UniquePtr<RSA> key;  // used as const only: the library guards what it fills in at the first use
};

struct RsaPrivateKey::Impl {
  bssl::UniquePtr<RSA> key;
};

namespace {

constexpr unsigned kMinBits = 2048;
constexpr unsigned kMaxBits = 8192;
constexpr unsigned kMinExponent = 65537;
constexpr unsigned kMaxExponentBits = 33;  // the library's own bound: a longer one only makes verification slow
constexpr std::string_view kRsaEncryption = "1.2.840.113549.1.1.1";
constexpr std::size_t kDigest = 48;

base::Error refused(std::string_view what, std::string_view expected = {}, std::string_view found = {}) {
  ERR_clear_error();
  return base::Error{.code = base::Code::malformed,
                     .what = std::string(what),
                     .expected = std::string(expected),
                     .found = std::string(found)};
}

bssl::UniquePtr<BIGNUM> number(base::ByteView bytes) {
  bssl::UniquePtr<BIGNUM> out(BN_bin2bn(bytes.data(), bytes.size(), nullptr));
  require(out != nullptr, "no memory for a number");
  return out;
}

bssl::UniquePtr<BIGNUM> number() {
  bssl::UniquePtr<BIGNUM> out(BN_new());
  require(out != nullptr, "no memory for a number");
  return out;
}

base::Bytes bytes_of(const BIGNUM* value) {
  base::Bytes out(BN_num_bytes(value));
  BN_bn2bin(value, out.data());
  return out;
}

base::ByteView magnitude(base::ByteView bytes) noexcept {
  while (!bytes.empty() && bytes[0] == 0) bytes = bytes.subspan(1);
  return bytes;
}

/// INTEGER with the sign byte that DER wants.
base::Bytes der_integer(const base::Bytes& value) {
  base::Bytes content;
  if (!value.empty() && (value[0] & 0x80) != 0) content.push_back(0);
  base::append(content, value);
  return der::tlv(0x02, content);
}

bool is_unsigned(const CBS& integer) noexcept { return CBS_is_unsigned_asn1_integer(&integer) == 1; }

/// MGF1 with SHA-384 (RFC 8017 B.2.1), xored onto `data`.
void mask(base::ByteView seed, std::span<std::uint8_t> data) {
  std::size_t done = 0;
  for (std::uint32_t counter = 0; done < data.size(); ++counter) {
    base::Bytes input = base::to_bytes(seed);
    for (int shift = 24; shift >= 0; shift -= 8) input.push_back(static_cast<std::uint8_t>(counter >> shift));
    for (const std::uint8_t byte : sha384(input)) {
      if (done == data.size()) break;
      data[done++] ^= byte;
    }
  }
}

/// EMSA-PSS-ENCODE (RFC 8017 9.1.1) with a salt from outside: the library's own would be random.
base::Bytes pss_encode(base::ByteView message, base::ByteView salt, std::size_t size) {
  base::Bytes hashed(8, 0);
  base::append(hashed, sha384(message));
  base::append(hashed, salt);
  const Sha384Digest h = sha384(hashed);
  base::Bytes out(size - kDigest - 1 - salt.size() - 1, 0);  // PS
  out.push_back(1);
  base::append(out, salt);
  mask(h, out);
  out[0] &= 0x7f;  // emBits is one less than the modulus, all of whose sizes here are whole bytes
  base::append(out, h);
  out.push_back(0xbc);
  return out;
}

/// Whether RSA with `e` works under `p`: gcd(p - 1, e) = 1, which for a prime e means that e does not divide p - 1.
bool suits(const BIGNUM* p) { return BN_mod_word(p, kMinExponent) != 1; }

/// A prime with its two top bits set, from the stream alone.
bssl::UniquePtr<BIGNUM> prime(unsigned bits, Random& random, BN_CTX* ctx) {
  const Secret start = random.secret(bits / 8);
  bssl::UniquePtr<BIGNUM> p = number(start.reveal());
  require(BN_set_bit(p.get(), 0) == 1 && BN_set_bit(p.get(), static_cast<int>(bits - 1)) == 1 &&
              BN_set_bit(p.get(), static_cast<int>(bits - 2)) == 1,
          "prime");
  for (;;) {
    int is_prime = 0;
    require(BN_primality_test(&is_prime, p.get(), BN_prime_checks_for_generation, ctx, 1, nullptr) == 1, "prime");
    if (is_prime == 1 && suits(p.get())) return p;
    require(BN_add_word(p.get(), 2) == 1, "prime");
  }
}

}  // namespace

base::Result<RsaPublicKey> RsaPublicKey::from_numbers(base::ByteView n, base::ByteView e) {
  n = magnitude(n);
  e = magnitude(e);
  if (n.size() > kMaxBits / 8 || e.size() > 8) return refused("RSA key is too long", "at most 8192 bits");
  const bssl::UniquePtr<BIGNUM> modulus = number(n);
  const bssl::UniquePtr<BIGNUM> exponent = number(e);
  const unsigned bits = BN_num_bits(modulus.get());
  if (bits < kMinBits) return refused("RSA key is too short", "2048 to 8192 bits", std::to_string(bits));
  if (BN_is_odd(modulus.get()) != 1) return refused("RSA modulus is even");
  if (BN_is_odd(exponent.get()) != 1 || BN_cmp_word(exponent.get(), kMinExponent) < 0 ||
      BN_num_bits(exponent.get()) > kMaxExponentBits) {
    return refused("RSA public exponent is out of range", "odd, at least 65537, at most 33 bits");
  }
  bssl::UniquePtr<RSA> key(RSA_new_public_key(modulus.get(), exponent.get()));
  if (key == nullptr) return refused("not an RSA key");
  return RsaPublicKey(std::make_shared<const Impl>(Impl{std::move(key)}));
}

base::Result<RsaPublicKey> RsaPublicKey::from_spki(base::ByteView der) {
  CBS input = cbs_of(der);
  CBS body;
  CBS algorithm;
  CBS bits;
  CBS numbers;
  CBS n;
  CBS e;
  std::uint8_t unused = 0;
  const base::Bytes null = der::tlv(0x05, {});
  const base::Bytes wanted = der::sequence({der::oid(kRsaEncryption), null});
  if (CBS_get_asn1(&input, &body, CBS_ASN1_SEQUENCE) != 1 || CBS_len(&input) != 0 ||
      CBS_get_asn1_element(&body, &algorithm, CBS_ASN1_SEQUENCE) != 1 || !base::equal(view_of(algorithm), wanted) ||
      CBS_get_asn1(&body, &bits, CBS_ASN1_BITSTRING) != 1 || CBS_len(&body) != 0 || CBS_get_u8(&bits, &unused) != 1 ||
      unused != 0 || CBS_get_asn1(&bits, &numbers, CBS_ASN1_SEQUENCE) != 1 || CBS_len(&bits) != 0 ||
      CBS_get_asn1(&numbers, &n, CBS_ASN1_INTEGER) != 1 || CBS_get_asn1(&numbers, &e, CBS_ASN1_INTEGER) != 1 ||
      CBS_len(&numbers) != 0 || !is_unsigned(n) || !is_unsigned(e)) {
    return refused("not an RSA public key", "rsaEncryption with NULL parameters (RFC 3279 2.3.1)");
  }
  return from_numbers(view_of(n), view_of(e));
}

std::size_t RsaPublicKey::bits() const noexcept { return BN_num_bits(RSA_get0_n(impl_->key.get())); }
base::Bytes RsaPublicKey::n() const { return bytes_of(RSA_get0_n(impl_->key.get())); }
base::Bytes RsaPublicKey::e() const { return bytes_of(RSA_get0_e(impl_->key.get())); }

base::Bytes RsaPublicKey::spki() const {
  base::Bytes bits{0};
  base::append(bits, der::sequence({der_integer(n()), der_integer(e())}));
  const base::Bytes algorithm = der::sequence({der::oid(kRsaEncryption), der::tlv(0x05, {})});
  return der::sequence({algorithm, der::tlv(0x03, bits)});
}

bool RsaPublicKey::verify_pkcs1_sha256(base::ByteView message, base::ByteView signature) const {
  return verify_pkcs1(sha256(message), signature);
}

bool RsaPublicKey::verify_pkcs1(const Sha256Digest& digest, base::ByteView signature) const {
  const bool good =
      RSA_verify(NID_sha256, digest.data(), digest.size(), signature.data(), signature.size(), impl_->key.get()) == 1;
  if (!good) ERR_clear_error();
  return good;
}

bool RsaPublicKey::verify_pss_sha384(base::ByteView message, base::ByteView signature) const {
  const Sha384Digest digest = sha384(message);
  const bool good = RSA_verify_pss_mgf1(impl_->key.get(), digest.data(), digest.size(), EVP_sha384(), EVP_sha384(),
                                        static_cast<int>(kDigest), signature.data(), signature.size()) == 1;
  if (!good) ERR_clear_error();
  return good;
}

RsaPrivateKey RsaPrivateKey::generate(unsigned bits, Random& random) {
  require(bits == 2048 || bits == 3072 || bits == 4096, "RSA keys of 2048, 3072 or 4096 bits");
  const bssl::UniquePtr<BN_CTX> ctx(BN_CTX_new());
  require(ctx != nullptr, "no memory for a key");
  bssl::UniquePtr<BIGNUM> p = prime(bits / 2, random, ctx.get());
  bssl::UniquePtr<BIGNUM> q = prime(bits / 2, random, ctx.get());
  if (BN_cmp(p.get(), q.get()) < 0) std::swap(p, q);
  const auto n = number();
  const auto e = number();
  const auto d = number();
  const auto p1 = number();
  const auto q1 = number();
  const auto phi = number();
  const auto dp = number();
  const auto dq = number();
  const auto qinv = number();
  require(BN_set_word(e.get(), kMinExponent) == 1 && BN_mul(n.get(), p.get(), q.get(), ctx.get()) == 1 &&
              BN_sub(p1.get(), p.get(), BN_value_one()) == 1 && BN_sub(q1.get(), q.get(), BN_value_one()) == 1 &&
              BN_mul(phi.get(), p1.get(), q1.get(), ctx.get()) == 1 &&
              BN_mod_inverse(d.get(), e.get(), phi.get(), ctx.get()) != nullptr &&
              BN_mod(dp.get(), d.get(), p1.get(), ctx.get()) == 1 &&
              BN_mod(dq.get(), d.get(), q1.get(), ctx.get()) == 1 &&
              BN_mod_inverse(qinv.get(), q.get(), p.get(), ctx.get()) != nullptr,
          "RSA key");
  bssl::UniquePtr<RSA> key(
      RSA_new_private_key(n.get(), e.get(), d.get(), p.get(), q.get(), dp.get(), dq.get(), qinv.get()));
  require(key != nullptr, "RSA key");
  return RsaPrivateKey(std::make_shared<const Impl>(Impl{std::move(key)}));
}

RsaPublicKey RsaPrivateKey::public_key() const {
  auto key = RsaPublicKey::from_numbers(bytes_of(RSA_get0_n(impl_->key.get())), bytes_of(RSA_get0_e(impl_->key.get())));
  require(key.has_value(), "own public key");
  return *std::move(key);
}

Secret RsaPrivateKey::pkcs8() const {
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  require(key != nullptr && EVP_PKEY_set1_RSA(key.get(), impl_->key.get()) == 1, "no memory for a key");
  Secret room(4096);
  CBB cbb;
  require(CBB_init_fixed(&cbb, room.writable().data(), room.size()) == 1 &&
              EVP_marshal_private_key(&cbb, key.get()) == 1 && CBB_flush(&cbb) == 1,
          "cannot write a private key");
  return Secret::copy_of(room.reveal().first(CBB_len(&cbb)));
}

base::Bytes RsaPrivateKey::sign_pkcs1_sha256(base::ByteView message) const {
  const Sha256Digest digest = sha256(message);
  base::Bytes out(RSA_size(impl_->key.get()));
  unsigned size = 0;
  require(RSA_sign(NID_sha256, digest.data(), digest.size(), out.data(), &size, impl_->key.get()) == 1 &&
              size == out.size(),
          "signing failed");
  return out;
}

base::Bytes RsaPrivateKey::sign_pss_sha384(base::ByteView message, base::ByteView salt) const {
  require(salt.size() <= 64, "salt is too long");
  base::Bytes out(RSA_size(impl_->key.get()));
  const base::Bytes encoded = pss_encode(message, salt, out.size());
  std::size_t size = 0;
  require(RSA_sign_raw(impl_->key.get(), &size, out.data(), out.size(), encoded.data(), encoded.size(),
                       RSA_NO_PADDING) == 1 &&
              size == out.size(),
          "signing failed");
  return out;
}

}  // namespace attestry::crypto
