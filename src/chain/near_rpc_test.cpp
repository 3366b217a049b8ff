#include "chain/near_rpc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/base58.h"
#include "chain/testing/near_stand_in.h"
#include "chain/testing/stand_in.h"

namespace attestry::chain::near {
namespace {

using base::Bytes;
using base::Code;
using chain::testing::TestClock;
using testing::block_at;
using ::testing::HasSubstr;
using testing::JsonOutArray;
using testing::JsonOutObject;
using testing::kGenesis;
using testing::Node;
using testing::Nodes;
using testing::StandInCall;
using testing::World;

AccountId account(std::string_view text) { return *AccountId::parse(text); }
const SecretKey& secret() {
  static const SecretKey key = *SecretKey::from_seed(Bytes(32, 7));
  return key;
}
const SecretKey& stranger() {
  static const SecretKey key = *SecretKey::from_seed(Bytes(32, 9));
  return key;
}

/// The reply to `block` and `status` of an endpoint that makes a block up.
std::string made_up(std::uint64_t height) {
  return R"({"jsonrpc":"2.0","id":1,"result":{"chain_id":"testnet","header":{"height":)" + std::to_string(height) +
         R"(,"hash":")" + base::base58(block_at(height, "lie").hash) + R"(","timestamp":1800000098000000000}}})";
}

/// Three nodes, of which two must agree; alice has one key, which may call one method of the contract.
class NearRpcTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const JsonOutObject call{
        {"allowance", nullptr}, {"receiver_id", "dao.near"}, {"method_names", JsonOutArray{"get"}}};
    nodes.world.accounts["alice.near"].keys[secret().public_key().text()] = JsonOutObject{{"FunctionCall", call}};
    nodes.world.accounts["dao.near"] = {.has_contract = true};
    nodes.world.contract = [](const std::string&, const std::string& method, const Bytes& args, std::uint64_t height) {
      if (method == "get") return StandInCall{.value = args};
      if (method == "height") return StandInCall{.value = base::to_bytes(std::to_string(height))};
      if (method == "panic") return StandInCall{.vm_error = "HostError(GuestPanic { panic_msg: \"not yours\" })"};
      return StandInCall{.vm_error = "MethodResolveError(MethodNotFound)"};
    };
    make(options());
  }

  ReaderOptions options() {
    ReaderOptions out;
    out.chain_id = testing::kChainId;
    out.endpoints = nodes.endpoints();
    out.round_timeout = std::chrono::seconds(20);
    out.head_ttl = std::chrono::milliseconds(0);
    out.clock = &clock;
    return out;
  }
  void make(ReaderOptions with) {
    reader.reset();
    auto made = QuorumReader::make(nodes, std::move(with));
    ASSERT_TRUE(made.ok()) << made.error().text();
    reader = *std::move(made);
  }
  base::Deadline patience() const { return clock.steady() + std::chrono::seconds(60); }
  base::Result<Block> head() { return reader->head(patience()); }
  base::Result<Bytes> call(const Block& at, std::string method) {
    return reader->call(at, account("dao.near"), std::move(method), base::to_bytes("{}"), patience());
  }
  /// At the head.
  base::Result<Bytes> call(std::string method) {
    TRY(const Block at, head());
    return call(at, std::move(method));
  }
  EndpointStatus endpoint(std::size_t index) { return reader->status().endpoints.at(index); }
  void grow(std::uint64_t count) {
    nodes.change([&](World& world) { world.height += count; });
    clock.pass(static_cast<std::int64_t>(count));
  }

  Nodes nodes{3};
  TestClock clock{{kGenesis + 101}};
  std::unique_ptr<QuorumReader> reader;
};

// -- options

TEST_F(NearRpcTest, OptionsThatContradictEachOtherAreRefused) {
  const auto refused = [this](const std::function<void(ReaderOptions&)>& change) {
    ReaderOptions bad = options();
    change(bad);
    const auto made = QuorumReader::make(nodes, bad);
    return !made.ok() && made.error().code == Code::configuration;
  };
  EXPECT_FALSE(refused([](ReaderOptions&) {}));
  EXPECT_TRUE(refused([](ReaderOptions& o) { o.chain_id.clear(); }));
  EXPECT_TRUE(refused([](ReaderOptions& o) { o.endpoints.clear(); }));
  EXPECT_TRUE(refused([](ReaderOptions& o) { o.endpoints[1] = o.endpoints[0]; }));
  EXPECT_TRUE(refused([](ReaderOptions& o) { o.quorum = 4; }));
  EXPECT_TRUE(refused([](ReaderOptions& o) { o.lanes = 0; }));
  EXPECT_TRUE(refused([](ReaderOptions& o) { o.max_head_age = -1; }));
  EXPECT_TRUE(refused([](ReaderOptions& o) { o.round_timeout = std::chrono::milliseconds(0); }));
  EXPECT_TRUE(refused([](ReaderOptions& o) { o.head_ttl = std::chrono::milliseconds(-1); }));
  EXPECT_EQ(reader->status().quorum, 2u);
}

