#include "chain/json_rpc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "chain/abi.h"
#include "chain/testing/stand_in.h"

namespace attestry::chain {
namespace {

using base::Code;
using ::testing::HasSubstr;

std::shared_ptr<const base::JsonDocument> json(std::string text) {
  auto parsed = base::JsonDocument::parse(std::move(text));
  EXPECT_TRUE(parsed.ok());
  return *parsed;
}

TEST(JsonRpcTest, QuantitiesAreStrict) {
  EXPECT_EQ(quantity(0), "0x0");
  EXPECT_EQ(quantity(0x1b4), "0x1b4");
  EXPECT_EQ(quantity(~std::uint64_t{0}), "0xffffffffffffffff");
  EXPECT_EQ(*parse_quantity(json("\"0x1B4\"")->root(), "n"), 0x1b4u);
  for (const auto* text : {"\"\"", "\"0x\"", "\"0x01\"", "\"1\"", "1", "null", "\"0xg\"", "\"0x10000000000000000\"",
                           "\"0X1\"", "\" 0x1\""}) {
    EXPECT_FALSE(parse_quantity(json(text)->root(), "n").ok()) << text;
  }
  EXPECT_TRUE(parse_quantity_word(json("\"0x1" + std::string(63, '0') + "\"")->root(), "n").ok());
  EXPECT_FALSE(parse_quantity_word(json("\"0x1" + std::string(64, '0') + "\"")->root(), "n").ok());
}

TEST(JsonRpcTest, DataIsStrict) {
  EXPECT_EQ(hex_data(base::Bytes{1, 0xff}), "0x01ff");
  EXPECT_EQ(*parse_data(json("\"0x01fF\"")->root(), "d"), (base::Bytes{1, 0xff}));
  EXPECT_TRUE(parse_data(json("\"0x\"")->root(), "d")->empty());
  EXPECT_FALSE(parse_data(json("\"0x1\"")->root(), "d").ok());
  EXPECT_FALSE(parse_data(json("\"01\"")->root(), "d").ok());
  EXPECT_FALSE(parse_hash(json("\"0x01\"")->root(), "h").ok());
  EXPECT_FALSE(parse_address(json("\"0x01\"")->root(), "a").ok());
}

TEST(JsonRpcTest, AnswersMayComeInAnyOrder) {
  const auto answers = parse_rpc_batch(
      R"([{"jsonrpc":"2.0","id":2,"error":{"code":-32000,"message":"no"}},{"jsonrpc":"2.0","id":1,"result":null}])", 2,
      1000);
  ASSERT_TRUE(answers.ok());
  EXPECT_TRUE(answers->answers[0].result->is_null());
  EXPECT_EQ(answers->answers[1].error->code, -32000);
}

TEST(JsonRpcTest, WhatIsNotAnAnswerToTheBatchIsRefused) {
  const auto refused = [](std::string body) { return !parse_rpc_batch(std::move(body), 1, 1000).ok(); };
  EXPECT_FALSE(refused(R"([{"jsonrpc":"2.0","id":1,"result":"0x1"}])"));
  EXPECT_FALSE(refused(R"([{"jsonrpc":"2.0","id":1,"result":"0x1","error":null}])"));
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused("[]"));
  EXPECT_TRUE(refused(R"({"jsonrpc":"2.0","id":1,"result":"0x1"})"));
  EXPECT_TRUE(refused(R"([{"id":1,"result":"0x1"}])"));
  EXPECT_TRUE(refused(R"([{"jsonrpc":"1.0","id":1,"result":"0x1"}])"));
  EXPECT_TRUE(refused(R"([{"jsonrpc":"2.0","id":2,"result":"0x1"}])"));
  EXPECT_TRUE(refused(R"([{"jsonrpc":"2.0","id":"1","result":"0x1"}])"));
  EXPECT_TRUE(refused(R"([{"jsonrpc":"2.0","id":1}])"));
  EXPECT_TRUE(refused(R"([{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":""}}])"));
  EXPECT_TRUE(refused(R"([{"jsonrpc":"2.0","id":1,"error":{"code":1}}])"));
  EXPECT_TRUE(refused(R"([{"jsonrpc":"2.0","id":1,"error":"no"}])"));
  EXPECT_TRUE(refused(R"([{"jsonrpc":"2.0","id":1,"id":1,"result":"0x1"}])"));
  EXPECT_FALSE(
      parse_rpc_batch(R"([{"jsonrpc":"2.0","id":1,"result":1},{"jsonrpc":"2.0","id":1,"result":1}])", 2, 1000).ok());
  EXPECT_FALSE(parse_rpc_batch(R"([{"jsonrpc":"2.0","id":1,"result":"0x1"}])", 1, 10).ok()) << "too large";
}

