#include "curves/ecies.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "curves/testing/fixed_random.h"

namespace attestry::curves {
namespace {

using base::as_bytes;
using testing::FixedRandom;
using testing::for_scalar;

base::Bytes unhex(std::string_view text) { return base::hex_decode(text).value(); }

constexpr std::string_view kAppScalar = "bf087ac8c373106fe7cc3d311681ef19a0ef300a6a12a69a8e3995c5e79bc33a";
constexpr std::string_view kNonce = "000102030405060708090a0b";
// docs/formats/registry.md: an ephemeral scalar of 12345, and of 32, where the shared x begins with a zero byte.
constexpr std::string_view kNormal =
    "00410426efcebd0ee9e34a669187e18b3a9122b2f733945b649cc9f9f921e9f9dad81290238bde9cc7bb330d150c67704dd25ae7055205744b"
    "6f31bf4070745872d0e6000102030405060708090a0b8372cbb7b098e0a23f91158bcda68fd9696e5266f3adbf48ceb30f28";
constexpr std::string_view kLeadingZero =
    "0041042377c7d690a242ca6c45074e8ea5beefaa557fd5b68371d9d1475bd52a7ed0e147a13fb98413a4393f8d90e9bf901b7e6658a6cdecf4"
    "6716e7c067b1ddb8d2b2000102030405060708090a0b03e316b3bd72b7f4542ca900a975de4bf6d54268b9c46dc2c2fa10f6";

class Ecies : public ::testing::Test {
 protected:
  crypto::EcPrivateKey key_ = crypto::EcPrivateKey::from_scalar(crypto::Curve::p256, unhex(kAppScalar)).value();
  crypto::EcPublicKey to_ = key_.public_key();
  crypto::SeededRandom random_{as_bytes("ecies")};

