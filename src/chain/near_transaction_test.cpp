#include "chain/near_transaction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/base58.h"
#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::chain::near {
namespace {

using base::Bytes;
using base::Code;
using ::testing::HasSubstr;

Bytes bytes_of(std::string_view hex) { return base::hex_decode(hex).value_or(Bytes{}); }
AccountId account(std::string_view text) { return *AccountId::parse(text); }
PublicKey key_of(std::string_view text) { return *PublicKey::parse(text); }

Bytes counting(std::size_t size) {
  Bytes out;
  for (std::size_t i = 0; i < size; ++i) out.push_back(static_cast<std::uint8_t>(i));
  return out;
}

Transaction plain(std::vector<Action> actions) {
  return {.signer = account("alice.near"),
          .key = *PublicKey::from_bytes(KeyKind::ed25519, counting(32)),
          .nonce = 7,
          .receiver = account("dao.outlayer.near"),
          .block_hash = {},
          .actions = std::move(actions)};
}

// -- vectors of the tests of near-api-js

constexpr std::string_view kAllActions =
    "09000000746573742e6e656172000f56a5f028dfc089ec7c39c1183b321b4d8f89ba5bec9e1762803cc2491f6ef8010000000000000003"
    "0000003132330fa473fd26901df296be6adc4cc4df34d040efa2435224b6986910e630c2fef60800000000010300000001020302030000"
    "0071717103000000010203e80300000000000040420f00000000000000000000000000037b000000000000000000000000000000044042"
    "0f00000000000000000000000000000f56a5f028dfc089ec7c39c1183b321b4d8f89ba5bec9e1762803cc2491f6ef805000f56a5f028df"
    "c089ec7c39c1183b321b4d8f89ba5bec9e1762803cc2491f6ef800000000000000000000030000007a7a7a010000000300000077777706"
    "000f56a5f028dfc089ec7c39c1183b321b4d8f89ba5bec9e1762803cc2491f6ef80703000000313233";

TEST(NearTransactionTest, EveryActionAsNearApiJsWritesIt) {
  const auto key = SecretKey::parse(
      "ed25519:2wyRcSwSuHtRVmkMCGjPwnzZmQLeXLzLLyED1NDMt4BjnKgQL6tF85yBx6Jr26D2dUNeC716RBoTxntVHsegogYw");
  ASSERT_TRUE(key.ok()) << key.error().text();
  const PublicKey pub = key->public_key();
  const Transaction transaction{
      .signer = account("test.near"),
      .key = pub,
      .nonce = 1,
      .receiver = account("123"),
      .block_hash = *parse_hash("244ZQ9cgj3CQ6bWBdytfrJMuMQ1jdXLFGnr4HhvtCTnM", "block"),
      .actions = {CreateAccount{}, DeployContract{{1, 2, 3}},
                  FunctionCall{.method = "qqq", .args = {1, 2, 3}, .gas = 1000, .deposit = {.low = 1000000}},
                  Transfer{{.low = 123}}, Stake{{.low = 1000000}, pub},
                  AddKey{pub, 0, FunctionCallPermission{std::nullopt, account("zzz"), {"www"}}}, DeleteKey{pub},
                  DeleteAccount{account("123")}}};
  EXPECT_EQ(base::hex(*encode(transaction)), kAllActions);
  const auto done = sign(transaction, *key);
  ASSERT_TRUE(done.ok());
  EXPECT_EQ(base::base58(done->hash), "Fo3MJ9XzKjnKuDuQKhDAC6fra5H2UWawRejFSEpPNk3Y");
  EXPECT_EQ(*decode_transaction(bytes_of(kAllActions)), transaction);
  const auto decoded = decode_signed_transaction(done->raw);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->transaction, transaction);
  EXPECT_EQ(decoded->signature.text(),
            "ed25519:5TYcQFtqP9PqEHmmyARwi65adQoaAtz6zJyNioXnwxuizQsz9GUkWDef3j1MkLX3p8BfYGsH9nAFTXiY7S528L7K");
  EXPECT_TRUE(verify(pub, decoded->hash, decoded->signature).ok());
}

