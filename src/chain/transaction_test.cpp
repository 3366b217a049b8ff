#include "chain/transaction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <mutex>

#include "base/encoding.h"
#include "chain/abi.h"
#include "chain/rlp.h"
#include "chain/testing/stand_in.h"

namespace attestry::chain {
namespace {

using base::Bytes;
using base::Code;
using ::testing::HasSubstr;

curves::Secp256k1PrivateKey key_of(std::uint8_t last) {
  Bytes scalar(32, 0);
  scalar.back() = last;
  return *curves::Secp256k1PrivateKey::from_scalar(scalar);
}

Transaction example() {
  return {.chain_id = 31337,
          .nonce = 7,
          .max_priority_fee = 1'000'000'000,
          .max_fee = 30'000'000'000,
          .gas_limit = 100'000,
          .to = Address{0xaa, 1},
          .value = to_word(5),
          .data = {1, 2, 3}};
}

TEST(TransactionTest, WhatIsSignedIsReadBackWithItsSender) {
  for (std::uint8_t i = 1; i < 40; ++i) {
    const auto key = key_of(i);
    auto transaction = example();
    transaction.nonce = i;
    if (i % 2 == 0) transaction.to.reset();
    const auto made = sign(transaction, key);
    ASSERT_TRUE(made.ok());
    const auto decoded = decode_transaction(made->raw);
    ASSERT_TRUE(decoded.ok()) << decoded.error().text();
    EXPECT_EQ(decoded->second, curves::ethereum_address(key.public_key_raw()));
    EXPECT_EQ(signing_hash(decoded->first), signing_hash(transaction));
    EXPECT_EQ(decoded->first.to, transaction.to);
  }
}

TEST(TransactionTest, TheFieldsStandInTheOrderOfEip1559) {
  const auto made = sign(example(), key_of(1));
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->raw.front(), 2);
  const auto items = rlp_items(*rlp_decode(base::ByteView{made->raw}.subspan(1)));
  ASSERT_TRUE(items.ok());
  ASSERT_EQ(items->size(), 12u);
  EXPECT_EQ(*rlp_u64((*items)[0], "chain"), 31337u);
  EXPECT_EQ(*rlp_u64((*items)[3], "fee"), 30'000'000'000u);
  EXPECT_TRUE((*items)[8].is_list);
  EXPECT_LE(*rlp_u64((*items)[9], "parity"), 1u);
}

TEST(TransactionTest, OtherSpellingsAreRefused) {
  const auto made = *sign(example(), key_of(1));
  Bytes other = made.raw;
  other.front() = 1;
  EXPECT_FALSE(decode_transaction(other).ok());
  EXPECT_FALSE(decode_transaction({}).ok());
  EXPECT_FALSE(decode_transaction(base::ByteView{made.raw}.first(made.raw.size() - 1)).ok());
  Bytes longer = made.raw;
  longer.push_back(0);
  EXPECT_FALSE(decode_transaction(longer).ok());
}

TEST(TransactionTest, AHighSIsRefused) {
  const auto made = *sign(example(), key_of(1));
  const auto items = *rlp_items(*rlp_decode(base::ByteView{made.raw}.subspan(1)));
  std::vector<Bytes> fields;
  for (const auto& item : items) fields.push_back(base::to_bytes(item.encoded));
  fields.back() = rlp_bytes(Bytes(32, 0xf0));
  Bytes raw{2};
  base::append(raw, rlp_list(fields));
  EXPECT_THAT(decode_transaction(raw).error().what, HasSubstr("high s"));
}

TEST(TransactionTest, AddressesOfNewContracts) {
  // The address that every first contract of anvil's first account has.
  const auto first = base::hex_decode("f39fd6e51aad88f6f4ce6ab8827279cfffb92266");
  Address sender{};
  std::ranges::copy(*first, sender.begin());
  EXPECT_EQ(base::hex(created_address(sender, 0)), "5fbdb2315678afecb367f032d93f642f64180aa3");
}

/// A node that takes transactions, by a script. Strict about what it is sent.
class Mempool final : public net::HttpTransport {
 public:
  base::Result<net::Response> send(const net::HttpRequest& request) override {
    const std::lock_guard<std::mutex> lock(mutex);
    const auto document = base::JsonDocument::parse(request.body);
    std::string out = "[";
    for (auto one = (*document)->root().first(); one; one = one->next()) {
      const std::string method = one->find("method")->string("method").value_or("");
      if (method == "eth_sendRawTransaction") {
        const auto raw = parse_data(*one->find("params")->first(), "raw");
        const auto decoded = decode_transaction(*raw);
        if (!decoded.ok()) return base::Error{Code::unavailable, "not a transaction"};
        taken.push_back(decoded->first);
      }
      if (method == "eth_getTransactionReceipt") ++receipts_asked;
      const bool ready = method != "eth_getTransactionReceipt" || receipts_asked > receipts_after;
      const auto known = answers.find(method);
      out += out.size() > 1 ? "," : "";
      out += R"({"jsonrpc":"2.0","id":)" + std::string{one->find("id")->source()} + ",";
      out += known == answers.end() ? R"("error":{"code":-32601,"message":"no such method"})"
                                    : (ready ? known->second : R"("result":null)");
      out += "}";
      if (method == "eth_getTransactionReceipt" && known != answers.end() && ready) fill_hash(out, *one);
    }
    return net::Response{.status = 200, .content_type = "application/json", .body = out + "]", .headers = {}};
  }

