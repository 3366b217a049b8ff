#include "secrets/keystore_rotation_contract.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chain/testing/near_stand_in.h"
#include "chain/testing/stand_in.h"

namespace attestry::secrets {
namespace {

using base::Code;
using chain::near::AccountId;
using chain::near::testing::Nodes;
using chain::near::testing::StandInCall;
using chain::near::testing::World;
using ::testing::HasSubstr;

class ContractListerTest : public ::testing::Test {
 protected:
  ContractListerTest() {
    nodes_.change([this](World& world) {
      world.accounts["outlayer.testnet"].has_contract = true;
      world.contract = [this](const std::string&, const std::string& method, const base::Bytes& args,
                              std::uint64_t height) {
        const std::string text{base::as_text(args)};
        heights_.insert(height);
        if (method == "list_user_secrets") return StandInCall{.value = base::to_bytes(list_(text))};
        return StandInCall{.value = base::to_bytes(secret_(text))};
      };
    });
  }
  base::Result<std::vector<ListedSecret>> list(std::uint64_t from = 0, std::size_t most = 50) {
    TRY(auto page, page_of(from, most, {}));
    return std::move(page.secrets);
  }
  base::Result<SecretLister::Page> page_of(std::uint64_t from, std::size_t most, base::ByteView state) {
    chain::near::ReaderOptions options;
    options.chain_id = chain::near::testing::kChainId;
    options.endpoints = nodes_.endpoints();
    options.max_head_age = 0;
    options.max_clock_skew = 1'000'000;
    options.clock = &clock_;
    auto reader = *chain::near::QuorumReader::make(nodes_, std::move(options));
    ContractLister lister(*reader, *AccountId::parse("outlayer.testnet"), clock_, {}, std::chrono::seconds(30));
    return lister.list("alice.testnet", from, most, state);
  }
  static constexpr const char* kRepo =
      R"({"accessor":{"Repo":{"repo":"github.com/a/b","branch":null}},"profile":"one"})";
  static std::string stored(const std::string& vault) {
    return R"({"profile":{"encrypted_secrets":"AQID","access":"AllowAll","created_at":1,"updated_at":1,)"
           R"("storage_deposit":"1","accessor":{"Repo":{"repo":"github.com/a/b","branch":null}}},"vault_id":)" +
           vault + "}";
  }
  Nodes nodes_{3};
  std::set<std::uint64_t> heights_;  ///< at which the contract was asked
  chain::testing::TestClock clock_{{chain::near::testing::kGenesis + 101}};
  std::function<std::string(const std::string&)> list_ = [](const std::string&) {
    return std::string{"["} + kRepo + "]";
  };
  std::function<std::string(const std::string&)> secret_ = [](const std::string&) {
    return stored("\"acme.testnet\"");
  };
};

TEST_F(ContractListerTest, EverySecretHasItsBlobItsVaultAndItsSeed) {
  std::string asked;
  list_ = [&](const std::string& args) {
    asked = args;
    return std::string{"["} + kRepo + "]";
  };
  const auto found = list(100, 50);
  ASSERT_TRUE(found.ok()) << found.error().text();
  EXPECT_EQ(asked, R"({"account_id":"alice.testnet","from_index":100,"limit":50})");
  ASSERT_EQ(found->size(), 1U);
  const auto& one = found->front();
  EXPECT_EQ(one.owner, "alice.testnet");
  EXPECT_EQ(one.profile, "one");
  EXPECT_EQ(one.vault, "acme.testnet");
  EXPECT_EQ(one.blob, (base::Bytes{1, 2, 3}));
  EXPECT_EQ(one.seed->text(), "github.com/a/b:alice.testnet");
}

TEST_F(ContractListerTest, WhatIsNoAnswerIsAnOutage) {
  for (const char* wrong : {"", "{}", "null", R"([{}])", R"([{"accessor":{"Repo":1},"profile":"one"}])", "[1]"}) {
    list_ = [wrong](const std::string&) { return std::string{wrong}; };
    const auto said = list();
    EXPECT_EQ(said.error().code, Code::unavailable) << wrong;
    EXPECT_THAT(said.error().text(), HasSubstr("not what its interface says")) << wrong;
  }
  list_ = [](const std::string&) { return std::string{"["} + kRepo + "," + kRepo + "]"; };
  EXPECT_EQ(list(0, 1).error().code, Code::unavailable) << "more than was asked for";
}

TEST_F(ContractListerTest, AListedSecretThatIsNotThereIsAnOutage) {
  secret_ = [](const std::string&) { return std::string{R"({"profile":null,"vault_id":null})"}; };
  const auto said = list();
  EXPECT_EQ(said.error().code, Code::unavailable);
  EXPECT_THAT(said.error().text(), HasSubstr("a listed secret is not there"));
}

TEST_F(ContractListerTest, AllPagesAreOfTheBlockOfTheFirstOne) {
  const auto first = page_of(0, 1, {});
  ASSERT_TRUE(first.ok()) << first.error().text();
  const auto at = heights_;
  ASSERT_EQ(at.size(), 1U);
  nodes_.change([](World& world) { world.height += 10; });
  const auto second = page_of(1, 1, first->state);
  ASSERT_TRUE(second.ok()) << second.error().text();
  EXPECT_EQ(second->state, first->state);
  EXPECT_EQ(heights_, at);
  ASSERT_TRUE(page_of(0, 1, {}).ok());
  EXPECT_NE(heights_, at);
  EXPECT_EQ(page_of(1, 1, base::Bytes(47, 1)).error().code, Code::malformed);
}

TEST_F(ContractListerTest, ABlockThatNodesHaveForgottenIsNoOutageForEver) {
  const auto state = page_of(0, 1, {})->state;
  const auto height = *heights_.begin();
  nodes_.change([&](World& world) {
    world.skipped.insert(height);
    world.height += 10;
  });
  EXPECT_EQ(page_of(1, 1, state).error().code, Code::unavailable) << "it may come back";
  nodes_.change([](World& world) { world.height += ContractLister::kBlocksKept; });
  EXPECT_EQ(page_of(1, 1, state).error().code, Code::not_found);
}

TEST_F(ContractListerTest, NoQuorumIsAnOutage) {
  nodes_.change(0, [](auto& node) { node.dead = true; });
  nodes_.change(1, [](auto& node) { node.dead = true; });
  EXPECT_EQ(list().error().code, Code::unavailable);
}

}  // namespace
}  // namespace attestry::secrets