TEST(NearTransactionTest, ASignedTransferAsNearApiJsWritesIt) {
  const auto key = SecretKey::parse(
      "ed25519:3hoMW1HvnRLSFCLZnvPzWeoGwtdHzke34B2cTHM8rhcbG3TbuLKtShTv3DvyejnXKXKBiV7YPkLeqUHN1ghnqpFv");
  ASSERT_TRUE(key.ok());
  const Transaction transaction{.signer = account("test.near"),
                                .key = key_of("ed25519:Anu7LYDfpLtkP7E16LT9imXF694BdQaa9ufVkQiwTQxC"),
                                .nonce = 1,
                                .receiver = account("whatever.near"),
                                .block_hash = *parse_hash("244ZQ9cgj3CQ6bWBdytfrJMuMQ1jdXLFGnr4HhvtCTnM", "block"),
                                .actions = {Transfer{{.low = 1}}}};
  EXPECT_EQ(
      base::hex(sign(transaction, *key)->raw),
      "09000000746573742e6e65617200917b3d268d4b58f7fec1b150bd68d69be3ee5d4cc39855e341538465bb77860d0100000000000000"
      "0d00000077686174657665722e6e6561720fa473fd26901df296be6adc4cc4df34d040efa2435224b6986910e630c2fef60100000003"
      "0100000000000000000000000000000000969a83332186ee9755e4839325525806e189a3d2d2bb4b4760e94443e97e1c4f22deeef005"
      "9a8e9713100eda6e19144da7e8a0ef7e539b20708ba1d8d021bd01");
}

// -- transactions of the public network, out of NEAR's documentation of its RPC

TEST(NearTransactionTest, TransactionsOfTheNetwork) {
  const auto raw = base::base64_decode(
      "DgAAAHNlbmRlci50ZXN0bmV0AOrmAai64SZOv9e/naX4W15pJx0GAap35wTT1T/DwcbbDwAAAAAAAAAQAAAAcmVjZWl2ZXIudGVzdG5ldNMnL7UR"
      "B1cxPOu3G8jTqlEwlcasagIbKlAJlF5ywVFLAQAAAAMAAACh7czOG8LTAAAAAAAAAGQcOG03xVSFQFjoagOb4NBBqWhERnnz45LY4+52JgZhm1iQ"
      "Kz7qAdPByrGFDQhQ2Mfga8RlbysuQ8D8LlA6bQE=");
  ASSERT_TRUE(raw.ok());
  const auto decoded = decode_signed_transaction(*raw);
  ASSERT_TRUE(decoded.ok()) << decoded.error().text();
  EXPECT_EQ(base::base58(decoded->hash), "6zgh2u9DqHHiXzdy9ouTP7oGky2T4nugqzqt9wJZwNFm");
  EXPECT_EQ(decoded->transaction.key.text(), "ed25519:Gowpa4kXNyTMRKgt5W7147pmcc2PxiFic8UHW9rsNvJ6");
  EXPECT_EQ(decoded->signature.text(),
            "ed25519:3168QMdTpcwHvM1dmMYBc8hg9J3Wn8n7MWBSE9WrEpns6P5CaY87RM6k4uzyBkQuML38CZhU18HzmQEevPG1zCvk");
  EXPECT_TRUE(verify(decoded->transaction.key, decoded->hash, decoded->signature).ok());
  EXPECT_EQ(decoded->transaction.nonce, 15u);
  EXPECT_EQ(std::get<Transfer>(decoded->transaction.actions.at(0)).deposit.text(), "1000000000000000000000000");
}

// -- vectors made with near-primitives