// -- the head

TEST_F(NearRpcTest, TheHeadIsTheNewestFinalBlock) {
  const auto at = head();
  ASSERT_TRUE(at.ok()) << at.error().text();
  EXPECT_EQ(*at, block_at(98));
  grow(5);
  EXPECT_EQ(*head(), block_at(103));
}

TEST_F(NearRpcTest, AnOptimisticHeadIsAhead) {
  ReaderOptions ahead = options();
  ahead.finality = Finality::optimistic;
  make(ahead);
  EXPECT_EQ(*head(), block_at(100));
}

TEST_F(NearRpcTest, TheHeadAnswersFromMemoryForAWhile) {
  ReaderOptions remembering = options();
  remembering.head_ttl = std::chrono::seconds(30);
  make(remembering);
  ASSERT_TRUE(head().ok());
  const std::size_t asked = nodes.asked("block");
  EXPECT_EQ(*head(), block_at(98));
  EXPECT_EQ(nodes.asked("block"), asked);
  grow(31);
  EXPECT_EQ(*head(), block_at(129));
}

TEST_F(NearRpcTest, ALaggingEndpointIsNoticedAndWaitedForByNobody) {
  nodes.change(1, [](Node& node) { node.lag = 7; });
  EXPECT_EQ(*head(), block_at(98));
  EXPECT_EQ(endpoint(1).lag, 7u);
  EXPECT_EQ(*call("get"), base::to_bytes("{}"));
  while (endpoint(1).trouble.empty()) std::this_thread::yield();
  EXPECT_THAT(endpoint(1).trouble, HasSubstr("UNKNOWN_BLOCK"));
}

TEST_F(NearRpcTest, TheHeadIsWhatAQuorumHasReached) {
  nodes.change(1, [](Node& node) { node.lag = 3; });
  nodes.change(2, [](Node& node) { node.lag = 7; });
  EXPECT_EQ(*head(), block_at(95)) << "the first endpoint's block at this height is asked for";
}

TEST_F(NearRpcTest, HeightsWithoutABlockAreNoHead) {
  nodes.change([](World& world) { world.skipped = {97, 98}; });
  nodes.change(1, [](Node& node) { node.lag = 1; });
  const auto at = head();
  ASSERT_TRUE(at.ok()) << at.error().text();
  EXPECT_EQ(*at, block_at(96));
}

TEST_F(NearRpcTest, ALiarsHeadIsOutvoted) {
  for (const std::uint64_t height : {1ull, 97ull, 98ull, 99ull, 1'000'000ull}) {
    make(options());
    nodes.change(0, [&](Node& node) { node.body = made_up(height); });
    const auto at = head();
    ASSERT_TRUE(at.ok()) << height << ": " << at.error().text();
    EXPECT_EQ(*at, block_at(98)) << height;
  }
}

TEST_F(NearRpcTest, AHeightThatALiarMadeUpIsPassedOver) {
  nodes.change([](World& world) { world.skipped = {97}; });
  nodes.change(0, [](Node& node) { node.body = made_up(97); });
  nodes.change(1, [](Node& node) { node.lag = 2; });
  const auto at = head();
  ASSERT_TRUE(at.ok()) << at.error().text();
  EXPECT_EQ(*at, block_at(96)) << "the newest that two honest endpoints have";
}

TEST(NearManyEndpointsTest, LiarsAheadDoNotHideTheHead) {
  Nodes nodes{9};
  const TestClock clock{{kGenesis + 101}};
  for (std::size_t i = 0; i < 4; ++i) {
    nodes.change(i, [&](Node& node) { node.body = made_up(1000 + i); });
  }
  ReaderOptions options;
  options.chain_id = testing::kChainId;
  options.endpoints = nodes.endpoints();
  options.round_timeout = std::chrono::seconds(20);
  options.clock = &clock;
  const auto reader = QuorumReader::make(nodes, options);
  ASSERT_TRUE(reader.ok());
  const auto at = (*reader)->head(clock.steady() + std::chrono::seconds(60));
  ASSERT_TRUE(at.ok()) << at.error().text();
  EXPECT_EQ(*at, block_at(98));
}

