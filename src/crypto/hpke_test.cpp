#include "crypto/hpke.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/encoding.h"
#include "crypto/ec.h"
#include "crypto/internal/hpke_suite.h"

namespace attestry::crypto {
namespace {

using base::as_bytes;

base::Bytes unhex(std::string_view text) { return base::hex_decode(text).value(); }

// RFC 9180 A.1.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, base mode, first encryption.
TEST(Hpke, Rfc9180AppendixA1KeySchedule) {
  const base::Bytes ephemeral = unhex("52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736");
  const base::Bytes recipient = unhex("3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d");
  const base::Bytes info = unhex("4f6465206f6e2061204772656369616e2055726e");
  const base::Bytes aad = unhex("436f756e742d30");
  const base::Bytes plaintext = unhex("4265617574792069732074727574682c20747275746820626561757479");
  const auto sealed = internal::hpke_seal_aes128_for_test(ephemeral, recipient, info, aad, plaintext);
  ASSERT_TRUE(sealed.ok());
  EXPECT_EQ(base::hex(sealed->enc), "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431");
  EXPECT_EQ(base::hex(sealed->ciphertext),
            "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a");
}

class HpkeRoundTrip : public testing::Test {
 protected:
  HpkeKeyPair pair_ = hpke_generate(system_random());
  base::Bytes info_ = base::to_bytes("info");
  base::Bytes aad_ = base::to_bytes("aad");
  HpkeSealed sealed_ = hpke_seal(pair_.public_key, info_, aad_, as_bytes("the secret")).value();
};

TEST_F(HpkeRoundTrip, Opens) {
  const auto opened = hpke_open(pair_.private_key, sealed_.enc, info_, aad_, sealed_.ciphertext);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(base::as_text(opened->reveal()), "the secret");
  EXPECT_EQ(sealed_.ciphertext.size(), 10U + 16U);
}

TEST_F(HpkeRoundTrip, EmptyPlaintext) {
  const auto sealed = hpke_seal(pair_.public_key, {}, {}, {});
  ASSERT_TRUE(sealed.ok());
  const auto opened = hpke_open(pair_.private_key, sealed->enc, {}, {}, sealed->ciphertext);
  ASSERT_TRUE(opened.ok());
  EXPECT_TRUE(opened->empty());
}

TEST_F(HpkeRoundTrip, TwoSealsNeverLookAlike) {
  const auto again = hpke_seal(pair_.public_key, info_, aad_, as_bytes("the secret"));
  ASSERT_TRUE(again.ok());
  EXPECT_NE(again->enc, sealed_.enc);
  EXPECT_NE(again->ciphertext, sealed_.ciphertext);
}

TEST_F(HpkeRoundTrip, AnythingElseIsRefused) {
  const HpkeKeyPair other = hpke_generate(system_random());
  EXPECT_FALSE(hpke_open(other.private_key, sealed_.enc, info_, aad_, sealed_.ciphertext).ok());
  EXPECT_FALSE(hpke_open(pair_.private_key, other.public_key, info_, aad_, sealed_.ciphertext).ok());
  EXPECT_FALSE(hpke_open(pair_.private_key, sealed_.enc, as_bytes("inf"), aad_, sealed_.ciphertext).ok());
  EXPECT_FALSE(hpke_open(pair_.private_key, sealed_.enc, info_, {}, sealed_.ciphertext).ok());
  for (std::size_t i = 0; i < sealed_.ciphertext.size(); ++i) {
    base::Bytes wrong = sealed_.ciphertext;
    wrong[i] ^= 0x80;
    EXPECT_FALSE(hpke_open(pair_.private_key, sealed_.enc, info_, aad_, wrong).ok());
    EXPECT_FALSE(
        hpke_open(pair_.private_key, sealed_.enc, info_, aad_, base::ByteView(sealed_.ciphertext).first(i)).ok());
  }
}

TEST_F(HpkeRoundTrip, WrongSizesAndZeroPointsAreRefused) {
  EXPECT_FALSE(hpke_seal(base::Bytes(31, 9), info_, aad_, as_bytes("x")).ok());
  EXPECT_FALSE(hpke_seal(base::Bytes(33, 9), info_, aad_, as_bytes("x")).ok());
  // RFC 7748 6.1, RFC 9180 7.1.4: points of small order lead to an all-zero shared secret.
  EXPECT_FALSE(hpke_seal(base::Bytes(32, 0), info_, aad_, as_bytes("x")).ok());
  EXPECT_FALSE(hpke_open(pair_.private_key, base::Bytes(32, 0), info_, aad_, sealed_.ciphertext).ok());
  EXPECT_FALSE(hpke_open(pair_.private_key, base::Bytes(16, 1), info_, aad_, sealed_.ciphertext).ok());
  EXPECT_FALSE(hpke_open(Secret(31), sealed_.enc, info_, aad_, sealed_.ciphertext).ok());
}

TEST(Hpke, SealWithGivenEphemeralOpensLikeAnyOther) {
  SeededRandom random(base::as_bytes("hpke test"));
  const HpkeKeyPair pair = hpke_generate(random);
  const auto ephemeral = random.bytes<32>();
  const auto sealed =
      hpke_seal_with_ephemeral_for_test(ephemeral, pair.public_key, as_bytes("i"), as_bytes("a"), as_bytes("p"));
  ASSERT_TRUE(sealed.ok());
  EXPECT_EQ(sealed->enc, x25519_public(ephemeral));
  const auto opened = hpke_open(pair.private_key, sealed->enc, as_bytes("i"), as_bytes("a"), sealed->ciphertext);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(base::as_text(opened->reveal()), "p");
}

}  // namespace
}  // namespace attestry::crypto
