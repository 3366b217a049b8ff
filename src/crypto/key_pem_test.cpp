#include "crypto/key_pem.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/internal/testing.h"

namespace attestry::crypto {
namespace {

using internal::test_key;

constexpr std::string_view kScalar = "bf087ac8c373106fe7cc3d311681ef19a0ef300a6a12a69a8e3995c5e79bc33a";
constexpr std::string_view kPem =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEIL8IesjDcxBv58w9MRaB7xmg7zAKahKmmo45lcXnm8M6oAoGCCqGSM49\n"
    "AwEHoUQDQgAE9ea177Yw9Q9Vo9pftrwADPjv+72f0xx92CJPt1V10VWI9VHsi766\n"
    "ZtAEc6cW3c8T4O5JKohH3k0p56+5xbQAWg==\n"
    "-----END EC PRIVATE KEY-----\n";

EcPrivateKey known() { return EcPrivateKey::from_scalar(Curve::p256, base::hex_decode(kScalar).value()).value(); }

TEST(KeyPem, WritesSec1AsOthersDo) {
  EXPECT_EQ(known().sec1().size(), 121u);
  EXPECT_EQ(base::as_text(sec1_pem(known()).reveal()), kPem);
  const Secret der = known().sec1();
  EXPECT_EQ(base::as_text(secret_pem("X", der).reveal()), base::pem_encode("X", der.reveal()));
  EXPECT_EQ(base::as_text(secret_pem("X", Secret()).reveal()), base::pem_encode("X", {}));
}

TEST(KeyPem, ReadsBackWhatItWrites) {
  for (const Curve curve : {Curve::p256, Curve::p384, Curve::p521}) {
    const EcPrivateKey key = test_key(curve, "pem");
    const auto spki = key.public_key().spki();
    EXPECT_EQ(ec_private_key_from_pem(sec1_pem(key).reveal())->public_key().spki(), spki);
    EXPECT_EQ(ec_private_key_from_pem(secret_pem("PRIVATE KEY", key.pkcs8()).reveal())->public_key().spki(), spki);
    EXPECT_EQ(ec_public_key_from_pem(base::as_bytes(spki_pem(spki)))->spki(), spki);
    EXPECT_EQ(EcPublicKey::from_point(curve, key.public_key().point())->spki(), spki);
  }
}

TEST(KeyPem, RefusesOtherLabelsAndContents) {
  const EcPrivateKey key = test_key(Curve::p256, "pem");
  const std::string text(base::as_text(sec1_pem(key).reveal()));
  EXPECT_FALSE(ec_private_key_from_pem(base::as_bytes(text + text)).ok());
  EXPECT_FALSE(ec_private_key_from_pem(secret_pem("PRIVATE KEY", key.sec1()).reveal()).ok());
  EXPECT_FALSE(ec_private_key_from_pem(secret_pem("EC PRIVATE KEY", key.pkcs8()).reveal()).ok());
  EXPECT_FALSE(ec_private_key_from_pem(base::as_bytes(spki_pem(key.public_key().spki()))).ok());
  EXPECT_FALSE(ec_public_key_from_pem(base::as_bytes(text)).ok());
  EXPECT_FALSE(ec_public_key_from_pem({}).ok());
  base::Bytes longer = base::to_bytes(key.sec1().reveal());
  longer.push_back(0);
  EXPECT_FALSE(EcPrivateKey::from_sec1(longer).ok());
}

TEST(Points, CompressedAndForeignOnesAreRefused) {
  base::Bytes point = test_key(Curve::p256, "pem").public_key().point();
  EXPECT_FALSE(EcPublicKey::from_point(Curve::p384, point).ok());
  base::Bytes compressed(point.begin(), point.begin() + 33);
  compressed[0] = static_cast<std::uint8_t>(2 + (point[64] & 1));
  EXPECT_FALSE(EcPublicKey::from_point(Curve::p256, compressed).ok());
  point[64] ^= 1;
  EXPECT_FALSE(EcPublicKey::from_point(Curve::p256, point).ok());
  EXPECT_FALSE(EcPublicKey::from_point(Curve::p256, {}).ok());
}

// 133 bytes, of whose coordinates the first has one bit only.
TEST(Points, OnP521HaveOneForm) {
  const base::Bytes good = test_key(Curve::p521, "pem").public_key().point();
  EXPECT_EQ(good.size(), 133u);
  EXPECT_TRUE(EcPublicKey::from_point(Curve::p521, good).ok());
  const auto refused = [&](auto change) {
    base::Bytes point = good;
    change(point);
    return !EcPublicKey::from_point(Curve::p521, point).ok();
  };
  EXPECT_TRUE(refused([](base::Bytes& p) { p.back() ^= 1; })) << "off the curve";
  EXPECT_TRUE(refused([](base::Bytes& p) { p[1] |= 2; })) << "x is p or more";
  EXPECT_TRUE(refused([](base::Bytes& p) { std::fill(p.begin() + 1, p.end(), std::uint8_t{0}); }));
  EXPECT_TRUE(refused([](base::Bytes& p) { p.pop_back(); }));
  EXPECT_TRUE(refused([](base::Bytes& p) { p.push_back(0); }));
  EXPECT_TRUE(refused([](base::Bytes& p) { p.erase(p.begin() + 1); })) << "without its leading zero";
  EXPECT_TRUE(refused([](base::Bytes& p) { p[0] = static_cast<std::uint8_t>(6 + (p.back() & 1)); })) << "hybrid";
  EXPECT_TRUE(refused([](base::Bytes& p) {
    p[0] = static_cast<std::uint8_t>(2 + (p.back() & 1));
    p.resize(67);
  })) << "compressed";
}

TEST(KeyAgreement, BothSidesAgreeAndCurvesDoNotMix) {
  for (const Curve curve : {Curve::p256, Curve::p384, Curve::p521}) {
    const EcPrivateKey a = test_key(curve, "a");
    const EcPrivateKey b = test_key(curve, "b");
    const auto one = a.agree(b.public_key());
    ASSERT_TRUE(one.ok());
    EXPECT_EQ(one->size(), field_size(curve));
    EXPECT_TRUE(equal_constant_time(one->reveal(), b.agree(a.public_key())->reveal()));
  }
  EXPECT_FALSE(test_key(Curve::p256, "a").agree(test_key(Curve::p384, "a").public_key()).ok());
  EXPECT_FALSE(test_key(Curve::p521, "a").agree(test_key(Curve::p384, "a").public_key()).ok());
}

// FIPS 186-5 6.4.1 uses the leftmost bits: on P-256 the 33rd byte of a digest counts for nothing, on P-384 it does.
TEST(DigestSignature, LongDigestsAreCutToTheOrder) {
  base::Bytes digest(33, 9);
  base::Bytes other = digest;
  other[32] = 1;
  const EcPrivateKey p256 = test_key(Curve::p256, "a");
  const base::Bytes signature = p256.sign_digest_der(digest);
  EXPECT_TRUE(p256.public_key().verify_digest_der(digest, signature));
  EXPECT_TRUE(p256.public_key().verify_digest_der(other, signature));
  other[31] = 1;
  EXPECT_FALSE(p256.public_key().verify_digest_der(other, signature));
  const EcPrivateKey p384 = test_key(Curve::p384, "a");
  const base::Bytes longer = p384.sign_digest_der(digest);
  EXPECT_TRUE(p384.public_key().verify_digest_der(digest, longer));
  digest[32] = 1;
  EXPECT_FALSE(p384.public_key().verify_digest_der(digest, longer));
  EXPECT_FALSE(p384.public_key().verify_digest_der(digest, {}));
  const base::Bytes message(5, 1);
  EXPECT_TRUE(p256.public_key().verify_digest_der(sha256(message), p256.sign_der(message)));
}

}  // namespace
}  // namespace attestry::crypto