TEST_F(NearRpcTest, TheHeadNeverGoesBack) {
  ASSERT_EQ(*head(), block_at(98));
  nodes.each([](Node& node) { node.lag = 5; });
  EXPECT_EQ(*head(), block_at(98)) << "what a quorum has shown stays true";
}

TEST_F(NearRpcTest, TheHeadIsNeverBelowWhatAnEarlierRunSaw) {
  ReaderOptions later = options();
  later.floor = 99;
  make(later);
  EXPECT_EQ(head().error().code, Code::unavailable);
  EXPECT_THAT(head().error().text(), HasSubstr("behind what was seen before"));
  grow(1);
  EXPECT_EQ(*head(), block_at(99));
}

TEST_F(NearRpcTest, AReplacedFinalBlockStopsEverything) {
  const Block before = *head();
  nodes.each([](Node& node) { node.salt = "other"; });
  EXPECT_EQ(head().error().code, Code::unavailable);
  EXPECT_THAT(reader->status().alarm, HasSubstr("block 98 was"));
  nodes.each([](Node& node) { node.salt = "main"; });
  EXPECT_EQ(head().error().code, Code::unavailable);
  EXPECT_EQ(call(before, "get").error().code, Code::unavailable);
}

TEST_F(NearRpcTest, AnOldHeadAndOneFromTheFutureAreHeldBack) {
  clock.pass(200);
  EXPECT_EQ(head().error().code, Code::unavailable);
  EXPECT_THAT(head().error().text(), HasSubstr("too old"));
  clock.set({kGenesis});
  EXPECT_THAT(head().error().text(), HasSubstr("from the future"));
  ReaderOptions development = options();
  development.max_head_age = 0;
  make(development);
  clock.set({kGenesis + 1'000'000});
  EXPECT_TRUE(head().ok());
}

TEST_F(NearRpcTest, AnEndpointOfAnotherNetworkDoesNotVote) {
  nodes.change(0, [](Node& node) { node.chain_id = "mainnet"; });
  nodes.change(1, [](Node& node) { node.dead = true; });
  EXPECT_EQ(head().error().code, Code::unavailable);
  EXPECT_TRUE(endpoint(0).wrong_chain);
  EXPECT_THAT(head().error().text(), HasSubstr("another network"));
}

TEST_F(NearRpcTest, WithoutAQuorumThereIsNoHead) {
  nodes.change(0, [](Node& node) { node.dead = true; });
  EXPECT_TRUE(head().ok());
  nodes.change(1, [](Node& node) { node.dead = true; });
  const auto none = head();
  EXPECT_EQ(none.error().code, Code::unavailable);
  EXPECT_THAT(none.error().text(), HasSubstr("near0.test: "));
  EXPECT_THAT(none.error().text(), ::testing::Not(HasSubstr("customers-key")));
  nodes.each([](Node& node) { node.dead = false; });
  EXPECT_TRUE(head().ok());
}

TEST_F(NearRpcTest, AnEndpointThatHangsHoldsNobodyUp) {
  nodes.change(0, [](Node& node) { node.hangs = true; });
  EXPECT_EQ(*head(), block_at(98));
  EXPECT_EQ(*call(block_at(98), "get"), base::to_bytes("{}"));
  nodes.release();
}

TEST_F(NearRpcTest, ACallersDeadlineIsNoDenial) {
  nodes.each([](Node& node) { node.hangs = true; });
  const auto soon = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
  EXPECT_EQ(reader->head(soon).error().code, Code::deadline_exceeded);
  const auto late = reader->account(block_at(98), account("alice.near"), soon);
  EXPECT_EQ(late.error().code, Code::deadline_exceeded);
  nodes.release();
  EXPECT_TRUE(head().ok());
}

// -- questions

TEST_F(NearRpcTest, TheStateAtTheHead) {
  const Block at = *head();
  const auto alice = reader->account(at, account("alice.near"), patience());
  ASSERT_TRUE(alice.ok()) << alice.error().text();
  EXPECT_EQ(alice->amount.text(), "5000000000000000000000000");
  const auto key = reader->access_key(at, account("alice.near"), secret().public_key(), patience());
  ASSERT_TRUE(key.ok()) << key.error().text();
  EXPECT_EQ(key->permission, AccessKey::Permission::function_call);
  EXPECT_EQ(key->receiver, "dao.near");
  const auto keys = reader->access_keys(at, account("alice.near"), patience());
  ASSERT_TRUE(keys.ok());
  ASSERT_EQ(keys->size(), 1u);
  EXPECT_EQ(keys->front().access, *key);
  EXPECT_EQ(*call(at, "height"), base::to_bytes("98"));
  EXPECT_EQ(*call(block_at(90), "height"), base::to_bytes("90"));
}

