#include "secrets/keystore_wallet_request.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace attestry::secrets::keystore {
namespace {

using base::Code;
using base::JsonDocument;

const std::string kKey = "ed25519:GmaDrppBC7P5ARKV8g3djiwP89vz1jLK23V2GBjuAEGB";
std::string bytes(std::size_t size) { return base::base64(base::Bytes(size, 7)); }
std::string vote(const std::string& key = kKey, std::size_t signature = 64, std::size_t nonce = 32) {
  return R"({"approver":"alice.near","public_key":")" + key + R"(","signature":")" + bytes(signature) +
         R"(","nonce":")" + bytes(nonce) + R"("})";
}
base::Result<WalletVotes> votes(const std::string& text) {
  const auto document = JsonDocument::parse(text);
  return document ? parse_wallet_votes((*document)->root()) : document.error();
}

TEST(WalletRequest, Votes) {
  const auto read = votes(R"({"id":"a","approvals":[)" + vote() + R"(],"rejections":[)" + vote() + "]}");
  ASSERT_TRUE(read.ok()) << read.error().text();
  ASSERT_EQ(read->votes.size(), 2U);
  EXPECT_TRUE(read->votes[0].approve);
  EXPECT_FALSE(read->votes[1].approve);
  EXPECT_EQ(read->votes[0].nonce[31], 7);
  std::string many = vote();
  for (int i = 0; i < 16; ++i) many += "," + vote();
  for (const std::string& bad :
       {std::string{"{}"}, std::string{R"({"id":""})"}, std::string{R"({"id":"a:b"})"}, std::string{R"({"id":1})"},
        R"({"id":"a","approvals":[)" + vote(kKey, 63) + "]}", R"({"id":"a","approvals":[)" + vote(kKey, 64, 31) + "]}",
        R"({"id":"a","approvals":[)" + vote("x") + "]}", std::string{R"({"id":"a","rejections":{}})"},
        R"({"id":"a","approvals":[)" + many + "]}"}) {
    EXPECT_FALSE(votes(bad).ok()) << bad;
  }
}

TEST(WalletRequest, EntriesOfTheContract) {
  EXPECT_FALSE(parse_wallet_policy_record("null")->has_value());
  const auto read =
      parse_wallet_policy_record(R"({"owner":"alice.near","encrypted_data":"AAEC","frozen":true,"updated_at":17})");
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ((*read)->encrypted, (base::Bytes{0, 1, 2}));
  EXPECT_EQ((*read)->owner->text(), "alice.near");
  EXPECT_TRUE((*read)->frozen);
  // Whatever it is, nothing was learned: it is not read as "no policy".
  for (const char* bad : {"", "{}", "[]", R"("x")", R"({"encrypted_data":"*"})",
                          R"({"encrypted_data":"AA==","owner":"No"})", R"({"encrypted_data":"AA==","frozen":"no"})"}) {
    const auto wrong = parse_wallet_policy_record(bad);
    ASSERT_FALSE(wrong.ok()) << bad;
    EXPECT_EQ(wrong.error().code, Code::unavailable) << bad;
  }
}

TEST(WalletRequest, CompactJsonKeepsTheOrder) {
  const auto document = *JsonDocument::parse("{ \"b\" : [ 1 , { } , \"x y\" ],\n \"a\" : null }");
  EXPECT_EQ(compact_json(document->root()), R"({"b":[1,{},"x y"],"a":null})");
}

TEST(WalletRequest, Intents) {
  WalletOp op{.kind = "withdraw", .to = "bob.near", .amount = chain::near::U128{0, 7}, .token = "nep141:usdc.near"};
  const base::UtcTime until{1'800'000'000};
  EXPECT_EQ(*intent_message(op, "me", until),
            R"({"signer_id":"me","deadline":"2027-01-15T08:00:00Z","intents":[{"intent":"ft_withdraw",)"
            R"("token":"usdc.near","receiver_id":"bob.near","amount":"7"}]})");
  op.kind = "intents_transfer";
  EXPECT_EQ(*intent_message(op, "me", until),
            R"({"signer_id":"me","deadline":"2027-01-15T08:00:00Z","intents":[{"intent":"transfer",)"
            R"("receiver_id":"bob.near","tokens":{"nep141:usdc.near":"7"}}]})");
  for (const std::string bad : {"usdc.near", "nep141:", "nep141:a:b", "nep245:usdc.near:1"}) {
    op.token = bad;
    EXPECT_FALSE(intent_message(op, "me", until).ok()) << bad;
  }
  op.token = "nep141:usdc.near";
  op.to = "Bad Name";
  EXPECT_FALSE(intent_message(op, "me", until).ok());
  op.to.reset();
  EXPECT_FALSE(intent_message(op, "me", until).ok());
}

}  // namespace
}  // namespace attestry::secrets::keystore
