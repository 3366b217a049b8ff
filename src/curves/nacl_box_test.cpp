#include "curves/nacl_box.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "curves/testing/fixed_random.h"

namespace attestry::curves {
namespace {

using base::as_bytes;
using testing::FixedRandom;

base::Bytes unhex(std::string_view text) { return base::hex_decode(text).value(); }

BoxPublicKey point(std::string_view text) {
  BoxPublicKey out{};
  std::ranges::copy(unhex(text), out.begin());
  return out;
}

/// docs/formats/keymanager.md: the recipient's key is 49 x 32, the ephemeral one 01 02 … 20, what is sealed 46 x 32.
constexpr std::string_view kRecipient = "51c76caf97b8a36e21513eab8b23a1a90126ddf9823deee64c8ffb2954fd4975";
constexpr std::string_view kBox =
    "07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c5178fe697e64a22ec2647bb854b67efd9f032f0cc5594f2f9e"
    "b11040fd488613b4a1d0966d5b0ec1afefe5ced4b413bf";

class NaclBox : public ::testing::Test {
 protected:
  static base::Bytes counting() {
    base::Bytes out(32);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(i + 1);
    return out;
  }
  /// Why `box` is refused.
  base::Error refused(base::ByteView box) {
    const auto opened = sealed_box_open(key_, box);
    EXPECT_FALSE(opened.ok());
    return opened.ok() ? base::Error{} : opened.error();
  }
  BoxPrivateKey key_ = BoxPrivateKey::from_bytes(base::Bytes(32, 0x49)).value();
  BoxPrivateKey ephemeral_ = BoxPrivateKey::from_bytes(counting()).value();
  base::Bytes master_ = base::Bytes(32, 0x46);
  crypto::SeededRandom random_{as_bytes("boxes")};
};

TEST_F(NaclBox, KnownAnswers) {
  EXPECT_EQ(base::hex(key_.public_key()), kRecipient);
  EXPECT_EQ(base::hex(sealed_box_nonce(ephemeral_.public_key(), key_.public_key()).value()),
            "3384b83783ded3f5a7de9bc18a9c3d529175698fa7e27f37");
  EXPECT_EQ(base::hex(box_shared_key(ephemeral_, key_.public_key()).value().reveal()),
            "1f98527143c6a978efe9c891513f77b432e29dedb73734ee11085529a7e377a7");
  EXPECT_EQ(base::hex(box_shared_key(key_, ephemeral_.public_key()).value().reveal()),
            "1f98527143c6a978efe9c891513f77b432e29dedb73734ee11085529a7e377a7");
}

TEST_F(NaclBox, WritesAndOpensTheKnownBox) {
  FixedRandom random(counting());
  EXPECT_EQ(base::hex(sealed_box_seal(key_.public_key(), master_, random).value()), kBox);
  EXPECT_EQ(random.left(), 0u);
  const auto opened = sealed_box_open(key_, unhex(kBox));
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  EXPECT_EQ(base::to_bytes(opened->reveal()), master_);
}

TEST_F(NaclBox, GivesBackWhatWasSealedOfAnySize) {
  for (std::size_t size = 0; size < 150; ++size) {
    const crypto::Secret plain = random_.secret(size);
    const auto box = sealed_box_seal(key_.public_key(), plain.reveal(), random_).value();
    EXPECT_EQ(box.size(), size + kSealedBoxOverhead);
    const auto opened = sealed_box_open(key_, box);
    ASSERT_TRUE(opened.ok()) << size;
    EXPECT_TRUE(base::equal(opened->reveal(), plain.reveal()));
  }
}

TEST_F(NaclBox, EveryChangedBitIsRefused) {
  const base::Bytes box = unhex(kBox);
  for (std::size_t bit = 0; bit < box.size() * 8; ++bit) {
    base::Bytes changed = box;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
    EXPECT_FALSE(sealed_box_open(key_, changed).ok()) << bit;
  }
}

TEST_F(NaclBox, OtherSizesAreRefused) {
  const base::Bytes box = unhex(kBox);
  for (std::size_t size = 0; size < box.size(); ++size) {
    const auto error = refused(base::ByteView(box).first(size));
    EXPECT_EQ(error.code, size < kSealedBoxOverhead ? base::Code::malformed : base::Code::crypto) << size;
  }
  base::Bytes longer = box;
  longer.push_back(0);
  EXPECT_EQ(refused(longer).code, base::Code::crypto);
}

TEST_F(NaclBox, ABoxIsForOneRecipient) {
  const auto box = sealed_box_seal(ephemeral_.public_key(), master_, random_).value();
  EXPECT_EQ(refused(box).code, base::Code::crypto);
  EXPECT_TRUE(sealed_box_open(ephemeral_, box).ok());
}

// The points of small order and their other spellings: all of them agree with any key on zeros.
TEST_F(NaclBox, PointsOfSmallOrderAreRefused) {
  for (const std::string_view text : {
           "0000000000000000000000000000000000000000000000000000000000000000",
           "0100000000000000000000000000000000000000000000000000000000000000",
           "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
           "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
           "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
       }) {
    const auto agreed = box_shared_key(key_, point(text));
    ASSERT_FALSE(agreed.ok()) << text;
    EXPECT_EQ(agreed.error().expected, "a point that is not of small order");
    EXPECT_FALSE(sealed_box_seal(point(text), master_, random_).ok()) << text;
    base::Bytes box = unhex(kBox);
    std::ranges::copy(point(text), box.begin());
    EXPECT_EQ(refused(box).code, base::Code::malformed);
  }
}

TEST_F(NaclBox, APointHasOneSpelling) {
  BoxPublicKey high = key_.public_key();
  high[31] |= 0x80;
  BoxPublicKey nine = point("f6ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");  // p + 9
  for (const BoxPublicKey& other :
       {high, nine, point("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        point("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff")}) {
    const auto agreed = box_shared_key(ephemeral_, other);
    ASSERT_FALSE(agreed.ok());
    EXPECT_EQ(agreed.error().expected, "a number below 2^255 - 19");
  }
  nine = point("0900000000000000000000000000000000000000000000000000000000000000");
  EXPECT_TRUE(box_shared_key(ephemeral_, nine).ok());
}

TEST_F(NaclBox, PrivateKeysHave32Bytes) {
  for (const std::size_t size : {0u, 31u, 33u, 64u}) {
    const auto key = BoxPrivateKey::from_bytes(base::Bytes(size, 1));
    ASSERT_FALSE(key.ok());
    EXPECT_EQ(key.error().found, std::to_string(size) + " bytes");
  }
  const BoxPrivateKey one = BoxPrivateKey::generate(random_);
  EXPECT_NE(one.public_key(), BoxPrivateKey::generate(random_).public_key());
  EXPECT_EQ(one.bytes().size(), 32u);
}

}  // namespace
}  // namespace attestry::curves