TEST_F(NearRpcTest, ANoIsNotFoundOrDeniedInBothDialects) {
  for (const bool old : {false, true}) {
    make(options());
    nodes.each([&](Node& node) { node.old_errors = old; });
    const Block at = *head();
    EXPECT_EQ(reader->account(at, account("nobody.near"), patience()).error().code, Code::not_found);
    const auto key = reader->access_key(at, account("alice.near"), stranger().public_key(), patience());
    EXPECT_EQ(key.error().code, Code::not_found);
    EXPECT_THAT(key.error().text(), HasSubstr("alice.near"));
    EXPECT_EQ(call("missing").error().code, Code::not_found);
    EXPECT_EQ(call("panic").error().code, Code::denied);
    EXPECT_THAT(call("panic").error().text(), HasSubstr("not yours"));
    EXPECT_EQ(reader->call(at, account("alice.near"), "get", {}, patience()).error().code, Code::not_found);
  }
}

TEST_F(NearRpcTest, NodesOfBothDialectsAgree) {
  nodes.change(0, [](Node& node) { node.old_errors = true; });
  nodes.change(1, [](Node& node) { node.dead = true; });
  EXPECT_EQ(call("panic").error().code, Code::denied);
}

TEST_F(NearRpcTest, ALiarChangesNoAnswer) {
  const auto lie = [](std::string& body) { body.replace(body.find("[123,125]"), 9, "[91,93]"); };
  nodes.change(0, [&](Node& node) { node.lies = lie; });
  EXPECT_EQ(*call("get"), base::to_bytes("{}"));
  reader.reset();  // waits for the last ballot
  make(options());
  nodes.change(2, [](Node& node) { node.dead = true; });
  EXPECT_EQ(call("get").error().code, Code::unavailable) << "one against one";
}

TEST_F(NearRpcTest, ALiarIsNamed) {
  nodes.change(
      0, [](Node& node) { node.lies = [](std::string& body) { body.replace(body.find("[123,125]"), 9, "[91,93]"); }; });
  // The liar is asked for a vote each time; whether it came before the quorum's or after, it is counted.
  const Block at = *head();
  nodes.change(1, [](Node& node) { node.hangs = true; });
  std::thread asking{[&] { EXPECT_EQ(*call(at, "get"), base::to_bytes("{}")); }};
  while (endpoint(0).asked < 2 || endpoint(2).asked < 2) std::this_thread::yield();
  nodes.release();
  asking.join();
  EXPECT_EQ(endpoint(0).disagreed, 1u);
  EXPECT_EQ(endpoint(2).disagreed, 0u);
}

TEST_F(NearRpcTest, OneLiarDeniesNothing) {
  const Block at = *head();
  const std::string denial =
      R"({"jsonrpc":"2.0","id":1,"error":{"name":"HANDLER_ERROR","cause":{"info":{},"name":"UNKNOWN_ACCOUNT"}}})";
  nodes.change(0, [&](Node& node) { node.body = denial; });
  EXPECT_TRUE(reader->account(at, account("alice.near"), patience()).ok());
  nodes.change(1, [](Node& node) { node.dead = true; });
  make(options());
  EXPECT_EQ(reader->account(at, account("alice.near"), patience()).error().code, Code::unavailable);
}

TEST_F(NearRpcTest, AnAnswerForAnotherBlockIsNone) {
  const Block at = *head();
  for (const std::size_t index : {0u, 1u}) {
    nodes.change(index, [&](Node& node) {
      node.lies = [&](std::string& body) {
        const std::string hash = base::base58(at.hash);
        body.replace(body.find(hash), hash.size(), base::base58(block_at(97).hash));
      };
    });
  }
  const auto none = reader->account(at, account("alice.near"), patience());
  EXPECT_EQ(none.error().code, Code::unavailable);
  EXPECT_THAT(none.error().text(), HasSubstr("another block"));
}