  static void fill_hash(std::string& out, const base::JsonValue& request) {
    const auto at = out.find("HASH");
    if (at != std::string::npos) {
      out.replace(at, 4, request.find("params")->first()->string("hash").value_or(""));
    }
  }

  std::mutex mutex{};
  std::map<std::string, std::string> answers{
      {"eth_chainId", R"("result":"0x7a69")"},
      {"eth_getTransactionCount", R"("result":"0x3")"},
      {"eth_getBlockByNumber", R"("result":{"baseFeePerGas":"0x3b9aca00"})"},
      {"eth_maxPriorityFeePerGas", R"("result":"0x5f5e100")"},
      {"eth_estimateGas", R"("result":"0x186a0")"},
      {"eth_sendRawTransaction", R"("result":"0x01")"},
      {"eth_blockNumber", R"("result":"0x20")"},
      {"eth_getTransactionReceipt",
       R"("result":{"transactionHash":"HASH","status":"0x1","blockNumber":"0x20","blockHash":"0x)" +
           std::string(64, 'a') + R"(","gasUsed":"0x5208","contractAddress":null})"},
  };
  std::vector<Transaction> taken{};
  int receipts_asked = 0;
  int receipts_after = 0;
};

class SenderTest : public ::testing::Test {
 protected:
  base::Result<Receipt> send(SenderOptions options = {.chain_id = 31337, .poll = std::chrono::milliseconds(1)}) {
    Sender sender{{&endpoint}, key, options};
    return sender.send(Address{1}, Bytes{1, 2}, {}, std::chrono::steady_clock::now() + std::chrono::seconds(60));
  }
  void answer(const std::string& method, const std::string& text) { node.answers[method] = text; }

  Mempool node;
  Endpoint endpoint{node, {.url = "http://node.test/"}};
  const curves::Secp256k1PrivateKey key = key_of(9);
};

TEST_F(SenderTest, TheReceiptIsWaitedFor) {
  node.receipts_after = 3;
  const auto receipt = send();
  ASSERT_TRUE(receipt.ok()) << receipt.error().text();
  EXPECT_EQ(receipt->block.number, 0x20u);
  EXPECT_TRUE(receipt->succeeded);
  ASSERT_EQ(node.taken.size(), 1u);
  EXPECT_EQ(node.taken[0].nonce, 3u);
  EXPECT_EQ(node.taken[0].gas_limit, 120'000u);
  EXPECT_EQ(node.taken[0].max_fee, 2'100'000'000u);
}

TEST_F(SenderTest, ARevertInTheEstimateSendsNothing) {
  const auto data = hex_data(encode_error_string("Data size exceeds limit"));
  answer("eth_estimateGas", R"("error":{"code":3,"message":"execution reverted","data":")" + data + "\"}");
  const auto receipt = send();
  EXPECT_EQ(receipt.error().code, Code::denied);
  EXPECT_EQ(receipt.error().found, "Data size exceeds limit");
  EXPECT_TRUE(node.taken.empty());
}

TEST_F(SenderTest, ARevertInTheBlockIsTold) {
  auto& receipt = node.answers["eth_getTransactionReceipt"];
  receipt.replace(receipt.find("\"0x1\""), 5, "\"0x0\"");
  const auto data = hex_data(encode_error_string("Contract is frozen"));
  answer("eth_call", R"("error":{"code":3,"message":"execution reverted","data":")" + data + "\"}");
  const auto result = send();
  EXPECT_EQ(result.error().code, Code::denied);
  EXPECT_EQ(result.error().found, "Contract is frozen");
}

