#include "secrets/keystore_vaults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "audit/testing/support.h"

namespace attestry::secrets {
namespace {

using base::Code;
using chain::near::AccountId;
using chain::near::Answer;
using chain::near::Block;
using chain::near::Refusal;
using chain::near::ViewCall;
using ::testing::HasSubstr;

AccountId account(std::string_view text) { return *AccountId::parse(text); }

/// A chain that says what the test wants, and counts what it is asked.
class Chain final : public chain::near::ChainReader {
 public:
  base::Result<Block> head(base::Deadline) override {
    if (away) return base::Error{Code::unavailable, "no quorum"};
    return Block{.height = height, .hash = {static_cast<std::uint8_t>(height)}, .time = {}};
  }
  base::Result<Answer> ask(const Block& at, const chain::near::Question& question, base::Deadline) override {
    ++asked;
    if (meanwhile) std::exchange(meanwhile, {})();
    if (away) return base::Error{Code::unavailable, "no quorum"};
    const auto& call = std::get<ViewCall>(question);
    if (call.method == "is_vault_banned") return text(banned);
    if (call.method == "is_vault_verified") return text(at.height >= verified_from && at.height < verified_to);
    if (no_contract) return Answer{Refusal{.code = Code::not_found, .what = "no contract"}};
    return Answer{base::to_bytes(state)};
  }
  static Answer text(bool said) { return Answer{base::to_bytes(said ? "true" : "false")}; }