TEST_F(NearRpcTest, BrokenRepliesAreOutages) {
  const Block at = *head();
  for (const auto& [status, body] : {std::pair{200, "<html>"},
                                     {502, "bad gateway"},
                                     {429, "slow down"},
                                     {500, R"({"jsonrpc":"2.0","id":1,"result":{}})"},
                                     {200, R"({"jsonrpc":"2.0","id":7,"result":{}})"},
                                     {200, "[]"},
                                     {200, ""}}) {
    make(options());
    nodes.each([&, s = status, b = body](Node& node) {
      node.status = s;
      node.body = b;
    });
    EXPECT_EQ(reader->account(at, account("alice.near"), patience()).error().code, Code::unavailable) << body;
    EXPECT_EQ(head().error().code, Code::unavailable) << body;
  }
}

TEST_F(NearRpcTest, ErrorsWithAStatusOfTheirOwnAreRead) {
  const Block at = *head();
  nodes.each([](Node& node) { node.status = 422; });
  EXPECT_EQ(reader->account(at, account("nobody.near"), patience()).error().code, Code::not_found);
  EXPECT_EQ(reader->account(at, account("alice.near"), patience()).error().code, Code::unavailable)
      << "a result comes with 200";
}

TEST_F(NearRpcTest, AnswersAreKeptForTheirBlock) {
  const Block at = *head();
  ASSERT_TRUE(call(at, "get").ok());
  const std::size_t asked = nodes.asked("query");
  EXPECT_TRUE(call(at, "get").ok());
  EXPECT_EQ(reader->status().cache_hits, 1u);
  EXPECT_LE(nodes.asked("query"), 3u);
  EXPECT_GE(asked, 2u);
  grow(1);
  EXPECT_EQ(*call("height"), base::to_bytes("99"));
  EXPECT_EQ(*call("get"), base::to_bytes("{}"));
  EXPECT_EQ(reader->status().cache_hits, 1u);
}

TEST_F(NearRpcTest, AFailureIsNotKept) {
  const Block at = *head();
  for (int i = 0; i < 50; ++i) {  // however soon it is asked again
    const std::string method = i % 2 == 0 ? "get" : "height";
    const Block here = block_at(at.height - static_cast<std::uint64_t>(i));
    nodes.each([](Node& node) { node.dead = true; });
    EXPECT_EQ(call(here, method).error().code, Code::unavailable);
    nodes.each([](Node& node) { node.dead = false; });
    EXPECT_TRUE(call(here, method).ok());
  }
}

TEST_F(NearRpcTest, TheSameQuestionIsAskedOnce) {
  const Block at = *head();
  nodes.each([](Node& node) { node.hangs = true; });
  std::vector<std::thread> asking;
  asking.reserve(8);
  for (int i = 0; i < 8; ++i) asking.emplace_back([&] { EXPECT_TRUE(call(at, "get").ok()); });
  while (reader->status().shared < 7) std::this_thread::yield();
  nodes.release();
  for (std::thread& thread : asking) thread.join();
  reader.reset();
  // Each endpoint once: two are enough for an answer, and the third may be let off.
  EXPECT_GE(nodes.asked("query"), 2u);
  EXPECT_LE(nodes.asked("query"), 3u);
}

// -- transactions

class NearSenderTest : public NearRpcTest {
 protected:
  void SetUp() override {
    NearRpcTest::SetUp();
    make_sender({});
  }
  void make_sender(SenderOptions with) {
    sender.reset();
    with.chain_id = testing::kChainId;
    with.endpoints = nodes.endpoints();
    with.poll = std::chrono::milliseconds(1);
    with.clock = &clock;
    auto made = Sender::make(nodes, std::move(with));
    ASSERT_TRUE(made.ok()) << made.error().text();
    sender = *std::move(made);
  }
  SignedTransaction calling(std::string method, const SecretKey& key = secret()) {
    const FunctionCall action{.method = std::move(method), .args = base::to_bytes("{}"), .gas = 30'000'000'000'000};
    auto prepared = prepare(*reader, account("alice.near"), key, account("dao.near"), {action}, patience());
    EXPECT_TRUE(prepared.ok()) << prepared.error().text();
    return *std::move(prepared);
  }
  base::Result<Outcome> send(const SignedTransaction& transaction) {
    return sender->send(transaction, account("alice.near"), patience());
  }
  std::size_t executions() {
    const std::lock_guard<std::mutex> lock(nodes.mutex);
    return nodes.world.executions;
  }

  std::unique_ptr<Sender> sender;
};

