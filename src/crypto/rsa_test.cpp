#include "crypto/rsa.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/internal/awslc.h"
#include "crypto/internal/testing.h"
#include "crypto/x509.h"

namespace attestry::crypto {
namespace {

using internal::ca_spec;
using internal::crl_spec;
using internal::test_key;

const RsaPrivateKey& rsa_key(std::string_view seed = "rsa") {
  static const RsaPrivateKey kOne = [] {
    SeededRandom random(base::as_bytes("rsa"));
    return RsaPrivateKey::generate(2048, random);
  }();
  static const RsaPrivateKey kOther = [] {
    SeededRandom random(base::as_bytes("another"));
    return RsaPrivateKey::generate(2048, random);
  }();
  return seed == "rsa" ? kOne : kOther;
}

const base::Bytes kMessage = base::to_bytes(base::as_bytes("a message"));
const base::Bytes kSalt(48, 7);
const base::Bytes kExponent{1, 0, 1};

TEST(Rsa, KeysRoundTrip) {
  const RsaPublicKey key = rsa_key().public_key();
  EXPECT_EQ(key.bits(), 2048U);
  EXPECT_EQ(key.e(), kExponent);
  const auto again = RsaPublicKey::from_spki(key.spki());
  ASSERT_TRUE(again.ok()) << again.error().text();
  EXPECT_EQ(again->n(), key.n());
  EXPECT_EQ(again->spki(), key.spki());
  base::Bytes padded{0, 0};
  base::append(padded, key.n());
  ASSERT_TRUE(RsaPublicKey::from_numbers(padded, kExponent).ok());
  EXPECT_EQ(RsaPublicKey::from_numbers(padded, kExponent)->n(), key.n());
}

TEST(Rsa, TheSameSeedGivesTheSameKeyAndSignature) {
  SeededRandom random(base::as_bytes("rsa"));
  const RsaPrivateKey again = RsaPrivateKey::generate(2048, random);
  EXPECT_EQ(again.public_key().n(), rsa_key().public_key().n());
  EXPECT_EQ(again.sign_pss_sha384(kMessage, kSalt), rsa_key().sign_pss_sha384(kMessage, kSalt));
  EXPECT_NE(rsa_key("another").public_key().n(), rsa_key().public_key().n());
}

TEST(Rsa, AnotherReaderTakesThePrivateKey) {
  const Secret der = rsa_key().pkcs8();
  CBS cbs = internal::cbs_of(der.reveal());
  const bssl::UniquePtr<EVP_PKEY> parsed(EVP_parse_private_key(&cbs));
  ASSERT_NE(parsed, nullptr);
  EXPECT_EQ(RSA_check_key(EVP_PKEY_get0_RSA(parsed.get())), 1);
}

TEST(Rsa, KeysOutOfRangeAreRefused) {
  const base::Bytes n = rsa_key().public_key().n();
  const auto refused = [&](base::Bytes modulus, base::Bytes exponent) {
    const auto key = RsaPublicKey::from_numbers(modulus, exponent);
    EXPECT_FALSE(key.ok()) << base::hex(exponent);
    return key.ok() ? std::string() : key.error().what;
  };
  EXPECT_EQ(refused(n, {1}), "RSA public exponent is out of range");
  refused(n, {});
  refused(n, {3});
  refused(n, {1, 0, 0});
  refused(n, {2, 0, 0, 0, 1});  // 34 bits
  refused({}, kExponent);
  base::Bytes even = n;
  even.back() &= 0xfe;
  EXPECT_EQ(refused(even, kExponent), "RSA modulus is even");
  base::Bytes shorter(n.begin() + 1, n.end());
  shorter[0] |= 0x80;
  EXPECT_EQ(refused(shorter, kExponent), "RSA key is too short");
  EXPECT_EQ(refused(base::Bytes(1025, 0xff), kExponent), "RSA key is too long");
  EXPECT_TRUE(RsaPublicKey::from_numbers(base::Bytes(1024, 0xff), kExponent).ok());
}

TEST(Rsa, SpkiIsReadStrictly) {
  const base::Bytes spki = rsa_key().public_key().spki();
  for (std::size_t size = 0; size < spki.size(); ++size) {
    EXPECT_FALSE(RsaPublicKey::from_spki(base::ByteView(spki).first(size)).ok()) << size;
  }
  base::Bytes longer = spki;
  longer.push_back(0);
  EXPECT_FALSE(RsaPublicKey::from_spki(longer).ok());
  EXPECT_FALSE(RsaPublicKey::from_spki(test_key(Curve::p256, "ec").public_key().spki()).ok());
  const base::ByteView bits = base::ByteView(spki).subspan(19);
  const base::Bytes no_null = der::sequence({der::sequence({der::oid("1.2.840.113549.1.1.1")}), bits});
  EXPECT_FALSE(RsaPublicKey::from_spki(no_null).ok());
}

TEST(Rsa, Pkcs1VerifiesOnlyWhatWasSigned) {
  const RsaPublicKey key = rsa_key().public_key();
  const base::Bytes signature = rsa_key().sign_pkcs1_sha256(kMessage);
  EXPECT_TRUE(key.verify_pkcs1_sha256(kMessage, signature));
  EXPECT_FALSE(key.verify_pkcs1_sha256(base::as_bytes("a massage"), signature));
  EXPECT_FALSE(rsa_key("another").public_key().verify_pkcs1_sha256(kMessage, signature));
  EXPECT_FALSE(key.verify_pss_sha384(kMessage, signature));
  for (std::size_t i = 0; i < signature.size(); i += 17) {
    base::Bytes wrong = signature;
    wrong[i] ^= 1;
    EXPECT_FALSE(key.verify_pkcs1_sha256(kMessage, wrong)) << i;
  }
  base::Bytes longer = signature;
  longer.insert(longer.begin(), 0);
  EXPECT_FALSE(key.verify_pkcs1_sha256(kMessage, longer));
  EXPECT_FALSE(key.verify_pkcs1_sha256(kMessage, {}));
}

TEST(Rsa, PssVerifiesOnlyWhatWasSigned) {
  const RsaPublicKey key = rsa_key().public_key();
  const base::Bytes signature = rsa_key().sign_pss_sha384(kMessage, kSalt);
  EXPECT_TRUE(key.verify_pss_sha384(kMessage, signature));
  EXPECT_FALSE(key.verify_pss_sha384(base::as_bytes("a massage"), signature));
  EXPECT_FALSE(rsa_key("another").public_key().verify_pss_sha384(kMessage, signature));
  EXPECT_FALSE(key.verify_pkcs1_sha256(kMessage, signature));
  for (std::size_t i = 0; i < signature.size(); i += 17) {
    base::Bytes wrong = signature;
    wrong[i] ^= 1;
    EXPECT_FALSE(key.verify_pss_sha384(kMessage, wrong)) << i;
  }
  base::Bytes longer = signature;
  longer.insert(longer.begin(), 0);
  EXPECT_FALSE(key.verify_pss_sha384(kMessage, longer));
}

TEST(Rsa, PssWantsASaltOf48Bytes) {
  const RsaPublicKey key = rsa_key().public_key();
  for (const std::size_t size : {0U, 32U, 47U, 49U, 64U}) {
    EXPECT_FALSE(key.verify_pss_sha384(kMessage, rsa_key().sign_pss_sha384(kMessage, base::Bytes(size, 7)))) << size;
  }
}

TEST(Rsa, PssOfAnotherHashIsRefused) {
  const Secret der = rsa_key().pkcs8();
  CBS cbs = internal::cbs_of(der.reveal());
  const bssl::UniquePtr<EVP_PKEY> parsed(EVP_parse_private_key(&cbs));
  ASSERT_NE(parsed, nullptr);
  RSA* rsa = EVP_PKEY_get0_RSA(parsed.get());
  const auto sign = [&](const EVP_MD* hash, const EVP_MD* mgf) {
    std::uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EXPECT_EQ(EVP_Digest(kMessage.data(), kMessage.size(), digest, &size, hash, nullptr), 1);
    base::Bytes out(256);
    std::size_t written = 0;
    EXPECT_EQ(RSA_sign_pss_mgf1(rsa, &written, out.data(), out.size(), digest, size, hash, mgf, 48), 1);
    return out;
  };
  const RsaPublicKey key = rsa_key().public_key();
  EXPECT_TRUE(key.verify_pss_sha384(kMessage, sign(EVP_sha384(), EVP_sha384())));
  EXPECT_FALSE(key.verify_pss_sha384(kMessage, sign(EVP_sha256(), EVP_sha256())));
  EXPECT_FALSE(key.verify_pss_sha384(kMessage, sign(EVP_sha512(), EVP_sha512())));
  EXPECT_FALSE(key.verify_pss_sha384(kMessage, sign(EVP_sha384(), EVP_sha256())));
}

/// Certificates whose issuer signs with RSA, and the ways in which their algorithm may be written.
class RsaCertificate : public testing::Test {
 protected:
  RsaCertificate() {
    spec_ = ca_spec(test_key(Curve::p384, "leaf"));
    spec_.spki = rsa_key().public_key().spki();
  }
  static base::Bytes null() { return der::tlv(0x05, {}); }
  static base::Bytes hash(std::string_view oid) { return der::sequence({der::oid(oid), null()}); }
  static base::Bytes pss(std::string_view digest, std::string_view mgf, std::uint64_t salt,
                         const base::Bytes& trailer = {}) {
    const base::Bytes mask = der::sequence({der::oid("1.2.840.113549.1.1.8"), hash(mgf)});
    const base::Bytes parameters = der::sequence(
        {der::tlv(0xa0, hash(digest)), der::tlv(0xa1, mask), der::tlv(0xa2, der::integer(salt)), trailer});
    return der::sequence({der::oid("1.2.840.113549.1.1.10"), parameters});
  }
  /// A certificate of the fixture's key under itself, with that algorithm inside and outside.
  base::Result<Certificate> with(const base::Bytes& algorithm, bool pkcs1 = false) {
    const base::Bytes time = der::tlv(0x17, base::as_bytes("250101000000Z"));
    const base::Bytes name = der::name({{"2.5.4.3", "ARK"}});
    const base::Bytes content = der::sequence({der::tlv(0xa0, der::integer(2)), der::integer(1), algorithm, name,
                                               der::sequence({time, time}), name, spec_.spki});
    base::Bytes bits{0};
    base::append(bits, pkcs1 ? rsa_key().sign_pkcs1_sha256(content) : rsa_key().sign_pss_sha384(content, kSalt));
    return Certificate::parse(der::sequence({content, algorithm, der::tlv(0x03, bits)}));
  }
  CertificateSpec spec_;
};

constexpr std::string_view kSha256 = "2.16.840.1.101.3.4.2.1";
constexpr std::string_view kSha384 = "2.16.840.1.101.3.4.2.2";

TEST_F(RsaCertificate, RoundTripsAndVerifies) {
  const auto parsed = Certificate::parse(issue_certificate(spec_, rsa_key(), kSalt).value());
  ASSERT_TRUE(parsed.ok()) << parsed.error().text();
  ASSERT_TRUE(parsed->rsa_key().has_value());
  EXPECT_FALSE(parsed->ec_key().has_value());
  EXPECT_EQ(parsed->rsa_key()->n(), rsa_key().public_key().n());
  EXPECT_TRUE(base::equal(parsed->spki(), spec_.spki));
  EXPECT_TRUE(parsed->signed_by(rsa_key().public_key()));
  EXPECT_FALSE(parsed->signed_by(rsa_key("another").public_key()));
  EXPECT_FALSE(parsed->signed_by(test_key(Curve::p384, "leaf").public_key()));
  const auto wrong_salt = Certificate::parse(issue_certificate(spec_, rsa_key(), base::Bytes(32, 7)).value());
  ASSERT_TRUE(wrong_salt.ok());
  EXPECT_FALSE(wrong_salt->signed_by(rsa_key().public_key()));
}

TEST_F(RsaCertificate, FlippedBytesNeverVerify) {
  const base::Bytes der = issue_certificate(spec_, rsa_key(), kSalt).value();
  const RsaPublicKey key = rsa_key().public_key();
  for (std::size_t i = 0; i < der.size(); i += 3) {
    base::Bytes wrong = der;
    wrong[i] ^= 0x01;
    const auto parsed = Certificate::parse(wrong);
    EXPECT_FALSE(parsed.ok() && parsed->signed_by(key)) << i;
  }
}

TEST_F(RsaCertificate, AlgorithmsAreTakenByteForByte) {
  const RsaPublicKey key = rsa_key().public_key();
  const auto verifies = [&](const base::Bytes& algorithm, bool pkcs1 = false) {
    const auto parsed = with(algorithm, pkcs1);
    EXPECT_TRUE(parsed.ok());
    return parsed.ok() && parsed->signed_by(key);
  };
  const base::Bytes trailer = der::tlv(0xa3, der::integer(1));
  EXPECT_TRUE(verifies(pss(kSha384, kSha384, 48)));
  EXPECT_TRUE(verifies(pss(kSha384, kSha384, 48, trailer)));  // as in AMD's own certificates
  EXPECT_FALSE(verifies(pss(kSha384, kSha384, 48, der::tlv(0xa3, der::integer(2)))));
  EXPECT_FALSE(verifies(pss(kSha384, kSha384, 32)));
  EXPECT_FALSE(verifies(pss(kSha256, kSha384, 48)));
  EXPECT_FALSE(verifies(pss(kSha384, kSha256, 48)));
  EXPECT_FALSE(verifies(der::sequence({der::oid("1.2.840.113549.1.1.10")})));  // defaults: SHA-1
  EXPECT_FALSE(verifies(der::sequence({der::oid("1.2.840.113549.1.1.10"), null()})));
  const base::Bytes rs256 = der::sequence({der::oid("1.2.840.113549.1.1.11"), null()});
  EXPECT_TRUE(verifies(rs256, true));
  EXPECT_FALSE(verifies(rs256, false));
  EXPECT_FALSE(verifies(pss(kSha384, kSha384, 48), true));
  EXPECT_FALSE(verifies(der::sequence({der::oid("1.2.840.113549.1.1.11")}), true));
  EXPECT_FALSE(verifies(der::sequence({der::oid("1.2.840.113549.1.1.5"), null()}), true));  // SHA-1
}

TEST_F(RsaCertificate, KeysOutOfRangeAreShownButVouchForNothing) {
  base::Bytes bits{0};
  base::append(bits, der::sequence({der::tlv(0x02, base::Bytes(128, 0x7f)), der::integer(65537)}));
  spec_.spki = der::sequence({hash("1.2.840.113549.1.1.1"), der::tlv(0x03, bits)});
  const auto parsed = Certificate::parse(issue_certificate(spec_, rsa_key(), kSalt).value());
  ASSERT_TRUE(parsed.ok());
  EXPECT_FALSE(parsed->rsa_key().has_value());
}

TEST(RsaCrl, VerifiesUnderItsIssuerOnly) {
  const base::Bytes der = issue_crl(crl_spec(), rsa_key(), kSalt).value();
  const auto crl = Crl::parse(der);
  ASSERT_TRUE(crl.ok()) << crl.error().text();
  EXPECT_TRUE(crl->revokes(base::Bytes{0x05}));
  EXPECT_TRUE(crl->signed_by(rsa_key().public_key()));
  EXPECT_FALSE(crl->signed_by(rsa_key("another").public_key()));
  EXPECT_FALSE(crl->signed_by(test_key(Curve::p384, "crl").public_key()));
  base::Bytes wrong = der;
  wrong.back() ^= 1;
  EXPECT_FALSE(Crl::parse(wrong)->signed_by(rsa_key().public_key()));
}

}  // namespace
}  // namespace attestry::crypto
