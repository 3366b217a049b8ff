#include "crypto/rsa_key.h"

#include <gtest/gtest.h>

#include "crypto/ec.h"
#include "crypto/key_pem.h"
#include "crypto/rsa.h"

namespace attestry::crypto {
namespace {

const base::Bytes kMessage{'m', 'e', 's', 's', 'a', 'g', 'e'};

/// One for all tests: making it takes long.
const RsaKey& key() {
  static const RsaKey made = [] {
    SeededRandom random{kMessage};
    return RsaKey::generate(2048, random);
  }();
  return made;
}

TEST(RsaKeyTest, EncryptsWhatFitsAndOpensOnlyThat) {
  EXPECT_EQ(key().bits(), 2048u);
  for (const std::size_t size : {0u, 1u, 190u}) {
    const base::Bytes plaintext(size, 7);
    const auto sealed = key().encrypt(plaintext);
    ASSERT_TRUE(sealed.ok());
    EXPECT_EQ(sealed->size(), 256u);
    const auto opened = key().decrypt(*sealed);
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    EXPECT_TRUE(base::equal(opened->reveal(), plaintext));
  }
  EXPECT_EQ(key().encrypt(base::Bytes(191, 7)).error().code, base::Code::malformed);
  auto sealed = *key().encrypt(kMessage);
  sealed[100] ^= 1;
  EXPECT_FALSE(key().decrypt(sealed).ok());
  EXPECT_FALSE(key().decrypt(base::ByteView{sealed}.first(255)).ok());
}

TEST(RsaKeyTest, SignsInBothWaysWithTheHashesOfSha2) {
  for (const auto hash : {HashName::sha2_224, HashName::sha2_256, HashName::sha2_384, HashName::sha2_512}) {
    const auto good = digest(hash, kMessage);
    const auto other = digest(hash, good);
    const auto pkcs1 = key().sign_pkcs1(hash, good);
    ASSERT_TRUE(pkcs1.ok());
    EXPECT_TRUE(key().verify_pkcs1(hash, good, *pkcs1));
    EXPECT_FALSE(key().verify_pkcs1(hash, other, *pkcs1));
    for (const int salt : {PssSalt::kAuto, PssSalt::kHash, 0, 20}) {
      const auto pss = key().sign_pss(hash, good, {salt});
      ASSERT_TRUE(pss.ok());
      EXPECT_TRUE(key().verify_pss(hash, good, {salt}, *pss));
      EXPECT_TRUE(key().verify_pss(hash, good, {PssSalt::kAuto}, *pss));
      EXPECT_FALSE(key().verify_pss(hash, good, {19}, *pss));
      EXPECT_FALSE(key().verify_pss(hash, other, {salt}, *pss));
      EXPECT_FALSE(key().verify_pkcs1(hash, good, *pss));
    }
  }
  EXPECT_FALSE(key().sign_pss(HashName::sha2_256, digest(HashName::sha2_256, kMessage), {400}).ok());
  EXPECT_FALSE(key().sign_pkcs1(HashName::sha3_256, digest(HashName::sha3_256, kMessage)).ok());
  EXPECT_FALSE(key().sign_pkcs1(HashName::sha2_256, kMessage).ok());
}

/// RsaPublicKey, which reads the signatures of vendors, reads ours.
TEST(RsaKeyTest, IsTheKeyThatItsPublicTextSays) {
  const auto again = RsaKey::from_pkcs8(key().pkcs8().reveal());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->public_pem(), key().public_pem());
  EXPECT_TRUE(key().public_pem().starts_with("-----BEGIN PUBLIC KEY-----\n"));
  EXPECT_TRUE(base::as_text(key().pkcs1_pem().reveal()).starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
  const auto spki = spki_from_pem(base::as_bytes(key().public_pem()));
  ASSERT_TRUE(spki.ok());
  const auto reader = RsaPublicKey::from_spki(*spki);
  ASSERT_TRUE(reader.ok());
  const auto signature = key().sign_pkcs1(HashName::sha2_256, digest(HashName::sha2_256, kMessage));
  EXPECT_TRUE(reader->verify_pkcs1_sha256(kMessage, *signature));
}

TEST(RsaKeyTest, RefusesWhatIsNoKey) {
  SeededRandom random{kMessage};
  EXPECT_FALSE(RsaKey::from_pkcs8(EcPrivateKey::generate(Curve::p256, random).pkcs8().reveal()).ok());
  EXPECT_FALSE(RsaKey::from_pkcs8(kMessage).ok());
  auto longer = base::to_bytes(key().pkcs8().reveal());
  longer.push_back(0);
  EXPECT_FALSE(RsaKey::from_pkcs8(longer).ok());
}

}  // namespace
}  // namespace attestry::crypto