TEST_F(NearSenderTest, ATransactionIsExecutedOnceAndItsValueComesBack) {
  const SignedTransaction transaction = calling("get");
  const auto outcome = send(transaction);
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  EXPECT_EQ(outcome->kind, Outcome::Kind::succeeded);
  EXPECT_EQ(outcome->value, base::to_bytes("{}"));
  EXPECT_EQ(executions(), 1u);
  EXPECT_EQ(send(transaction)->kind, Outcome::Kind::succeeded) << "sent again: the same outcome";
  EXPECT_EQ(executions(), 1u);
}

TEST_F(NearSenderTest, PreparedWithTheNextNonceAndTheHeadsHash) {
  const auto decoded = decode_signed_transaction(calling("get").raw);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->transaction.nonce, 8u);
  EXPECT_EQ(decoded->transaction.block_hash, block_at(98).hash);
  const auto unknown = prepare(*reader, account("alice.near"), stranger(), account("dao.near"), {}, patience());
  EXPECT_EQ(unknown.error().code, Code::not_found);
}

TEST_F(NearSenderTest, AContractsFailureIsAnOutcome) {
  const auto outcome = send(calling("panic"));
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->kind, Outcome::Kind::failed);
  EXPECT_THAT(outcome->text, HasSubstr("not yours"));
}

TEST_F(NearSenderTest, AUsedNonceIsAConflict) {
  const SignedTransaction first = calling("get");
  const SignedTransaction second = calling("height");  // with the same nonce
  ASSERT_TRUE(send(first).ok());
  const auto outcome = send(second);
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  EXPECT_EQ(outcome->kind, Outcome::Kind::refused);
  EXPECT_EQ(outcome->problem, Problem::nonce);
  EXPECT_EQ(error_of(*outcome).code, Code::conflict);
}

TEST_F(NearSenderTest, AKeyThatIsNotTheSignersIsRefused) {
  Transaction transaction = decode_signed_transaction(calling("get").raw)->transaction;
  transaction.key = stranger().public_key();
  const auto outcome = send(*sign(transaction, stranger()));
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->problem, Problem::access_key);
  EXPECT_EQ(executions(), 0u);
}

TEST_F(NearSenderTest, AnOldBlockHashIsExpired) {
  Transaction transaction = decode_signed_transaction(calling("get").raw)->transaction;
  transaction.block_hash = block_at(98, "elsewhere").hash;
  EXPECT_EQ(send(*sign(transaction, secret()))->problem, Problem::expired);
}

TEST_F(NearSenderTest, NodesThatDoNotWaitAreAskedAgain) {
  nodes.each([](Node& node) { node.times_out = true; });
  const auto outcome = send(calling("get"));
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  EXPECT_EQ(outcome->kind, Outcome::Kind::succeeded);
  EXPECT_GE(nodes.asked("tx"), 2u);
}

TEST_F(NearSenderTest, ANonceThatThisTransactionUsedIsNoRefusal) {
  nodes.each([](Node& node) { node.only_nonces = true; });
  const auto outcome = send(calling("get"));
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  EXPECT_EQ(outcome->kind, Outcome::Kind::succeeded);
  EXPECT_EQ(executions(), 1u);
}

TEST_F(NearSenderTest, ARefusalDoesNotCountWhileNobodySaysThatItIsUnknown) {
  const SignedTransaction transaction = calling("get");
  ASSERT_EQ(send(transaction)->kind, Outcome::Kind::succeeded);
  for (const std::size_t failures : {1u, 3u}) {
    SenderOptions patient;
    patient.max_failures = failures;
    make_sender(patient);
    for (const std::size_t index : {0u, 1u}) {
      nodes.change(index, [](Node& node) {
        node.only_nonces = true;
        node.busy = 1000;
      });
    }
    const auto outcome = send(transaction);
    ASSERT_FALSE(outcome.ok()) << failures << ": it was executed: " << outcome->text;
    EXPECT_EQ(outcome.error().code, Code::unavailable);
    EXPECT_THAT(outcome.error().text(), HasSubstr("429"));
  }
}

TEST_F(NearSenderTest, AKeyThatThisTransactionDeletedIsNoRefusal) {
  const Transaction transaction{.signer = account("alice.near"),
                                .key = secret().public_key(),
                                .nonce = 8,
                                .receiver = account("alice.near"),
                                .block_hash = block_at(98).hash,
                                .actions = {DeleteKey{secret().public_key()}}};
  nodes.each([](Node& node) {
    node.cuts = 1;
    node.only_nonces = true;
  });
  const auto outcome = send(*sign(transaction, secret()));
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  EXPECT_EQ(outcome->kind, Outcome::Kind::succeeded) << outcome->text;
  EXPECT_EQ(executions(), 1u);
}

