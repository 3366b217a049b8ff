#include "curves/bls_signature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "base/encoding.h"
#include "crypto/random.h"

namespace attestry::curves::bls {
namespace {

using base::hex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

base::Bytes unhex(std::string_view text) { return base::hex_decode(text).value(); }
Signature signature(std::string_view text) {
  Signature out{};
  EXPECT_TRUE(base::hex_decode_into(text, out).ok());
  return out;
}
SigningKey key(std::string_view text) { return SigningKey::from_big_endian(unhex(text)).value(); }

const char* const kOrder = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";
const std::string kZeros(62, '0');
const std::string kPk1 =
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb";
const char* const kPk2 =
    "a1b1f8e66414f6d714bf294475426eb524d0ab84e589e085ba4482c56966f49188f53caaed74d5f43b3d204e1cd93f48";
const char* const kPk3 =
    "8c8468a8b1326e45e2ead8d2187d645e4ae5ac34c94822fc29ff74108eae74fa3b1f6b5ab42f8b93580d669e03533b52";
const char* const kSig1 =
    "a64d5fe427dac16a539a35bfa52f79bec309c7a98fa3fcb609daf47c43bddd728b69bdce82d38a7996337b7df8338770016bd8c9c47e79420d"
    "6131fb8d680c80efbe49daeb1840b52bfc668b893d58984370a1849c5dad1103353c92f7654869";
const char* const kSig2 =
    "a09ffde17245a09bd6b1535e0ee01681e92174876fc1bf9c6e13a7e65020dfd66e4fcbd22070209df78324be2da4c0c413708f0e5d2908904a"
    "341b932ea47c2f071dd7c9b0b35b2fa312822924c3f22a4fd3c556a5c95cd05cbd13ac8d663624";
const char* const kSum =
    "a871fb2088f87344e8ece371af874e1d430a61831c9a23703b582830857009a2f00c7a40660a21327c6a56a1a13e43a0013ec04208712cfb17"
    "dc025689b1a20462ba509c15638176ca03c8fd54e2a7963f844d5d63a76d9761e7f3fb7cc90084";

/// The keys, messages and signatures that py_ecc 9.0.0-beta.1 makes.
class BlsSignature : public testing::Test {
 protected:
  SigningKey sk1_ = key(kZeros + "01");
  SigningKey sk2_ = key("3f8770fa96601672f73f74d30a4bd1d6d8a1a22bee1b39bac637352b92b995fe");
  SigningKey sk3_ = key("60b2f01354897ee7bac132a4377744fd5e2c3e1e0ee9d8e2eea09e724ae9cd3e");
  PublicKey pk1_ = sk1_.public_key(), pk2_ = sk2_.public_key(), pk3_ = sk3_.public_key();
  base::Bytes m1_ = unhex("a22a778f0a115a48acc42961776c9d885f0564b2" + kPk1 +
                          "c738afa748fde22ea4a5b77da62231d108a186cf00000000000000006553f100");
  base::Bytes m2_ = unhex("a22a778f0a115a48acc42961776c9d885f0564b2" + kPk1 +
                          "6f0b18854c8bf1ba30eaf20d9c20f49eb164ef564fab4496649ab17dc51e69f000000001000000006553f100");
};

/// A point of the curve over the larger field, of another order.
Signature outside_the_subgroup() {
  for (std::uint8_t x = 1;; ++x) {
    Signature guess{};
    guess[0] = 0x80;
    guess[95] = x;
    if (G2::decode_unchecked(guess)) return guess;
  }
}

TEST_F(BlsSignature, PublicKeysOfTheVectors) {
  EXPECT_EQ(hex(pk1_.encoded()), kPk1);
  EXPECT_EQ(hex(pk2_.encoded()), kPk2);
  EXPECT_EQ(hex(pk3_.encoded()), kPk3);
  EXPECT_TRUE(*PublicKey::decode(unhex(kPk2)) == pk2_);
}

TEST_F(BlsSignature, SigningKeysAreReducedWhereThatIsAskedFor) {
  const auto reduced = SigningKey::reduce(base::Bytes(32, 0xff));
  ASSERT_TRUE(reduced.ok());
  EXPECT_EQ(hex(reduced->big_endian().reveal()), "1824b159acc5056f998c4fefecbc4ff55884b7fa0003480200000001fffffffd");
  EXPECT_EQ(hex(reduced->public_key().encoded()),
            "96ea601ca88f7d3489479129b258960b4c1df37194d30803627c30c34252679a0ada1a51bc7a4006a4f0564050d31746");
  EXPECT_FALSE(SigningKey::from_big_endian(base::Bytes(32, 0xff)).ok());
}

TEST_F(BlsSignature, ZeroAndTheOrderAreNoKeys) {
  EXPECT_THAT(SigningKey::from_big_endian(base::Bytes(32, 0)).error().text(), HasSubstr("zero"));
  EXPECT_FALSE(SigningKey::from_big_endian(unhex(kOrder)).ok());
  EXPECT_FALSE(SigningKey::reduce(base::Bytes(32, 0)).ok());
  EXPECT_THAT(SigningKey::reduce(unhex(kOrder)).error().text(), HasSubstr("multiple of q"));
  EXPECT_THAT(SigningKey::reduce(base::Bytes(31, 1)).error().text(), HasSubstr("31 bytes"));
  EXPECT_THAT(SigningKey::from_big_endian(base::Bytes(33, 1)).error().text(), HasSubstr("33 bytes"));
}

TEST_F(BlsSignature, RandomKeysDiffer) {
  crypto::SeededRandom random{base::as_bytes("keys")};
  const SigningKey a = SigningKey::random(random), b = SigningKey::random(random);
  EXPECT_FALSE(a.public_key() == b.public_key());
}

TEST_F(BlsSignature, SignaturesOfTheVectors) {
  EXPECT_EQ(hex(sk2_.sign(m1_)), kSig1);
  EXPECT_EQ(hex(sk3_.sign(m2_)), kSig2);
  EXPECT_EQ(
      hex(sk1_.sign({})),
      "83b633b06dd88b63ee6180a849fb16f7d4a5823ec8a27294bfe57656c0f319a821478ccf453bacdc94ad1b79d95a00e4102504549e1cbd3"
      "e95173eefe75a36aafcc6427d7f16ddc36daba4fc0ea32b7183d052de00a929950bd9f78c290b3686");
  std::string registration = "register";
  for (int i = 0; i < 32; ++i) registration += "ab";
  registration += "alice";
  EXPECT_EQ(
      hex(sk2_.sign(base::as_bytes(registration))),
      "803c347dd1fe34eae7712c4b3b5bdd74a3e08ced3eb1f307a5ac85fbc525c185de20c99852a84c2222bb03fce28af3e105f74f4196c1930"
      "e6131dc4de4948719040cec48b76ff0ee4b2c4a177acdc19532b31a00f343964e209371ff659315a3");
}

TEST_F(BlsSignature, ASignatureIsOfOneKeyAndOneMessage) {
  EXPECT_TRUE(verify(pk2_, m1_, signature(kSig1)));
  EXPECT_FALSE(verify(pk3_, m1_, signature(kSig1)));
  EXPECT_FALSE(verify(pk2_, m2_, signature(kSig1)));
  EXPECT_FALSE(verify(pk2_, m1_, signature(kSig2)));
}

TEST_F(BlsSignature, TheBasicSchemesSignaturesAreRefused) {
  EXPECT_FALSE(verify(
      pk2_, m1_,
      signature("ada75a4bae493cbc6b5fb68c3f0441c8c20af9d68b8ebd7f588441ffc8085ab39feb8129a57f6aa3faef3e2ce8c0f5a719f282"
                "85daf3ea6d1820792255b5e631e6069a277e35f190d7cd0aa30ea3a42044ffe6c9f29efd67fdad6dc2c6632be3")))
      << "signed under the tag ..._NUL_";
}

TEST_F(BlsSignature, AggregateOfTheVectors) {
  const auto sum = aggregate(std::array{signature(kSig1), signature(kSig2)});
  ASSERT_TRUE(sum.ok());
  EXPECT_EQ(hex(*sum), kSum);
  EXPECT_TRUE(aggregate_verify(std::array{Signed{pk2_, m1_}, Signed{pk3_, m2_}}, *sum));
  EXPECT_FALSE(aggregate_verify(std::array{Signed{pk2_, m2_}, Signed{pk3_, m1_}}, *sum)) << "swapped messages";
  EXPECT_FALSE(aggregate_verify(std::array{Signed{pk2_, m1_}}, *sum));
  EXPECT_FALSE(aggregate_verify({}, *sum));
}

TEST_F(BlsSignature, TheSamePairMayComeTwice) {
  const auto sum = aggregate(std::array{signature(kSig1), signature(kSig1)});
  const std::array twice{Signed{pk2_, m1_}, Signed{pk2_, m1_}};
  EXPECT_TRUE(aggregate_verify(twice, *sum));
  EXPECT_FALSE(aggregate_verify(std::span{twice}.first(1), *sum));
  EXPECT_FALSE(aggregate_verify(twice, signature(kSig1)));
}

TEST_F(BlsSignature, EqualKeysWithSeveralMessagesAreOnePairing) {
  const base::Bytes m3{3};
  const auto sum = aggregate(std::array{sk2_.sign(m1_), sk3_.sign(m2_), sk2_.sign(m3), sk3_.sign(m3)});
  EXPECT_TRUE(
      aggregate_verify(std::array{Signed{pk2_, m1_}, Signed{pk3_, m2_}, Signed{pk2_, m3}, Signed{pk3_, m3}}, *sum));
  EXPECT_FALSE(
      aggregate_verify(std::array{Signed{pk2_, m1_}, Signed{pk3_, m2_}, Signed{pk2_, m3}, Signed{pk2_, m3}}, *sum));
}

TEST_F(BlsSignature, NothingCannotBeAggregated) {
  EXPECT_THAT(aggregate({}).error().text(), HasSubstr("Cannot aggregate empty signature list"));
}

TEST_F(BlsSignature, PossessionIsProvenUnderATagOfItsOwn) {
  const Signature proof = sk2_.prove_possession();
  EXPECT_EQ(
      hex(proof),
      "b58d24075b1179843509fe264776fae96266901e60bbebdf889211cdc702a64e3d8bdd961f2c5f4f07cc1e8d6d683161198638a436f6af2"
      "b30f06777618cfdbd0d171a908ecc9beb64d4bd1e3b134dfd9eaa7043a12a15005f6c6c7ee6f1fe2e");
  EXPECT_TRUE(verify_possession(pk2_, proof));
  EXPECT_FALSE(verify_possession(pk3_, proof));
  EXPECT_FALSE(verify_possession(pk2_, sk2_.sign(pk2_.encoded()))) << "a signature of the key's bytes is no proof";
  EXPECT_FALSE(verify(pk2_, pk2_.encoded(), proof)) << "nor the other way round";
}

TEST_F(BlsSignature, ARogueKeySignsForItsVictimButHasNoProof) {
  // pk_rogue = pk_attacker - pk_victim: nobody knows its secret key.
  const auto rogue = PublicKey::decode((pk3_.point() - pk2_.point()).encode());
  ASSERT_TRUE(rogue.ok());
  const Signature forged = sk3_.sign(m1_);
  EXPECT_TRUE(aggregate_verify(std::array{Signed{pk2_, m1_}, Signed{*rogue, m1_}}, forged))
      << "this is why possession is demanded";
  EXPECT_FALSE(verify_possession(*rogue, sk3_.prove_possession()));
  EXPECT_FALSE(verify_possession(*rogue, forged));
  // What is known without the secret: the difference of proofs is of other messages.
  const auto difference = G2::decode(sk3_.prove_possession()).value() - G2::decode(sk2_.prove_possession()).value();
  EXPECT_FALSE(verify_possession(*rogue, difference.encode()));
}

TEST_F(BlsSignature, TheIdentityIsNeitherKeyNorSignature) {
  EXPECT_THAT(PublicKey::decode(G1{}.encode()).error().text(), HasSubstr("the identity"));
  EXPECT_FALSE(verify(pk2_, m1_, G2{}.encode()));
  EXPECT_FALSE(verify_possession(pk2_, G2{}.encode()));
  EXPECT_FALSE(aggregate(std::vector<Signature>{G2{}.encode()}).ok());
  EXPECT_FALSE(aggregate_verify(std::array{Signed{pk2_, m1_}}, G2{}.encode()));
  EXPECT_THAT(Claim::create(pk2_, m1_, G2{}.encode()).error().text(), HasSubstr("the identity"));
}

TEST_F(BlsSignature, ASumMayBeTheIdentity) {
  // The keys a and -a over one message.
  const SigningKey negative =
      SigningKey::from_big_endian((Scalar::from_u32(0) - Scalar::from_u32(1)).big_endian().reveal()).value();
  const auto sum = aggregate(std::array{sk1_.sign(m1_), negative.sign(m1_)});
  EXPECT_EQ(*sum, G2{}.encode());
  EXPECT_TRUE(aggregate_verify(std::array{Signed{pk1_, m1_}, Signed{negative.public_key(), m1_}}, *sum));
}

TEST_F(BlsSignature, PointsOutsideTheSubgroupAreRefused) {
  const Signature outside = outside_the_subgroup();
  EXPECT_FALSE(verify(pk2_, m1_, outside));
  EXPECT_FALSE(verify_possession(pk2_, outside));
  EXPECT_THAT(aggregate(std::array{signature(kSig1), outside}).error().text(), HasSubstr("signature 1"));
  EXPECT_FALSE(aggregate_verify(std::array{Signed{pk2_, m1_}}, outside));
  EXPECT_FALSE(PublicKey::decode(
                   unhex("800000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
                         "000004"))
                   .ok());
}

/// A point of order 13: the curve's order is 13² times this number times more.
G2 of_order_13() {
  const base::Bytes factor = unhex(
      "04005449cda731a7136c440a0c65b728ba1c1fa6b6708356f3b9bdc84396cab33907d71557a7d33677f5d45f7cedb8cfdac1"
      "0ff1fc5b48d6461e907737d78e96568f2d18c750b4b3ca5c33c3fd8ff8a70629888281914529f4e3380941cfdd");
  const G2 start = G2::decode_unchecked(outside_the_subgroup()).value();
  G2 out;
  for (const std::uint8_t byte : factor) {
    for (unsigned bit = 8; bit-- > 0;) {
      out = out + out;
      if (((byte >> bit) & 1U) != 0) out = out + start;
    }
  }
  return out.times(13).is_identity() ? out : out.times(13);
}

TEST_F(BlsSignature, ASignatureMovedByASmallOrderIsRefused) {
  const G2 small = of_order_13();
  ASSERT_FALSE(small.is_identity());
  ASSERT_TRUE(small.times(13).is_identity());
  const Signature moved = (G2::decode(signature(kSig1)).value() + small).encode();
  EXPECT_FALSE(verify(pk2_, m1_, moved));
  EXPECT_FALSE(aggregate_verify(std::array{Signed{pk2_, m1_}}, moved));
  const std::array claims{Claim::create(pk2_, m1_, moved).value(), Claim::create(pk3_, m2_, signature(kSig2)).value()};
  EXPECT_FALSE(all_signed(claims));
  EXPECT_THAT(which_signed(claims), ElementsAre(false, true));
}

TEST_F(BlsSignature, OtherLengthsAreRefused) {
  const Signature good = signature(kSig1);
  EXPECT_FALSE(verify(pk2_, m1_, base::ByteView{good}.first(95)));
  EXPECT_FALSE(verify(pk2_, m1_, {}));
  EXPECT_FALSE(PublicKey::decode(unhex(kPk1 + "00")).ok());
  EXPECT_FALSE(PublicKey::decode({}).ok());
}

/// Claims of several keys, of which some are wrong.
class BlsClaims : public BlsSignature {
 protected:
  /// Claim i is signed with key i modulo 3, over another message when i is among `wrong`.
  std::vector<Claim> claims(std::size_t count, const std::vector<std::size_t>& wrong) const {
    std::vector<Claim> out;
    for (std::size_t i = 0; i < count; ++i) {
      const SigningKey& key = i % 3 == 0 ? sk1_ : i % 3 == 1 ? sk2_ : sk3_;
      const base::Bytes message{static_cast<std::uint8_t>(i)};
      const bool right = std::ranges::find(wrong, i) == wrong.end();
      const Signature signature = key.sign(right ? message : base::Bytes{static_cast<std::uint8_t>(i), 1});
      out.push_back(Claim::create(key.public_key(), message, signature).value());
    }
    return out;
  }
  static std::vector<std::size_t> refused(const std::vector<Claim>& claims) {
    const auto verdicts = which_signed(claims);
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < verdicts.size(); ++i) {
      if (!verdicts[i]) out.push_back(i);
    }
    return out;
  }
};

TEST_F(BlsClaims, EveryWrongOneIsFound) {
  EXPECT_TRUE(all_signed(claims(20, {})));
  for (const std::vector<std::size_t>& wrong : std::vector<std::vector<std::size_t>>{
           {}, {0}, {19}, {7}, {0, 19}, {3, 4}, {9, 10}, {0, 1, 2, 3, 4, 5}, {1, 3, 5, 7, 9, 11, 13, 15, 17, 19}}) {
    EXPECT_EQ(refused(claims(20, wrong)), wrong);
    EXPECT_EQ(all_signed(claims(20, wrong)), wrong.empty());
  }
  std::vector<std::size_t> most(40);
  std::iota(most.begin(), most.end(), std::size_t{0});
  EXPECT_EQ(refused(claims(40, most)), most);
  std::erase_if(most, [](std::size_t i) { return i % 9 == 0; });
  EXPECT_EQ(refused(claims(40, most)), most);
  EXPECT_EQ(refused(claims(3, {0, 1, 2})), (std::vector<std::size_t>{0, 1, 2}));
  EXPECT_EQ(refused(claims(1, {0})), (std::vector<std::size_t>{0}));
}

TEST_F(BlsClaims, NothingIsSignedByAll) {
  EXPECT_TRUE(all_signed({}));
  EXPECT_THAT(which_signed({}), ElementsAre());
}

TEST_F(BlsClaims, MoreThanOneLoopOfPairings) {
  // 130 keys: pairings are computed 64 at a time.
  crypto::SeededRandom random{base::as_bytes("many")};
  std::vector<Claim> many;
  for (int i = 0; i < 130; ++i) {
    const SigningKey key = SigningKey::random(random);
    many.push_back(Claim::create(key.public_key(), m1_, key.sign(m1_)).value());
  }
  EXPECT_TRUE(all_signed(many));
  many[129] = Claim::create(pk2_, m2_, signature(kSig1)).value();
  EXPECT_FALSE(all_signed(many));
  EXPECT_EQ(refused(many), std::vector<std::size_t>{129});
}

}  // namespace
}  // namespace attestry::curves::bls