TEST_F(SenderTest, ATransactionThatIsKnownIsTaken) {
  answer("eth_sendRawTransaction", R"("error":{"code":-32000,"message":"already known"})");
  EXPECT_TRUE(send().ok());
}

TEST_F(SenderTest, RefusalsAreErrors) {
  answer("eth_sendRawTransaction", R"("error":{"code":-32000,"message":"insufficient funds"})");
  EXPECT_EQ(send().error().found, "insufficient funds");
  EXPECT_EQ(send({.chain_id = 1}).error().code, Code::configuration);
  EXPECT_EQ(send({.chain_id = 31337, .max_fee_limit = 1'000'000'000}).error().code, Code::conflict);
  answer("eth_estimateGas", R"("result":"0xffffffffffffffff")");
  EXPECT_FALSE(send().ok());
}

TEST_F(SenderTest, WithoutAReceiptTheHashIsTold) {
  node.receipts_after = 1'000'000;
  Sender sender{{&endpoint}, key, {.chain_id = 31337, .poll = std::chrono::milliseconds(1)}};
  const auto result =
      sender.send(Address{1}, Bytes{}, {}, std::chrono::steady_clock::now() + std::chrono::milliseconds(200));
  EXPECT_EQ(result.error().code, Code::deadline_exceeded);
  EXPECT_THAT(result.error().what, HasSubstr("0x"));
}

TEST_F(SenderTest, ConfirmationsAreWaitedFor) {
  SenderOptions options{.chain_id = 31337, .confirmations = 5, .poll = std::chrono::milliseconds(1)};
  Sender sender{{&endpoint}, key, options};
  const auto soon = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
  EXPECT_EQ(sender.send(Address{1}, Bytes{}, {}, soon).error().code, Code::deadline_exceeded);
  answer("eth_blockNumber", R"("result":"0x25")");
  EXPECT_TRUE(send(options).ok());
}

TEST_F(SenderTest, AnUnknownTypeIsNotAKnownTransaction) {
  for (const auto* words : {"unknown transaction type", "Unknown transaction", "not already known"}) {
    answer("eth_sendRawTransaction", R"("error":{"code":-32000,"message":")" + std::string{words} + "\"}");
    EXPECT_EQ(send().error().found, words);
  }
  for (const auto* words : {"Already known", "AlreadyKnown", "known transaction: 0x12"}) {
    answer("eth_sendRawTransaction", R"("error":{"code":-32000,"message":")" + std::string{words} + "\"}");
    EXPECT_TRUE(send().ok()) << words;
  }
}

TEST_F(SenderTest, ATransactionThatMayCostTooMuchIsNotSent) {
  std::uint64_t told = 0;
  SenderOptions options{.chain_id = 31337, .poll = std::chrono::milliseconds(1)};
  options.on_plan = [&told](const Transaction&, std::uint64_t cost) { told = cost; };
  ASSERT_TRUE(send(options).ok());
  EXPECT_EQ(told, 120'000ULL * 2'100'000'000ULL);
  options.max_cost = told - 1;
  EXPECT_EQ(send(options).error().code, Code::conflict);
  EXPECT_THAT(send(options).error().found, HasSubstr("0.000252 ether"));
  options.max_cost = told;
  EXPECT_TRUE(send(options).ok());
  answer("eth_maxPriorityFeePerGas", R"("result":"0x38d7ea4c68000")");  // 0.001 ether for each gas
  EXPECT_EQ(send({.chain_id = 31337}).error().code, Code::conflict);
  answer("eth_maxPriorityFeePerGas", R"("result":"0x5f5e100")");
  answer("eth_getBlockByNumber", R"("result":{"baseFeePerGas":"0x3b9aca00","gasLimit":"0x1869f"})");
  EXPECT_FALSE(send().ok()) << "more gas than a block has";
  EXPECT_EQ(node.taken.size(), 2u);
}

TEST_F(SenderTest, WhatCannotBeWrittenDownIsNotSent) {
  std::vector<Bytes> written;
  bool full = true;
  SenderOptions options{.chain_id = 31337, .poll = std::chrono::milliseconds(1)};
  options.before_sending = [&](const SignedTransaction& made) -> base::Status {
    if (full) return base::Error{Code::unavailable, "no room"};
    EXPECT_EQ(node.taken.size(), written.size()) << "before it is sent";
    written.push_back(made.raw);
    return base::done();
  };
  EXPECT_EQ(send(options).error().what, "no room");
  EXPECT_EQ(node.taken.size(), 0u);
  full = false;
  ASSERT_TRUE(send(options).ok());
  EXPECT_EQ(node.taken.size(), 1u);
  EXPECT_EQ(written.size(), 1u);
}

/// Three nodes, of which one lies.
class ManySenderTest : public ::testing::Test {
 protected:
  base::Result<Receipt> send(std::chrono::milliseconds patience = std::chrono::seconds(60)) {
    SenderOptions options{.chain_id = 31337, .poll = std::chrono::milliseconds(1)};
    Sender sender{{&endpoints[0], &endpoints[1], &endpoints[2]}, key, options};
    return sender.send(Address{1}, Bytes{1, 2}, {}, std::chrono::steady_clock::now() + patience);
  }
  std::array<Mempool, 3> nodes;
  std::array<Endpoint, 3> endpoints{Endpoint{nodes[0], {.url = "http://a.test/"}},
                                    Endpoint{nodes[1], {.url = "http://b.test/"}},
                                    Endpoint{nodes[2], {.url = "http://c.test/"}}};
  const curves::Secp256k1PrivateKey key = key_of(9);
};

TEST_F(ManySenderTest, OneEndpointsFeesAreNotPaid) {
  nodes[0].answers["eth_maxPriorityFeePerGas"] = R"("result":"0xe8d4a51000")";
  nodes[0].answers["eth_estimateGas"] = R"("result":"0xf4240")";
  nodes[0].answers["eth_getTransactionCount"] = R"("result":"0x9")";
  ASSERT_TRUE(send().ok());
  ASSERT_EQ(nodes[1].taken.size(), 1u);
  EXPECT_EQ(nodes[1].taken[0].max_fee, 2'100'000'000u);
  EXPECT_EQ(nodes[1].taken[0].gas_limit, 120'000u);
  EXPECT_EQ(nodes[1].taken[0].nonce, 3u);
}

TEST_F(ManySenderTest, OneEndpointsReceiptIsNone) {
  for (const std::size_t i : {1U, 2U}) nodes[i].receipts_after = 1'000'000;
  EXPECT_EQ(send(std::chrono::milliseconds(200)).error().code, Code::deadline_exceeded);
  nodes[1].receipts_after = 0;
  auto& other = nodes[1].answers["eth_getTransactionReceipt"];
  other.replace(other.find("\"0x1\""), 5, "\"0x0\"");
  EXPECT_EQ(send(std::chrono::milliseconds(200)).error().code, Code::deadline_exceeded) << "they do not say the same";
  other.replace(other.find("\"0x0\""), 5, "\"0x1\"");
  EXPECT_TRUE(send().ok());
}

TEST_F(ManySenderTest, AReceiptThatIsNoneDoesNotHideTheOthers) {
  nodes[0].answers["eth_getTransactionReceipt"] = R"("result":{"status":"0x1"})";
  EXPECT_TRUE(send().ok());
}

}  // namespace
}  // namespace attestry::chain