TEST(JsonRpcTest, OneErrorForTheWholeBatchIsToldInTheNodesWords) {
  const auto answers =
      parse_rpc_batch(R"({"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batch\nlimit"}})", 3, 1000);
  EXPECT_THAT(answers.error().what, HasSubstr("batch limit"));
}

/// Errors as the nodes write them.
RpcError error_of(const std::string& error) {
  const auto answers = parse_rpc_batch(R"([{"jsonrpc":"2.0","id":1,"error":)" + error + "}]", 1, 10'000);
  EXPECT_TRUE(answers.ok());
  return answers.ok() ? *answers->answers[0].error : RpcError{};
}

TEST(JsonRpcTest, RevertsOfManyNodesAreOneOutcome) {
  const auto data = encode_error_string("Config not mapped");
  const std::string hex = "\"" + hex_data(data) + "\"";
  const CallOutcome expected{.reverted = true, .data = data, .reason = "Config not mapped"};
  const auto revert = [](const std::string& error) { return revert_of(error_of(error)).value_or(CallOutcome{}); };
  EXPECT_EQ(revert(R"({"code":3,"message":"execution reverted: Config not mapped","data":)" + hex + "}"), expected);
  EXPECT_EQ(revert(R"({"code":-32000,"message":"execution reverted: Config not mapped"})"), expected);
  EXPECT_EQ(revert(R"({"code":-32015,"message":"VM execution error.","data":"Reverted )" + hex.substr(1) + "}"),
            expected);
  EXPECT_EQ(revert(R"({"code":-32000,"message":"Execution reverted","data":)" + hex + "}"), expected);
  EXPECT_EQ(revert(R"({"code":-32603,"message":"Error: VM Exception while processing transaction: reverted with )"
                   R"(reason string 'Config not mapped'","data":{"message":"x","data":)" +
                   hex + "}}"),
            expected);
  EXPECT_EQ(revert(R"({"code":-32000,"message":"VM Exception while processing transaction: revert Config not mapped",)"
                   R"("data":{"0xab":{"error":"revert","return":)" +
                   hex + "}}}"),
            expected);
  EXPECT_TRUE(revert(R"({"code":-32000,"message":"execution reverted"})").reverted);
  EXPECT_TRUE(revert(R"({"code":-32000,"message":"invalid opcode: INVALID"})").reverted);
}

TEST(JsonRpcTest, TroubleOfTheNodeIsNoRevert) {
  for (const auto* message :
       {"header not found", "missing trie node", "out of gas", "rate limit exceeded", "execution timeout",
        "unknown block", "method handler crashed", "block is not canonical", "request reverted by the rate limit"}) {
    const RpcError error{.code = -32000, .message = message, .data = {}};
    EXPECT_FALSE(revert_of(error)) << message;
  }
}

class EndpointTest : public ::testing::Test {
 protected:
  testing::Nodes nodes{1};
  Endpoint endpoint{nodes, {.url = testing::Nodes::url(0), .max_batch = 3}};
  const base::Deadline patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
};

TEST_F(EndpointTest, TheNameShowsNoPathQueryOrUser) {
  EXPECT_EQ(endpoint.name(), "node0.test");
  EXPECT_EQ((Endpoint{nodes, {.url = "https://me:key@rpc.test:8545/v3/key?token=x"}}.name()), "rpc.test:8545");
  EXPECT_EQ((Endpoint{nodes, {.name = "mine", .url = "https://rpc.test/"}}.name()), "mine");
}

TEST_F(EndpointTest, ALongBatchIsSentInParts) {
  const std::vector<RpcRequest> requests(7, RpcRequest{"eth_chainId", {}});
  const auto answers = endpoint.batch(requests, patience);
  ASSERT_TRUE(answers.ok());
  EXPECT_EQ(answers->answers.size(), 7u);
  for (const auto& answer : answers->answers) EXPECT_EQ(*parse_quantity(*answer.result, "id"), testing::kChainId);
  EXPECT_EQ(nodes.rounds(), 3u);
}

TEST_F(EndpointTest, TroubleIsUnavailable) {
  const auto code = [this] { return endpoint.ask({"eth_chainId", {}}, patience).error().code; };
  nodes.change(0, [](testing::Node& node) { node.status = 429; });
  EXPECT_EQ(code(), Code::unavailable);
  nodes.change(0, [](testing::Node& node) {
    node.status = 200;
    node.body = "<html>";
  });
  EXPECT_EQ(code(), Code::unavailable);
  nodes.change(0, [](testing::Node& node) { node.body = R"([{"jsonrpc":"2.0","id":1,"error":{"code":"x"}}])"; });
  EXPECT_EQ(code(), Code::unavailable);
  nodes.change(0, [](testing::Node& node) { node.body.reset(); });
  EXPECT_EQ(endpoint.ask({"eth_unknown", {}}, patience).error().code, Code::unavailable);
  EXPECT_TRUE(endpoint.ask({"eth_chainId", {}}, patience).ok());
}

}  // namespace
}  // namespace attestry::chain