TEST_F(NearSenderTest, EndpointsThatLagAreWaitedFor) {
  const SignedTransaction transaction = calling("get");
  ASSERT_EQ(send(transaction)->kind, Outcome::Kind::succeeded);
  for (const std::size_t index : {0u, 1u}) {
    nodes.change(index, [](Node& node) {
      node.lag = 7;  // it has neither the block that the transaction names nor the one that executed it
      node.catches_up = 2;
    });
  }
  nodes.change([](World& world) { world.accounts["alice.near"].nonces.clear(); });  // as these see it
  const auto outcome = send(transaction);
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  EXPECT_EQ(outcome->kind, Outcome::Kind::succeeded) << outcome->text;
  EXPECT_EQ(executions(), 1u);
}

TEST_F(NearSenderTest, OneEndpointMayLag) {
  const SignedTransaction transaction = calling("get");
  nodes.change(1, [](Node& node) { node.lag = 7; });
  const auto outcome = send(transaction);
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  EXPECT_EQ(outcome->kind, Outcome::Kind::succeeded);
}

TEST_F(NearSenderTest, WhatIsWrongInItselfIsRefusedAtOnce) {
  SignedTransaction transaction = calling("get");
  transaction.raw.back() ^= 1u;  // of the signature
  const auto outcome = send(transaction);
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  EXPECT_EQ(outcome->kind, Outcome::Kind::refused);
  EXPECT_EQ(error_of(*outcome).code, Code::denied);
  EXPECT_EQ(nodes.asked("tx"), 0u);
}

TEST_F(NearSenderTest, WhoHasTakenItIsNotGivenUp) {
  nodes.each([](Node& node) {
    node.times_out = true;
    node.busy = 8;
  });
  const auto outcome = send(calling("get"));
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  EXPECT_EQ(outcome->kind, Outcome::Kind::succeeded);
}

TEST_F(NearSenderTest, NobodyIsAskedOnceItIsDecided) {
  const auto stuck = std::make_shared<std::vector<std::string>>();  // used with the lock of the nodes
  nodes.change(2, [&](Node& node) {
    node.lies_of_outcomes = [stuck](std::string& body) {
      const auto named = [&](const std::string& hash) { return body.find(hash) != std::string::npos; };
      if (std::ranges::none_of(*stuck, named)) return;
      body = R"({"jsonrpc":"2.0","id":1,"error":{"name":"HANDLER_ERROR","cause":{"info":{},"name":"TIMEOUT_ERROR"}}})";
    };
  });
  for (int i = 0; i < 2; ++i) {  // as many as one endpoint is asked about at once
    const SignedTransaction transaction = calling("get");
    nodes.change([&](World&) { stuck->push_back(base::base58(transaction.hash)); });
    ASSERT_EQ(send(transaction)->kind, Outcome::Kind::succeeded);
    grow(1);
  }
  const SignedTransaction third = calling("get");
  nodes.change(0, [](Node& node) { node.dead = true; });
  const auto soon = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  const auto outcome = sender->send(third, account("alice.near"), soon);
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  EXPECT_EQ(outcome->kind, Outcome::Kind::succeeded);
}

TEST_F(NearSenderTest, AnEndpointOfAnotherNetworkHasNoVote) {
  const SignedTransaction transaction = calling("get");
  nodes.change(0, [](Node& node) { node.chain_id = "mainnet"; });
  EXPECT_EQ(send(transaction)->kind, Outcome::Kind::succeeded);
  nodes.change(1, [](Node& node) { node.dead = true; });
  make_sender({});
  const auto none = send(transaction);
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, Code::unavailable);
  EXPECT_THAT(none.error().text(), HasSubstr("another network"));
}

TEST_F(NearSenderTest, WhatIsLostIsSentAgain) {
  nodes.each([](Node& node) { node.loses = 1; });
  const auto outcome = send(calling("get"));
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  EXPECT_EQ(outcome->kind, Outcome::Kind::succeeded);
  EXPECT_EQ(executions(), 1u);
}