  bool opens(base::ByteView blob) { return ecies_v1_open(key_, blob).ok(); }
};

TEST_F(Ecies, V1OpensTheKnownBlobs) {
  for (const std::string_view blob : {kNormal, kLeadingZero}) {
    const auto opened = ecies_v1_open(key_, unhex(blob));
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    EXPECT_EQ(base::as_text(opened->reveal()), "hello secret");
  }
}

TEST_F(Ecies, V1WritesTheKnownBlobs) {
  FixedRandom normal(for_scalar(12345, unhex(kNonce)));
  EXPECT_EQ(base::hex(ecies_v1_seal(to_, as_bytes("hello secret"), normal).value()), kNormal);
  EXPECT_EQ(normal.left(), 0u);
  FixedRandom zero(for_scalar(32, unhex(kNonce)));
  EXPECT_EQ(base::hex(ecies_v1_seal(to_, as_bytes("hello secret"), zero).value()), kLeadingZero);
}

TEST_F(Ecies, BothVersionsGiveBackWhatWasSealedOfAnySize) {
  for (const crypto::Curve curve : {crypto::Curve::p256, crypto::Curve::p384, crypto::Curve::p521}) {
    const auto key = crypto::EcPrivateKey::generate(curve, random_);
    for (std::size_t size = 0; size < 150; ++size) {
      const crypto::Secret plain = random_.secret(size);
      const auto v1 = ecies_v1_seal(key.public_key(), plain.reveal(), random_);
      const auto v2 = ecies_v2_seal(key.public_key(), "here", plain.reveal(), random_);
      ASSERT_TRUE(v1.ok() && v2.ok());
      EXPECT_FALSE(is_ecies_v2(*v1));
      EXPECT_TRUE(is_ecies_v2(*v2));
      EXPECT_TRUE(crypto::equal_constant_time(ecies_v1_open(key, *v1)->reveal(), plain.reveal()));
      EXPECT_TRUE(crypto::equal_constant_time(ecies_v2_open(key, "here", *v2)->reveal(), plain.reveal()));
    }
  }
}

/// One blob in 256 has a shared x that begins with a zero byte, which v1 leaves out of the key: it opens by SHA-256 of
/// what is left and of nothing else.
TEST_F(Ecies, TenThousandBlobsOpenAlsoWhereTheSharedXBeginsWithZero) {
  constexpr int kBlobs = 10'000;
  constexpr std::size_t kPoint = 65, kNonceBytes = 12;
  int short_ones = 0;
  for (int i = 0; i < kBlobs; ++i) {
    const crypto::Secret plain = random_.secret(static_cast<std::size_t>(i % 67));
    const auto blob = ecies_v1_seal(to_, plain.reveal(), random_);
    ASSERT_TRUE(blob.ok()) << blob.error().text();
    const auto opened = ecies_v1_open(key_, *blob);
    ASSERT_TRUE(opened.ok()) << i << ": " << opened.error().text();
    ASSERT_TRUE(base::equal(opened->reveal(), plain.reveal())) << i;
    const auto ephemeral =
        crypto::EcPublicKey::from_point(crypto::Curve::p256, base::ByteView{*blob}.subspan(2, kPoint));
    const auto x = key_.agree(ephemeral.value()).value();
    if (x.reveal()[0] != 0) continue;
    ++short_ones;
    base::ByteView number = x.reveal();
    while (!number.empty() && number.front() == 0) number = number.subspan(1);
    const base::ByteView sealed = base::ByteView{*blob}.subspan(2 + kPoint);
    const auto by_hand =
        crypto::aes256gcm_open(crypto::sha256(number), sealed.first(kNonceBytes), sealed.subspan(kNonceBytes), {});
    ASSERT_TRUE(by_hand.ok() && base::equal(by_hand->reveal(), plain.reveal())) << i;
  }
  EXPECT_GT(short_ones, 10);  // about 39
}

TEST_F(Ecies, V1HasTheOverheadOfItsFormat) {
  EXPECT_EQ(ecies_v1_seal(to_, as_bytes(std::string(32, 'x')), random_)->size(), 127u);
  EXPECT_EQ(ecies_v1_seal(to_, {}, random_)->size(), 95u);
}

TEST_F(Ecies, EveryFlippedByteIsRefused) {
  const base::Bytes v1 = unhex(kLeadingZero);
  const base::Bytes v2 = ecies_v2_seal(to_, "here", as_bytes("hello"), random_).value();
  for (std::size_t i = 0; i < v1.size(); ++i) {
    base::Bytes wrong = v1;
    wrong[i] ^= 0x01;
    EXPECT_FALSE(opens(wrong)) << i;
  }
  for (std::size_t i = 0; i < v2.size(); ++i) {
    base::Bytes wrong = v2;
    wrong[i] ^= 0x80;
    EXPECT_FALSE(ecies_v2_open(key_, "here", wrong).ok()) << i;
  }
}

TEST_F(Ecies, EveryTruncationIsRefused) {
  const base::Bytes v1 = unhex(kNormal);
  const base::Bytes v2 = ecies_v2_seal(to_, "here", as_bytes("hello"), random_).value();
  for (std::size_t i = 0; i < v1.size(); ++i) EXPECT_FALSE(opens(base::ByteView(v1).first(i))) << i;
  for (std::size_t i = 0; i < v2.size(); ++i) {
    EXPECT_FALSE(ecies_v2_open(key_, "here", base::ByteView(v2).first(i)).ok()) << i;
  }
}

TEST_F(Ecies, V1RefusesLengthsThatOnceWrapped) {
  for (const unsigned length : {0x0000U, 0x0001U, 0x0021U, 0x0040U, 0x0042U, 0x0061U, 0xfff1U, 0xfff2U, 0xffffU}) {
    base::Bytes blob = unhex(kNormal);
    blob[0] = static_cast<std::uint8_t>(length >> 8);
    blob[1] = static_cast<std::uint8_t>(length);
    EXPECT_FALSE(opens(blob)) << length;
    EXPECT_FALSE(opens(base::ByteView(blob).first(2))) << length;
    blob.resize(70000);
    EXPECT_FALSE(opens(blob)) << length;
  }
}

TEST_F(Ecies, CompressedAndForeignPointsAreRefused) {
  base::Bytes compressed = unhex("0021");
  const base::Bytes good = unhex(kNormal);
  compressed.push_back(static_cast<std::uint8_t>(2 + (good[66] & 1)));
  compressed.insert(compressed.end(), good.begin() + 3, good.begin() + 35);
  compressed.insert(compressed.end(), good.begin() + 67, good.end());
  EXPECT_FALSE(opens(compressed));
  base::Bytes off_curve = good;
  off_curve[66] ^= 0x01;
  const auto refused = ecies_v1_open(key_, off_curve);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, base::Code::malformed);
  base::Bytes zero = good;
  std::fill(zero.begin() + 3, zero.begin() + 67, std::uint8_t{0});
  EXPECT_FALSE(opens(zero));
}

TEST_F(Ecies, AnotherKeyOrContextOpensNothing) {
  const auto other = crypto::EcPrivateKey::generate(crypto::Curve::p256, random_);
  EXPECT_FALSE(ecies_v1_open(other, unhex(kNormal)).ok());
  const base::Bytes v2 = ecies_v2_seal(to_, "app a", as_bytes("hello"), random_).value();
  EXPECT_TRUE(ecies_v2_open(key_, "app a", v2).ok());
  EXPECT_FALSE(ecies_v2_open(key_, "app b", v2).ok());
  EXPECT_FALSE(ecies_v2_open(key_, "", v2).ok());
  EXPECT_FALSE(ecies_v2_open(other, "app a", v2).ok());
  for (const crypto::Curve curve : {crypto::Curve::p384, crypto::Curve::p521}) {
    const auto elsewhere = crypto::EcPrivateKey::generate(curve, random_);
    EXPECT_FALSE(ecies_v1_open(elsewhere, unhex(kNormal)).ok());
    EXPECT_FALSE(ecies_v2_open(elsewhere, "app a", v2).ok());
  }
}

TEST_F(Ecies, OneVersionIsNeverReadAsTheOther) {
  const base::Bytes v2 = ecies_v2_seal(to_, "", as_bytes("hello"), random_).value();
  EXPECT_FALSE(opens(v2));
  EXPECT_FALSE(ecies_v2_open(key_, "", unhex(kNormal)).ok());
}

// Whoever reads docs/formats/registry.md can check his own implementation against this.
TEST_F(Ecies, V2WritesTheKnownBlob) {
  FixedRandom fixed(for_scalar(32, {}));
  EXPECT_EQ(base::hex(ecies_v2_seal(to_, "attestry/test", as_bytes("hello secret"), fixed).value()),
            "4154453201042377c7d690a242ca6c45074e8ea5beefaa557fd5b68371d9d1475bd52a7ed0e147a13fb98413a4393f8d"
            "90e9bf901b7e6658a6cdecf46716e7c067b1ddb8d2b2c33f7bb0d232f1e83a3241658fcde87355ada41a504f775f11fc"
            "8a47");
}

// On P-521, to the key i of RFC 5903 8.3, computed with another program: ephemeral scalars of 4, 2 and 18, where the
// shared x begins with no zero byte, with one (as every second does) and with two.
struct KnownP521 {
  std::uint32_t scalar;
  std::string_view blob;
};
constexpr KnownP521 kP521[] = {{4,
                                "0085040035b5df64ae2ac204c354b483487c9070cdc61c891c5ff39afc06c5d55541d3ceac8659e24afe3d"
                                "0750e8b88e9f078af066a1d5025b"
                                "08e5a5e2fbc87412871902f30082096f84261279d2b673e0178eb0b4abb65521aef6e6e32e1b5ae63fe2f1"
                                "9907f279f283e54ba385405224f7"
                                "50a95b85eebb7faef04699d1d9e21f47fc346e4d0d000102030405060708090a0b6bd962060d4ca86d0f6c"
                                "9b95cca999fc27fd48685728d27f"
                                "f38e42b2"},
                               {2,
                                "00850400433c219024277e7e682fcb288148c282747403279b1ccc06352c6e5505d769be97b3b204da6ef5"
                                "5507aa104a3a35c5af41cf2fa364"
                                "d60fd967f43e3933ba6d783d00f4bb8cc7f86db26700a7f3eceeeed3f0b5c6b5107c4da97740ab21a29906"
                                "c42dbbb3e377de9f251f6b93937f"
                                "a99a3248f4eafcbe95edc0f4f71be356d661f41b02000102030405060708090a0b4fb5936287f60ef36cdf"
                                "5b72c73cd20e6e55f94d9f462f45"
                                "9f8a0a9c"},
                               {18,
                                "00850401bc33425e72a12779eacb2edcc5b63d1281f7e86dbc7bf99a7abd0cfe367de4666d6edbb8525bff"
                                "e5222f0702c3096dec0884ce572f"
                                "5a15c423fdf44d01dd99c61d010d06e999885b63535de3e74d33d9e63d024fb07ce0d196f2552c8e4a00ac"
                                "84c044234aeb201f7a9133915d1b"
                                "4b45209b9da79fe15b19f84fd135d841e2d8f9a86a000102030405060708090a0b51921400439b0a7baedc"
                                "c3646a8d0dd1a935e089e2be8008"
                                "668ea00a"}};

class EciesP521 : public ::testing::Test {
 protected:
  crypto::EcPrivateKey key_ =
      crypto::EcPrivateKey::from_scalar(crypto::Curve::p521,
                                        unhex("0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a095aa85a3"
                                              "0fe1c2952c6771d937ba9777f5957b2639bab072462f68c27a57382d4a52"))
          .value();
  crypto::SeededRandom random_{as_bytes("ecies on P-521")};
};

TEST_F(EciesP521, V1WritesAndOpensTheKnownBlobs) {
  for (const auto& [scalar, blob] : kP521) {
    FixedRandom fixed(for_scalar(scalar, unhex(kNonce), crypto::Curve::p521));
    EXPECT_EQ(base::hex(ecies_v1_seal(key_.public_key(), as_bytes("hello secret"), fixed).value()), blob);
    const auto opened = ecies_v1_open(key_, unhex(blob));
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    EXPECT_EQ(base::as_text(opened->reveal()), "hello secret");
  }
}

TEST_F(EciesP521, V2WritesTheKnownBlob) {
  FixedRandom fixed(for_scalar(32, {}, crypto::Curve::p521));
  EXPECT_EQ(base::hex(ecies_v2_seal(key_.public_key(), "attestry/test", as_bytes("hello secret"), fixed).value()),
            "4154453203040166ba3596d20a3a469443707af94ba15b343e3e16654e068038dba7ecefb9e5ebd6ea04a35dc73596ec67d69bd6ba"
            "5d1f949cf7475cd6c5c78247915ab876e56a9e00477b0ff4d1940ab8111635e75ff3e08268ff7bd8bf5ff01967c1df01c65c2dd77d"
            "e204cdb818cdd6b9b74de1c7ea0f36dfcd98c965ab96163695ca9a9914a156aaf36225aa89527e352b367ef02ab8f7a5c67a80be8d"
            "8b72aa4ab54f56");
}

TEST_F(EciesP521, EveryFlippedByteAndEveryTruncationIsRefused) {
  const base::Bytes v1 = unhex(kP521[1].blob);
  const base::Bytes v2 = ecies_v2_seal(key_.public_key(), "here", as_bytes("hello"), random_).value();
  ASSERT_TRUE(ecies_v2_open(key_, "here", v2).ok());
  for (std::size_t i = 0; i < v1.size(); ++i) {
    base::Bytes wrong = v1;
    wrong[i] ^= 0x01;
    EXPECT_FALSE(ecies_v1_open(key_, wrong).ok()) << i;
    EXPECT_FALSE(ecies_v1_open(key_, base::ByteView(v1).first(i)).ok()) << i;
  }
  for (std::size_t i = 0; i < v2.size(); ++i) {
    base::Bytes wrong = v2;
    wrong[i] ^= 0x80;
    EXPECT_FALSE(ecies_v2_open(key_, "here", wrong).ok()) << i;
    EXPECT_FALSE(ecies_v2_open(key_, "here", base::ByteView(v2).first(i)).ok()) << i;
  }
}

TEST_F(EciesP521, PointsOfOtherLengthsAndOffTheCurveAreRefused) {
  const base::Bytes good = unhex(kP521[0].blob);
  for (const unsigned length : {0x0000U, 0x0041U, 0x0043U, 0x0061U, 0x0084U, 0x0086U, 0x8500U, 0xfff2U, 0xffffU}) {
    base::Bytes blob = good;
    blob[0] = static_cast<std::uint8_t>(length >> 8);
    blob[1] = static_cast<std::uint8_t>(length);
    EXPECT_FALSE(ecies_v1_open(key_, blob).ok()) << length;
  }
  base::Bytes off_curve = good;
  off_curve[134] ^= 0x01;
  const auto refused = ecies_v1_open(key_, off_curve);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, base::Code::malformed);
  const auto p256 = crypto::EcPrivateKey::generate(crypto::Curve::p256, random_);
  EXPECT_FALSE(ecies_v1_open(p256, good).ok());
  EXPECT_FALSE(ecies_v1_open(crypto::EcPrivateKey::generate(crypto::Curve::p521, random_), good).ok());
}

}  // namespace
}  // namespace attestry::curves