TEST(NearTransactionTest, KeysWithAnAllowanceAndLargeAmounts) {
  const PublicKey key = *PublicKey::from_bytes(KeyKind::ed25519, counting(32));
  const FunctionCallPermission permission{
      *U128::parse("10000000000000000000000000"), account("dao.outlayer.near"), {"request_key", "mark_vault_verified"}};
  const FunctionCall call{.method = "m",
                          .args = base::to_bytes("{}"),
                          .gas = 30'000'000'000'000,
                          .deposit = {.high = std::uint64_t{1} << 36, .low = 5}};
  EXPECT_EQ(
      base::hex(*encode(plain({AddKey{key, 0, permission}, call, Stake{{.low = 5}, key}}))),
      "0a000000616c6963652e6e65617200000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f07000000000000"
      "001100000064616f2e6f75746c617965722e6e6561720000000000000000000000000000000000000000000000000000000000000000"
      "030000000500000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f000000000000000000010000004a4801"
      "141695450800000000001100000064616f2e6f75746c617965722e6e656172020000000b000000726571756573745f6b657913000000"
      "6d61726b5f7661756c745f766572696669656402010000006d020000007b7d00e057eb481b0000050000000000000000000000100000"
      "00040500000000000000000000000000000000000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
}

TEST(NearTransactionTest, FullAccessIsNamed) {
  const PublicKey key = *PublicKey::from_bytes(KeyKind::ed25519, counting(32));
  const auto raw = encode(plain({AddKey{key, 3, FullAccess{}}}));
  ASSERT_TRUE(raw.ok());
  EXPECT_THAT(base::hex(*raw),
              ::testing::EndsWith("010000000500000102030405060708090a0b0c0d0e0f101112131415161718191a1b"
                                  "1c1d1e1f030000000000000001"));
  EXPECT_EQ(*decode_transaction(*raw), plain({AddKey{key, 3, FullAccess{}}}));
}

// -- refusals

TEST(NearTransactionTest, ASignerSignsForItselfOnly) {
  const auto key = SecretKey::from_seed(counting(32));
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(sign(plain({Transfer{}}), *key).error().code, Code::usage);
}

// NEP-645: 2 is the number of such a key and of its signature, over the same hash as others.
TEST(NearTransactionTest, AnMlDsaKeySignsAndIsGranted) {
  const auto key = SecretKey::from_seed(counting(32), KeyKind::ml_dsa_65);
  ASSERT_TRUE(key.ok());
  Transaction transaction = plain({DeleteKey{key->public_key()}});
  transaction.key = key->public_key();
  const auto made = sign(transaction, *key);
  ASSERT_TRUE(made.ok()) << made.error().text();
  const std::string text = base::hex(made->raw), of_key = "02" + base::hex(key->public_key().bytes());
  constexpr std::size_t kAccount = 4 + 10, kKey = 1 + 1952, kSignature = 1 + 3309;
  EXPECT_EQ(text.substr(2 * kAccount, 2 * kKey), of_key);
  EXPECT_EQ(text.substr(text.size() - 2 * (kKey + kSignature), 2 * kKey), of_key);
  EXPECT_EQ(text.substr(text.size() - 2 * kSignature, 2), "02");
  const auto decoded = decode_signed_transaction(made->raw);
  ASSERT_TRUE(decoded.ok()) << decoded.error().text();
  EXPECT_EQ(decoded->transaction, transaction);
  EXPECT_EQ(base::hex(decoded->hash), base::hex(made->hash));
  EXPECT_TRUE(verify(decoded->transaction.key, decoded->hash, decoded->signature).ok());
  Bytes raw = made->raw;
  raw.pop_back();
  EXPECT_EQ(decode_signed_transaction(raw).error().code, Code::malformed);
}

TEST(NearTransactionTest, AHundredActionsAreTheMost) {
  EXPECT_TRUE(encode(plain(std::vector<Action>(100, Transfer{}))).ok());
  EXPECT_EQ(encode(plain(std::vector<Action>(101, Transfer{}))).error().code, Code::usage);
}

TEST(NearTransactionTest, NoByteMayBeMissingOrTooMany) {
  const Bytes whole = bytes_of(kAllActions);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(decode_transaction(base::ByteView{whole}.first(size)).error().code, Code::malformed) << size;
  }
  Bytes longer = whole;
  longer.push_back(0);
  EXPECT_FALSE(decode_transaction(longer).ok());
  EXPECT_FALSE(decode_transaction(Bytes((4u << 20) + 1)).ok());
}

TEST(NearTransactionTest, WhatIsUnknownIsRefused) {
  const std::string good = base::hex(*encode(plain({CreateAccount{}})));
  const auto refused = [&](std::size_t byte, std::string_view hex) {
    std::string bad = good;
    bad.replace(2 * byte, hex.size(), hex);
    const auto decoded = decode_transaction(bytes_of(bad));
    return decoded.ok() ? std::string{"accepted"} : decoded.error().text();
  };
  EXPECT_TRUE(decode_transaction(bytes_of(good)).ok());
  EXPECT_THAT(refused(good.size() / 2 - 1, "08"), HasSubstr("action")) << "a delegated action";
  EXPECT_THAT(refused(14, "03"), HasSubstr("signer's key")) << "a hash of a key, which is in no transaction";
  EXPECT_THAT(refused(4, "41"), HasSubstr("signer")) << "an upper-case letter in an account";
  EXPECT_THAT(refused(good.size() / 2 - 5, "ff"), HasSubstr("actions")) << "too many";
}

TEST(NearTransactionTest, ASignatureOfAnotherTransactionDoesNotVerify) {
  const auto key = SecretKey::from_seed(Bytes(32, 7));
  ASSERT_TRUE(key.ok());
  Transaction transaction = plain({Transfer{{.low = 1}}});
  transaction.key = key->public_key();
  Bytes raw = sign(transaction, *key)->raw;
  raw[raw.size() - 65 - 16] = 2;  // the amount
  const auto decoded = decode_signed_transaction(raw);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(std::get<Transfer>(decoded->transaction.actions[0]).deposit.text(), "2");
  EXPECT_EQ(verify(decoded->transaction.key, decoded->hash, decoded->signature).error().code, Code::unauthenticated);
}

}  // namespace
}  // namespace attestry::chain::near