TEST_F(NearSenderTest, ALiarsOutcomeIsOutvoted) {
  nodes.change(0, [](Node& node) {
    node.lies_of_outcomes = [](std::string& body) {
      const std::string honest = R"("SuccessValue":"e30=")";
      if (const auto at = body.find(honest); at != std::string::npos) {
        body.replace(at, honest.size(), R"("SuccessValue":"W10=")");
      }
    };
  });
  EXPECT_EQ(send(calling("get"))->value, base::to_bytes("{}"));
  nodes.change(1, [](Node& node) { node.dead = true; });
  grow(1);
  const auto none = send(calling("get"));
  EXPECT_EQ(none.error().code, Code::unavailable);
  EXPECT_THAT(none.error().text(), HasSubstr("may have been executed"));
}

TEST_F(NearSenderTest, OneEndpointMayBeDeadOrDropIt) {
  nodes.change(0, [](Node& node) { node.dead = true; });
  EXPECT_EQ(send(calling("get"))->kind, Outcome::Kind::succeeded);
  nodes.change(0, [](Node& node) {
    node.dead = false;
    node.drops = true;
  });
  grow(1);
  EXPECT_EQ(send(calling("get"))->kind, Outcome::Kind::succeeded);
}

TEST_F(NearSenderTest, WithoutEndpointsItIsUnavailableAndNamesTheTransaction) {
  const SignedTransaction transaction = calling("get");
  nodes.each([](Node& node) { node.dead = true; });
  const auto none = send(transaction);
  EXPECT_EQ(none.error().code, Code::unavailable);
  EXPECT_THAT(none.error().text(), HasSubstr(base::base58(transaction.hash)));
}

TEST_F(NearSenderTest, WhoHangsMakesItLateAndNotRefused) {
  const SignedTransaction transaction = calling("get");
  nodes.each([](Node& node) { node.hangs = true; });
  const auto soon = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
  EXPECT_EQ(sender->send(transaction, account("alice.near"), soon).error().code, Code::deadline_exceeded);
  nodes.release();
  EXPECT_EQ(send(transaction)->kind, Outcome::Kind::succeeded);
  EXPECT_EQ(executions(), 1u);
}

TEST_F(NearSenderTest, OptionsThatContradictEachOtherAreRefused) {
  const auto refused = [this](const std::function<void(SenderOptions&)>& change) {
    SenderOptions bad;
    bad.chain_id = testing::kChainId;
    bad.endpoints = nodes.endpoints();
    change(bad);
    const auto made = Sender::make(nodes, bad);
    return !made.ok() && made.error().code == Code::configuration;
  };
  EXPECT_FALSE(refused([](SenderOptions&) {}));
  EXPECT_TRUE(refused([](SenderOptions& o) { o.chain_id.clear(); }));
  EXPECT_TRUE(refused([](SenderOptions& o) { o.endpoints.clear(); }));
  EXPECT_TRUE(refused([](SenderOptions& o) { o.endpoints[1] = o.endpoints[0]; }));
  EXPECT_TRUE(refused([](SenderOptions& o) { o.quorum = 4; }));
  EXPECT_TRUE(refused([](SenderOptions& o) { o.max_failures = 0; }));
  EXPECT_TRUE(refused([](SenderOptions& o) { o.request_timeout = std::chrono::milliseconds(0); }));
  EXPECT_TRUE(refused([](SenderOptions& o) { o.poll = std::chrono::milliseconds(0); }));
}

// -- the stand-in is as strict as a node

TEST_F(NearRpcTest, TheStandInRefusesWhatNodesRefuse) {
  const auto said = [&](std::string body) {
    net::HttpRequest request{
        .method = net::Method::post, .url = Nodes::url(0), .body = std::move(body), .deadline = patience()};
    request.headers.set("Content-Type", "application/json");
    const auto response = nodes.send(request);
    return response.ok() ? response->body : response.error().text();
  };
  EXPECT_EQ(said(R"([{"jsonrpc":"2.0","id":1,"method":"status","params":[]}])"), "not a request") << "no batches";
  const auto with = [&](const std::string& method, const std::string& params) {
    return said(R"({"jsonrpc":"2.0","id":1,"method":")" + method + R"(","params":)" + params + "}");
  };
  EXPECT_THAT(with("block", "{}"), HasSubstr("error"));
  EXPECT_THAT(with("block", R"({"finality":"final","block_id":98})"), HasSubstr("error"));
  EXPECT_THAT(with("block", R"({"finality":"newest"})"), HasSubstr("error"));
  EXPECT_THAT(with("broadcast_tx_commit", R"(["AAAA"])"), HasSubstr("PARSE_ERROR"));
  EXPECT_THAT(with("eth_call", "[]"), HasSubstr("METHOD_NOT_FOUND"));
}

}  // namespace
}  // namespace attestry::chain::near
