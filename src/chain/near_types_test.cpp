#include "chain/near_types.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/base58.h"
#include "base/encoding.h"

namespace attestry::chain::near {
namespace {

using base::Bytes;
using base::Code;
using ::testing::HasSubstr;

Bytes counting(std::size_t size) {
  Bytes out;
  for (std::size_t i = 0; i < size; ++i) out.push_back(static_cast<std::uint8_t>(i));
  return out;
}

// -- amounts

TEST(NearAmountTest, DecimalTexts) {
  for (const auto* text : {"0", "1", "9", "10", "4294967296", "18446744073709551615", "18446744073709551616",
                           "1000000000000000000000000", "340282366920938463463374607431768211455"}) {
    const auto parsed = U128::parse(text);
    ASSERT_TRUE(parsed.ok()) << text;
    EXPECT_EQ(parsed->text(), text);
  }
  EXPECT_EQ(*U128::parse("18446744073709551616"), (U128{.high = 1, .low = 0}));
}

TEST(NearAmountTest, OneSpelling) {
  for (const auto* text : {"", "00", "01", "+1", "-1", "1.0", "1e3", " 1", "0x1",
                           "340282366920938463463374607431768211456", "1000000000000000000000000000000000000000"}) {
    EXPECT_EQ(U128::parse(text).error().code, Code::malformed) << text;
  }
}

TEST(NearAmountTest, CompareAsNumbers) {
  EXPECT_LT(*U128::parse("9"), *U128::parse("10"));
  EXPECT_LT(*U128::parse("18446744073709551615"), *U128::parse("18446744073709551616"));
  EXPECT_GE(*U128::parse("1000000000000000000000000"), *U128::parse("1000000000000000000000000"));
}

// -- accounts

TEST(NearAccountTest, NamesThatNearAccepts) {
  for (const auto* text : {"aa",
                           "a-a",
                           "a-aa",
                           "100",
                           "0o",
                           "com",
                           "near",
                           "bowen",
                           "b-o_w_e-n",
                           "b.owen",
                           "bro.wen",
                           "a.ha",
                           "a.b-a.ra",
                           "system",
                           "over.9000",
                           "google.com",
                           "illia.cheapaccounts.near",
                           "0o0ooo00oo00o",
                           "alex-skidanov",
                           "10-4.8-2",
                           "no_lols",
                           "0123456789012345678901234567890123456789012345678901234567890123",
                           "near.a"}) {
    const auto account = AccountId::parse(text);
    ASSERT_TRUE(account.ok()) << text;
    EXPECT_EQ(account->text(), text);
  }
}

TEST(NearAccountTest, NamesThatNearRefuses) {
  for (const auto* text : {"",
                           "a",
                           "A",
                           "Abc",
                           "-near",
                           "near-",
                           "-near-",
                           "near.",
                           ".near",
                           "near@",
                           "@near",
                           "неар",
                           "@@@@@",
                           "0__0",
                           "0_-_0",
                           "..",
                           "a..near",
                           "nEar",
                           "_bowen",
                           "hello world",
                           "a,b",
                           "alice.near\n",
                           "abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz",
                           "01234567890123456789012345678901234567890123456789012345678901234",
                           "some-complex-address@gmail.com",
                           "sub.buy_d1gitz@atata@b0-rg.c_0_m"}) {
    EXPECT_EQ(AccountId::parse(text).error().code, Code::malformed) << text;
  }
}

// -- keys

TEST(NearKeyTest, TextsOfPublicKeys) {
  const auto ed = PublicKey::parse("ed25519:Anu7LYDfpLtkP7E16LT9imXF694BdQaa9ufVkQiwTQxC");
  ASSERT_TRUE(ed.ok());
  EXPECT_EQ(base::hex(ed->bytes()), "917b3d268d4b58f7fec1b150bd68d69be3ee5d4cc39855e341538465bb77860d");
  EXPECT_EQ(ed->text(), "ed25519:Anu7LYDfpLtkP7E16LT9imXF694BdQaa9ufVkQiwTQxC");
  for (const auto& [kind, size] : {std::pair{KeyKind::secp256k1, 64}, std::pair{KeyKind::ml_dsa_65, 1952}}) {
    const auto key = PublicKey::from_bytes(kind, counting(static_cast<std::size_t>(size)));
    ASSERT_TRUE(key.ok());
    EXPECT_EQ(*PublicKey::parse(key->text()), *key);
  }
}

TEST(NearKeyTest, OtherTextsAreRefused) {
  for (const auto* text :
       {"", ":", "ed25519", "ed25519:", "Anu7LYDfpLtkP7E16LT9imXF694BdQaa9ufVkQiwTQxC",
        "Ed25519:Anu7LYDfpLtkP7E16LT9imXF694BdQaa9ufVkQiwTQxC", "ed25519: Anu7LYDfpLtkP7E16LT9imXF694BdQaa9ufVkQiwTQxC",
        "ed25519:Anu7LYDfpLtkP7E16LT9imXF694BdQaa9ufVkQiw", "ed25519:1Anu7LYDfpLtkP7E16LT9imXF694BdQaa9ufVkQiwTQxC",
        "secp256k1:Anu7LYDfpLtkP7E16LT9imXF694BdQaa9ufVkQiwTQxC", "ml-dsa-44:1", "ed25519:0"}) {
    EXPECT_EQ(PublicKey::parse(text).error().code, Code::malformed) << text;
  }
  EXPECT_FALSE(PublicKey::from_bytes(KeyKind::ed25519, counting(33)).ok());
  EXPECT_FALSE(Signature::from_bytes(KeyKind::ed25519, counting(65)).ok());
}

TEST(NearKeyTest, KnownSecretKey) {
  const auto key = SecretKey::parse(
      "ed25519:1GMkH3brNXiNNs1tiFZHu4yZSRrzJwxi5wB9bHFtMikjwpAW9DMZzU2Pqakc5it8X3N5vPmqdN7KF4CCUpmKhq");
  ASSERT_TRUE(key.ok()) << key.error().text();
  EXPECT_EQ(base::hex(key->public_key().bytes()), "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8");
}

TEST(NearKeyTest, SecretKeysAreRefusedInTheWordsOfTheWorkerAndNeverShown) {
  const auto said = [](std::string_view text) { return SecretKey::parse(text).error().text(); };
  EXPECT_THAT(said("1GMkH3brNXiNNs1tiFZHu4yZ"), HasSubstr("Private key must start with 'ed25519:'"));
  EXPECT_THAT(said("ed25519:0OIl"), HasSubstr("Invalid base58 encoding"));
  EXPECT_THAT(said("ed25519:GMkH3brNXiNNs1tiFZHu4yZSRrzJwxi5wB9bHFtMinfCXNnR1adh8Vo8NTheK4evneedH4qmvjeqcBBNAefgS"),
              HasSubstr("expected 64 bytes, got 63"));
  EXPECT_THAT(said("ed25519:6AC8icZpV3trdTvvR7m7zGrf6BdC6iYZcJ8ygHMtZ9hg4t1JHeeDYJHVhQbj18LwgJfMTBWizvpHFNxtEfYBzeEt"),
              HasSubstr("expected 64 bytes, got more"));
  // The seed twice: the second half is no public key of it.
  const std::string twice = "1GMkH3brNXiNNs1tiFZHu4yZSRrzJwxi5wB9bHFtMikVo4o9Wgf6Bt2u88W9CukeENqZtqWoogrbWcK1vzk1Mp";
  EXPECT_THAT(said("ed25519:" + twice), HasSubstr("second half"));
  EXPECT_THAT(said("ed25519:" + twice), ::testing::Not(HasSubstr(twice.substr(0, 12))));
}

// -- signatures

TEST(NearSignatureTest, OnlyTheKeysOwnOverTheseBytes) {
  const auto key = SecretKey::from_seed(counting(32));
  const auto other = SecretKey::from_seed(Bytes(32, 7));
  ASSERT_TRUE(key.ok() && other.ok());
  const Signature signature = key->sign(base::as_bytes("hello"));
  EXPECT_TRUE(verify(key->public_key(), base::as_bytes("hello"), signature).ok());
  EXPECT_EQ(verify(key->public_key(), base::as_bytes("hellO"), signature).error().code, Code::unauthenticated);
  EXPECT_EQ(verify(other->public_key(), base::as_bytes("hello"), signature).error().code, Code::unauthenticated);
  EXPECT_EQ(*Signature::parse(signature.text()), signature);
}

TEST(NearSignatureTest, AnMlDsaKeyOfASeedSigns) {
  const auto key = SecretKey::from_seed(counting(32), KeyKind::ml_dsa_65);
  ASSERT_TRUE(key.ok()) << key.error().text();
  const Signature signature = key->sign(base::as_bytes("hello"));
  EXPECT_EQ(signature.kind(), KeyKind::ml_dsa_65);
  EXPECT_TRUE(verify(key->public_key(), base::as_bytes("hello"), signature).ok());
  EXPECT_EQ(verify(key->public_key(), base::as_bytes("hellO"), signature).error().code, Code::unauthenticated);
  EXPECT_EQ(SecretKey::from_seed(counting(32), KeyKind::ml_dsa_65)->public_key(), key->public_key());
  EXPECT_EQ(SecretKey::from_seed(counting(33), KeyKind::ml_dsa_65).error().code, Code::malformed);
  EXPECT_EQ(SecretKey::from_seed(counting(32), KeyKind::secp256k1).error().code, Code::usage);
}

TEST(NearSignatureTest, NothingIsSaidAboutOtherKinds) {
  const auto key = PublicKey::from_bytes(KeyKind::secp256k1, counting(64));
  const auto signature = Signature::from_bytes(KeyKind::secp256k1, counting(65));
  ASSERT_TRUE(key.ok() && signature.ok());
  EXPECT_EQ(verify(*key, base::as_bytes("hello"), *signature).error().code, Code::usage);
}

TEST(NearSignatureTest, AnMlDsaSignatureThatIsNoneIsRefused) {
  const auto key = PublicKey::from_bytes(KeyKind::ml_dsa_65, counting(1952));
  const auto signature = Signature::from_bytes(KeyKind::ml_dsa_65, counting(3309));
  const auto other = Signature::from_bytes(KeyKind::ed25519, counting(64));
  ASSERT_TRUE(key.ok() && signature.ok() && other.ok());
  EXPECT_EQ(verify(*key, base::as_bytes("hello"), *signature).error().code, Code::unauthenticated);
  EXPECT_EQ(verify(*key, base::as_bytes("hello"), *other).error().code, Code::unauthenticated);
}

TEST(NearHashTest, ThirtyTwoBytes) {
  EXPECT_EQ(*parse_hash("11111111111111111111111111111111", "h"), base::Digest32{});
  EXPECT_FALSE(parse_hash("1111111111111111111111111111111", "h").ok());
  EXPECT_FALSE(parse_hash("111111111111111111111111111111111", "h").ok());
}

}  // namespace
}  // namespace attestry::chain::near