  bool away = false, banned = false, no_contract = false;
  std::uint64_t height = 10, verified_from = 0, verified_to = 1000;
  std::string state = R"({"keystore_dao":"dao.near","mpc_contract":"mpc.near","unlocked":false,"recovery":null})";
  int asked = 0;
  std::function<void()> meanwhile{};  ///< runs in the middle of the next question
};

class KeystoreVaultsTest : public ::testing::Test {
 protected:
  state::testing::TempFolder folder_;
  state::testing::ManualClock clock_{{1'800'000'000}};
  std::unique_ptr<state::Store> store_ =
      *state::Store::open({.path = folder_.file("store.db"), .realm = base::Realm::simulated});
  std::unique_ptr<audit::Log> log_ =
      *audit::Log::open(*store_, audit::testing::log_key(),
                        {.origin = audit::testing::kOrigin, .checkpoint_path = folder_.file("checkpoint")});
  keys::SealingEpochs epochs_{*store_, crypto::Secret::copy_of(base::Bytes(32, 7)), crypto::system_random()};
  std::unique_ptr<KeystoreMasters> masters_ = *KeystoreMasters::open(
      {*store_, *log_, epochs_, crypto::system_random()},
      {.first = crypto::Secret::copy_of(base::Bytes(32, 9)),
       .source = imported_source(crypto::Secret::copy_of(base::Bytes(32, 1)), crypto::system_random())});
  Chain chain_;
  KeystoreVaults vaults_{{*store_, *log_, *masters_, chain_, clock_}, {.dao = account("dao.near")}, std::nullopt};

  base::Status look() { return vaults_.look("v.near", std::chrono::steady_clock::now() + std::chrono::seconds(20)); }
  static std::string refusal(const base::Status& status) { return status ? "" : status.error().text(); }
};

TEST_F(KeystoreVaultsTest, WhatIsRememberedCountsForItsTime) {
  EXPECT_EQ(vaults_.last("v.near").error().code, Code::unavailable);
  EXPECT_FALSE(vaults_.at_hand("v.near"));
  ASSERT_TRUE(look().ok()) << refusal(look());
  EXPECT_EQ(chain_.asked, 3);
  ASSERT_TRUE(vaults_.at_hand("v.near"));
  clock_.pass(2);
  EXPECT_FALSE(vaults_.at_hand("v.near"));
  // The chain has not moved: the answer stands, and for as long again.
  EXPECT_TRUE(look().ok());
  EXPECT_EQ(chain_.asked, 3);
  EXPECT_TRUE(vaults_.at_hand("v.near"));
  clock_.pass(2);
  chain_.height = 11;
  EXPECT_TRUE(look().ok());
  EXPECT_EQ(chain_.asked, 6);
}

TEST_F(KeystoreVaultsTest, WhatWasSeenLastCountsForAMinuteMoreAndNoLonger) {
  const auto ends_after = [&](std::int64_t seconds, base::Code while_it_counts) {
    const auto is = [&](base::Code code) {
      const auto last = vaults_.last("v.near");
      return code == Code::internal ? last.ok() : !last.ok() && last.error().code == code;
    };
    EXPECT_TRUE(is(while_it_counts));
    clock_.pass(seconds - 1);
    EXPECT_TRUE(is(while_it_counts)) << "a request may wait in the queue";
    clock_.pass(1);
    EXPECT_TRUE(is(Code::unavailable)) << "neither a yes nor a no";
    clock_.pass(100'000);
    EXPECT_TRUE(is(Code::unavailable));
  };
  ASSERT_TRUE(look().ok());
  ends_after(1 + 60, Code::internal);
  // The chain has not moved: another look is what makes it count again, and without the chain it does not.
  chain_.away = true;
  EXPECT_EQ(look().error().code, Code::unavailable);
  EXPECT_EQ(vaults_.last("v.near").error().code, Code::unavailable);
  chain_.away = false;
  ASSERT_TRUE(look().ok());
  ends_after(1 + 60, Code::internal);
  chain_.banned = true;
  chain_.height = 11;
  EXPECT_EQ(look().error().code, Code::denied);
  ends_after(1 + 60, Code::denied);
}

TEST_F(KeystoreVaultsTest, WhatIsAtHandEndsWithItsTime) {
  KeystoreVaults hour{{*store_, *log_, *masters_, chain_, clock_},
                      {.dao = account("dao.near"), .ttl = std::chrono::hours{1}},
                      std::nullopt};
  ASSERT_TRUE(hour.look("v.near", std::chrono::steady_clock::now() + std::chrono::seconds(20)).ok());
  clock_.pass(3599);
  EXPECT_TRUE(hour.at_hand("v.near"));
  clock_.pass(1);
  EXPECT_FALSE(hour.at_hand("v.near"));
  EXPECT_TRUE(hour.last("v.near").ok());
  clock_.pass(60);
  EXPECT_EQ(hour.last("v.near").error().code, Code::unavailable);
}

TEST_F(KeystoreVaultsTest, ANoEndsWithTheNextBlockAndAYesToo) {
  ASSERT_TRUE(look().ok());
  ASSERT_TRUE(masters_->master("v.near").ok());
  clock_.pass(2);
  chain_.height = 11;
  chain_.state = R"({"keystore_dao":"d","mpc_contract":"m","unlocked":true,"recovery":null})";
  EXPECT_THAT(refusal(look()), HasSubstr("v.near is unlocked"));
  EXPECT_EQ(vaults_.last("v.near").error().code, Code::denied);
  EXPECT_TRUE(masters_->loaded_vaults().empty());
  clock_.pass(2);
  chain_.height = 12;
  chain_.state = R"({"keystore_dao":"d","mpc_contract":"m","unlocked":false,"recovery":null})";
  EXPECT_TRUE(look().ok());
}

TEST_F(KeystoreVaultsTest, AnOutageIsNeitherAYesNorANo) {
  ASSERT_TRUE(look().ok());
  ASSERT_TRUE(masters_->master("v.near").ok());
  clock_.pass(2);
  chain_.away = true;
  EXPECT_EQ(look().error().code, Code::unavailable);
  EXPECT_FALSE(vaults_.at_hand("v.near"));
  EXPECT_EQ(masters_->loaded_vaults().size(), 1U);
}

TEST_F(KeystoreVaultsTest, AnAnswerOfAnOlderBlockDoesNotTakeBackANewerOne) {
  chain_.verified_to = 11;
  // While block 10 is asked about, where it is verified, somebody else sees block 11, where it is not.
  chain_.meanwhile = [&] {
    chain_.height = 11;
    EXPECT_EQ(look().error().code, Code::denied);
  };
  EXPECT_EQ(look().error().code, Code::denied);
  EXPECT_EQ(vaults_.last("v.near").error().code, Code::denied);
}

TEST_F(KeystoreVaultsTest, WhatTheChainRefusesIsANoAndADaoThatIsNoneIsNot) {
  chain_.no_contract = true;
  EXPECT_EQ(look().error().code, Code::denied);
  clock_.pass(2);
  ++chain_.height;
  chain_.no_contract = false;
  for (const char* bad : {"", "{}", "null", R"({"keystore_dao":"d","mpc_contract":"m","unlocked":0,"recovery":null})",
                          R"({"keystore_dao":"d","mpc_contract":"m","unlocked":false})"}) {
    chain_.state = bad;
    ++chain_.height;
    clock_.pass(2);
    EXPECT_EQ(look().error().code, Code::denied) << bad;
  }
  EXPECT_EQ(vaults_.look("No Account", {}).error().code, Code::malformed);
}

TEST_F(KeystoreVaultsTest, WithoutASignerNothingIsSaid) {
  const auto outcome = vaults_.verify(account("v.near"), std::chrono::steady_clock::now());
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().step, VaultStep::signer);
  EXPECT_TRUE(vaults_.ban(account("v.near"), "why", {})->transaction.empty());
  EXPECT_EQ(chain_.asked, 0);
}

}  // namespace
}  // namespace attestry::secrets
