#include "chain/quorum.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "chain/abi.h"
#include "chain/testing/stand_in.h"
#include "curves/keccak.h"

namespace attestry::chain {
namespace {

using base::Code;
using testing::echo;
using ::testing::HasSubstr;
using testing::kContract;
using testing::kOther;
using testing::Node;
using testing::Nodes;
using testing::TestClock;
using Kind = Finality::Kind;

class QuorumTest : public ::testing::Test {
 protected:
  /// Of three nodes two must agree, two blocks below the newest.
  void make(QuorumOptions options) {
    options.clock = &clock;
    auto made = QuorumReader::make(nodes, std::move(options));
    ASSERT_TRUE(made.ok()) << made.error().text();
    reader = *std::move(made);
  }
  void make() { make(nodes.options()); }

  base::Deadline patience() const { return clock.steady() + std::chrono::seconds(60); }
  base::Result<BlockRef> head() { return reader->refresh(patience()); }
  base::Result<std::vector<CallOutcome>> call(const BlockRef& at, const std::vector<Call>& calls) {
    return reader->call(at, calls, patience());
  }
  /// The outcome of one call at the head.
  base::Result<CallOutcome> ask(const Call& call_) {
    TRY(const BlockRef at, reader->head(patience()));
    TRY(auto outcomes, call(at, {call_}));
    return outcomes.front();
  }
  EndpointStatus endpoint(std::size_t index) { return reader->status().endpoints.at(index); }
  void grow(std::uint64_t count) {
    nodes.each([&](Node& node) { node.branch.grow(count); });
    clock.pass(testing::kSpacing * static_cast<std::int64_t>(count));
  }
  const testing::Branch& chain() const { return nodes.nodes[0].branch; }

  Nodes nodes{3};
  TestClock clock{testing::Branch::time(100) + 5};
  std::unique_ptr<QuorumReader> reader;
  const Call question{kContract, {1, 2, 3, 4}};
};

// -- options

TEST_F(QuorumTest, FinalityHasThreeSpellings) {
  EXPECT_EQ(Finality::parse("finalized")->kind, Kind::finalized);
  EXPECT_EQ(Finality::parse("safe")->kind, Kind::safe);
  EXPECT_EQ(Finality::parse("depth:12")->depth, 12u);
  for (const auto* text : {"", "depth", "depth:", "depth:-1", "depth:1x", "latest", "depth:99999999999999999999"}) {
    EXPECT_EQ(Finality::parse(text).error().code, Code::configuration) << text;
  }
  EXPECT_EQ(Finality::parse("depth:12")->text(), "depth:12");
}

TEST_F(QuorumTest, OptionsThatContradictEachOtherAreRefused) {
  const auto refused = [this](const std::function<void(QuorumOptions&)>& change) {
    auto options = nodes.options();
    change(options);
    const auto made = QuorumReader::make(nodes, options);
    return !made.ok() && made.error().code == Code::configuration;
  };
  EXPECT_TRUE(refused([](QuorumOptions& o) { o.endpoints.clear(); }));
  EXPECT_TRUE(refused([](QuorumOptions& o) { o.quorum = 4; }));
  EXPECT_TRUE(refused([](QuorumOptions& o) { o.chain_id = 0; }));
  EXPECT_TRUE(refused([](QuorumOptions& o) { o.max_head_age = -1; }));
  EXPECT_TRUE(refused([](QuorumOptions& o) { o.poll = o.head_ttl; }));
}

TEST_F(QuorumTest, TheQuorumIsMoreThanHalfUnlessSaidOtherwise) {
  make();
  EXPECT_EQ(reader->status().quorum, 2u);
}

// -- the head

TEST_F(QuorumTest, TheHeadIsAtTheDepth) {
  make();
  EXPECT_EQ(*head(), chain().ref(98));
  EXPECT_GE(reader->status().agreeing, 2u);
}

TEST_F(QuorumTest, TheHeadIsAtTheTag) {
  make(nodes.options({.kind = Kind::finalized, .depth = 0}));
  EXPECT_EQ(*head(), chain().ref(92));
  make(nodes.options({.kind = Kind::safe, .depth = 0}));
  EXPECT_EQ(*head(), chain().ref(96));
}

TEST_F(QuorumTest, TheHeadAnswersFromMemoryForAWhile) {
  auto options = nodes.options();
  options.head_ttl = std::chrono::seconds(30);
  make(options);
  ASSERT_TRUE(reader->head(patience()).ok());
  const std::size_t rounds = nodes.rounds();
  ASSERT_TRUE(reader->head(patience()).ok());
  EXPECT_EQ(nodes.rounds(), rounds);
  grow(3);
  EXPECT_EQ(*reader->head(patience()), chain().ref(101));
}

TEST_F(QuorumTest, AGenesisWithFewerBlocksThanTheDepthIsTheHead) {
  nodes.each([](Node& node) { node.branch = testing::Branch{1}; });
  clock.set(testing::Branch::time(1));
  make();
  EXPECT_EQ(*head(), chain().ref(0));
}

TEST_F(QuorumTest, ThePollKeepsTheHeadFreshByItself) {
  auto options = nodes.options();
  options.head_ttl = std::chrono::hours(1);
  options.poll = std::chrono::milliseconds(1);
  make(options);
  ASSERT_TRUE(reader->head(patience()).ok());
  nodes.each([](Node& node) { node.branch.grow(1); });
  while (*reader->head(patience()) != chain().ref(99)) std::this_thread::yield();
}

// -- minorities change nothing

TEST_F(QuorumTest, ALiarAboutTheHeadIsOutvotedAndNamed) {
  make();
  nodes.change(1, [](Node& node) { node.branch.reorganise(50, "lie"); });
  while (endpoint(1).disagreed == 0) EXPECT_EQ(*head(), chain().ref(98));  // it may be too slow to be heard
  EXPECT_EQ(endpoint(0).disagreed, 0u);
}

TEST_F(QuorumTest, ALiarFarAheadIsOutvoted) {
  make();
  nodes.change(1, [](Node& node) { node.branch.grow(1000, "lie"); });
  EXPECT_EQ(*head(), chain().ref(98));
  EXPECT_EQ(reader->status().newest->number, 100u);
}

TEST_F(QuorumTest, ALaggardSpeaksForNobody) {
  make();
  nodes.change(2, [](Node& node) { node.branch = testing::Branch{40}; });
  while (endpoint(2).lag != 60) EXPECT_EQ(*head(), chain().ref(98));
  EXPECT_EQ(ask(question)->data, echo(question, 98).data);
}

TEST_F(QuorumTest, AnEndpointThatIsNamedTwiceIsNoQuorum) {
  auto twice = nodes.options();
  twice.endpoints[1] = twice.endpoints[0];
  const auto made = QuorumReader::make(nodes, std::move(twice));
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, Code::configuration);
  EXPECT_NE(made.error().text().find("twice"), std::string::npos) << made.error().text();
}

TEST_F(QuorumTest, ADeadEndpointIsNamedAndTheOthersGoOn) {
  make();
  nodes.change(0, [](Node& node) { node.dead = true; });
  EXPECT_EQ(*head(), nodes.nodes[1].branch.ref(98));
  EXPECT_EQ(ask(question)->data, echo(question, 98).data);
  while (endpoint(0).trouble.find("connection refused") == std::string::npos) std::this_thread::yield();
  EXPECT_EQ(endpoint(0).trouble.find("customers-key"), std::string::npos) << endpoint(0).trouble;
  nodes.change(0, [](Node& node) { node.dead = false; });
  while (!endpoint(0).trouble.empty()) ASSERT_TRUE(head().ok());
}

TEST_F(QuorumTest, AHangingEndpointDelaysNobody) {
  make();
  nodes.change(0, [](Node& node) { node.hangs = true; });
  EXPECT_EQ(*head(), nodes.nodes[1].branch.ref(98));  // it goes on hanging: nothing here waits for its deadline
  EXPECT_EQ(ask(question)->data, echo(question, 98).data);
  const Call other{kOther, {9}};
  EXPECT_EQ(ask(other)->data, echo(other, 98).data);
  nodes.release();
}

TEST_F(QuorumTest, AStrangersContractThatHangsHoldsUpStrangersOnly) {
  auto options = nodes.options();
  options.lanes = 1;
  options.stranger_waiting = 2;
  make(options);
  const auto at = head();
  nodes.each([](Node& node) { node.hangs_about = kOther; });
  std::vector<std::jthread> strangers;
  std::atomic<int> refused = 0;
  for (std::uint8_t i = 0; i < 8; ++i) {
    strangers.emplace_back([&, i] {
      const std::vector<Call> asked{{kOther, {i}}};
      if (reader->for_strangers().call(*at, asked, patience()).error().code == Code::unavailable) ++refused;
    });
  }
  while (reader->status().cache_misses < 8) std::this_thread::yield();
  grow(1);
  EXPECT_EQ(*head(), chain().ref(99));
  EXPECT_EQ(ask(question)->data, echo(question, 99).data);
  EXPECT_EQ(endpoint(0).trouble, "");
  strangers.clear();
  EXPECT_EQ(refused, 8);
  nodes.release();
}

TEST_F(QuorumTest, WhatAReleaseAsksDoesNotWaitWithAStrangersSameQuestion) {
  auto options = nodes.options();
  options.stranger_timeout = std::chrono::seconds(20);
  make(options);
  const auto at = head();
  nodes.each([](Node& node) { node.hangs = true; });
  std::jthread stranger{[&] { (void)reader->for_strangers().call(*at, std::vector{question}, patience()); }};
  while (nodes.asked("eth_call") == 0 && reader->status().cache_misses == 0) std::this_thread::yield();
  nodes.release();
  EXPECT_EQ(call(*at, {question})->front().data, echo(question, 98).data);
  EXPECT_EQ(reader->status().shared, 0u);
}

TEST_F(QuorumTest, TheKnownHeadIsAskedOfNobody) {
  make();
  EXPECT_EQ(reader->known_head().error().code, Code::unavailable);
  const auto at = head();
  const std::size_t rounds = nodes.rounds();
  grow(1);
  EXPECT_EQ(*reader->known_head(), *at);
  EXPECT_EQ(nodes.rounds(), rounds);
  clock.pass(200);
  EXPECT_THAT(reader->known_head().error().what, HasSubstr("too old"));
}

TEST_F(QuorumTest, EveryNewHeadIsTold) {
  std::mutex mutex;
  std::vector<std::uint64_t> told;
  auto options = nodes.options();
  options.on_head = [&](const BlockRef& block) {
    const std::lock_guard<std::mutex> lock(mutex);
    told.push_back(block.number);
  };
  make(options);
  ASSERT_TRUE(head().ok());
  ASSERT_TRUE(head().ok());
  grow(3);
  ASSERT_TRUE(head().ok());
  reader.reset();
  EXPECT_THAT(told, ::testing::ElementsAre(98u, 101u));
}

TEST_F(QuorumTest, AnEndpointOfAnotherChainDoesNotVote) {
  make();
  nodes.change(0, [](Node& node) { node.chain_id = 1; });
  nodes.change(1, [](Node& node) { node.dead = true; });
  EXPECT_EQ(head().error().code, Code::unavailable);
  EXPECT_TRUE(endpoint(0).wrong_chain);
  nodes.change(1, [](Node& node) { node.dead = false; });
  EXPECT_TRUE(head().ok());
  nodes.change(0, [](Node& node) { node.chain_id = testing::kChainId; });
  do {
    EXPECT_TRUE(head().ok());
  } while (endpoint(0).wrong_chain);
}

TEST_F(QuorumTest, ALiarAboutACallIsOutvotedAndNamed) {
  make();
  nodes.change(2, [](Node& node) {
    node.contract = [](const Call&, std::uint64_t) {
      return CallOutcome{.reverted = false, .data = {1}, .reason = {}};
    };
  });
  for (std::uint8_t i = 0; i < 20; ++i) {
    const Call different{kContract, {i}};
    EXPECT_EQ(ask(different)->data, echo(different, 98).data);
  }
  while (endpoint(2).disagreed < 20) std::this_thread::yield();  // its answers come when they come
  EXPECT_EQ(endpoint(0).disagreed + endpoint(1).disagreed, 0u);
}

TEST_F(QuorumTest, ACensorThatClaimsARevertIsOutvoted) {
  make();
  nodes.change(0, [](Node& node) {
    node.contract = [](const Call&, std::uint64_t) {
      return CallOutcome{.reverted = true, .data = encode_error_string("Operator not authorized"), .reason = {}};
    };
  });
  EXPECT_FALSE(ask(question)->reverted);
}

TEST_F(QuorumTest, NonsenseIsNoVote) {
  for (const auto* body : {"", "[]", "{}", "null", "[1,2]", R"([{"jsonrpc":"2.0","id":1,"result":"0x1"}])",
                           R"({"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batches are off"}})"}) {
    make();
    nodes.change(0, [&](Node& node) { node.body = body; });
    EXPECT_EQ(*head(), chain().ref(98)) << body;
    while (endpoint(0).trouble.empty()) std::this_thread::yield();
  }
  make();
  nodes.change(0, [](Node& node) {
    node.body.reset();
    node.status = 502;
  });
  EXPECT_EQ(*head(), chain().ref(98));
}

// -- without a quorum: unavailable, never a denial

TEST_F(QuorumTest, TwoDeadEndpointsOfThreeAreAnOutage) {
  make();
  const auto at = head();
  nodes.change(0, [](Node& node) { node.dead = true; });
  nodes.change(1, [](Node& node) { node.dead = true; });
  EXPECT_EQ(head().error().code, Code::unavailable);
  const auto outcome = call(*at, {question});
  EXPECT_EQ(outcome.error().code, Code::unavailable);
  EXPECT_THAT(outcome.error().found, HasSubstr("node0.test: connection refused"));
  EXPECT_GE(reader->status().without_quorum, 2u);
}

TEST_F(QuorumTest, ThreeOpinionsAreAnOutage) {
  make();
  const auto at = head();
  std::uint8_t which = 0;
  nodes.each([&](Node& node) {
    node.contract = [mine = ++which](const Call&, std::uint64_t) {
      return CallOutcome{.reverted = false, .data = {mine}, .reason = {}};
    };
  });
  EXPECT_EQ(call(*at, {question}).error().code, Code::unavailable);
}

TEST_F(QuorumTest, ACallerWhoCannotWaitGetsItsOwnDeadlineAndTheOthersTheAnswer) {
  make();
  const auto at = head();
  nodes.each([](Node& node) { node.hangs = true; });
  const auto hurried = reader->call(*at, std::vector{question}, clock.steady() - std::chrono::seconds(1));
  EXPECT_EQ(hurried.error().code, Code::deadline_exceeded);
  nodes.release();
  EXPECT_EQ(call(*at, {question})->front().data, echo(question, 98).data);
}

TEST_F(QuorumTest, ABlockThatOnlyOneEndpointHasIsAnOutage) {
  make();
  nodes.change(0, [](Node& node) { node.branch.grow(1); });
  ASSERT_TRUE(head().ok());
  EXPECT_EQ(call(nodes.nodes[0].branch.ref(101), {question}).error().code, Code::unavailable);
}

// -- reverts

TEST_F(QuorumTest, ARevertIsAnAnswerWithItsReason) {
  make();
  nodes.each([](Node& node) {
    node.contract = [](const Call&, std::uint64_t) {
      return CallOutcome{.reverted = true, .data = encode_error_string("Config not mapped"), .reason = {}};
    };
  });
  const auto outcome = ask(question);
  ASSERT_TRUE(outcome.ok());
  EXPECT_TRUE(outcome->reverted);
  EXPECT_EQ(outcome->reason, "Config not mapped");
}

TEST_F(QuorumTest, EndpointsThatAgreeOnARevertAndNotOnItsReasonAgree) {
  make();
  std::size_t which = 0;
  nodes.each([&](Node& node) {
    node.contract = [mine = ++which](const Call&, std::uint64_t) {
      return CallOutcome{.reverted = true, .data = base::Bytes(mine * 4), .reason = {}};
    };
  });
  const auto outcome = ask(question);
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  EXPECT_TRUE(outcome->reverted);
  EXPECT_TRUE(outcome->data.empty());
}

// -- reorganisations and the floor

TEST_F(QuorumTest, AReorganisationAboveTheFinalityChangesNothing) {
  make();
  const auto before = head();
  nodes.each([](Node& node) { node.branch.reorganise(2, "other"); });
  EXPECT_EQ(*head(), *before);
  grow(1);
  EXPECT_EQ(*head(), chain().ref(99));
}

TEST_F(QuorumTest, AReorganisationBelowTheFinalityStopsEverything) {
  make();
  const auto before = head();
  nodes.each([](Node& node) { node.branch.reorganise(10, "other"); });
  const auto after = head();
  EXPECT_EQ(after.error().code, Code::unavailable);
  EXPECT_THAT(after.error().what, HasSubstr("reorganisation below the finality"));
  EXPECT_NE(reader->status().alarm, "");
  EXPECT_EQ(call(*before, {question}).error().code, Code::unavailable);
  nodes.each([&](Node& node) { node.branch = testing::Branch{110}; });  // it does not heal by itself
  EXPECT_EQ(head().error().code, Code::unavailable);
}

TEST_F(QuorumTest, OneEndpointAloneRaisesNoAlarm) {
  make();
  const auto before = head();
  nodes.change(1, [](Node& node) { node.branch.reorganise(10, "other"); });
  EXPECT_EQ(*head(), *before);
  EXPECT_EQ(reader->status().alarm, "");
}

TEST_F(QuorumTest, TheHeadNeverGoesBack) {
  make();
  const auto before = head();
  nodes.each([](Node& node) { node.branch = testing::Branch{99}; });  // all lag: they still have the block
  EXPECT_EQ(*head(), *before);
  nodes.each([](Node& node) { node.branch = testing::Branch{50}; });  // now they do not
  EXPECT_EQ(head().error().code, Code::unavailable);
}

TEST_F(QuorumTest, WhatAFormerRunHasSeenIsTheFloor) {
  auto options = nodes.options();
  options.floor = chain().ref(98);
  nodes.each([](Node& node) { node.branch = testing::Branch{60}; });
  make(options);
  EXPECT_EQ(head().error().code, Code::unavailable);

  nodes.each([](Node& node) { node.branch = testing::Branch{200}; });
  clock.set(testing::Branch::time(200));
  EXPECT_EQ(*head(), chain().ref(198));

  nodes.each([](Node& node) { node.branch.reorganise(150, "other"); });
  make(options);
  EXPECT_THAT(head().error().what, HasSubstr("below the finality"));
}

// -- the watchdog

TEST_F(QuorumTest, AnOldHeadFailsClosed) {
  make();
  ASSERT_TRUE(head().ok());
  clock.set(testing::Branch::time(100) + 121);
  EXPECT_EQ(head().error().code, Code::unavailable);
  EXPECT_EQ(reader->head(patience()).error().code, Code::unavailable);
  EXPECT_TRUE(reader->status().stalled);
  grow(11);
  clock.set(testing::Branch::time(111));
  EXPECT_TRUE(head().ok());
  EXPECT_FALSE(reader->status().stalled);
}

TEST_F(QuorumTest, AHeadThatDoesNotAdvanceFailsClosedWhateverItsTimeSays) {
  make();
  ASSERT_TRUE(head().ok());
  clock.pass(121);
  clock.set(testing::Branch::time(100) + 1);
  EXPECT_THAT(head().error().what, HasSubstr("does not go on"));
}

TEST_F(QuorumTest, ABlockFromTheFutureFailsClosed) {
  clock.set(testing::Branch::time(100) - 61);
  make();
  EXPECT_THAT(head().error().what, HasSubstr("from the future"));
}

TEST_F(QuorumTest, AFinalityThatDoesNotAdvanceFailsClosed) {
  auto options = nodes.options({.kind = Kind::finalized, .depth = 0});
  options.max_final_age = 150;
  make(options);
  ASSERT_TRUE(head().ok());
  nodes.each([](Node& node) { node.final_lag += 5; });
  grow(5);
  EXPECT_THAT(head().error().what, HasSubstr("final block is too old"));
}

TEST_F(QuorumTest, TheWatchdogCanBeSwitchedOff) {
  auto options = nodes.options();
  options.max_head_age = 0;
  options.max_final_age = 0;
  make(options);
  ASSERT_TRUE(head().ok());
  clock.pass(100'000);
  EXPECT_TRUE(head().ok());
}

// -- the cache

TEST_F(QuorumTest, TheSameQuestionAtTheSameBlockIsAskedOnce) {
  make();
  const auto at = head();
  const Call other{kOther, {7}};
  ASSERT_TRUE(call(*at, {question, other, question}).ok());
  EXPECT_EQ(reader->status().cache_misses, 2u);
  const std::size_t rounds = reader->status().rounds;
  const auto again = call(*at, {other, question});
  EXPECT_EQ(again->front().data, echo(other, 98).data);
  EXPECT_EQ(again->back().data, echo(question, 98).data);
  EXPECT_EQ(reader->status().rounds, rounds);
  EXPECT_EQ(reader->status().cache_hits, 2u);
}

TEST_F(QuorumTest, ManyCallsAreOneRoundTrip) {
  make();
  const auto at = head();
  const std::size_t rounds = nodes.rounds();
  std::vector<Call> calls;
  calls.reserve(40);
  for (std::uint8_t i = 0; i < 40; ++i) calls.push_back({kContract, {i}});
  EXPECT_EQ(call(*at, calls)->size(), 40u);
  reader.reset();
  EXPECT_LE(nodes.rounds() - rounds, 3u);  // one per endpoint
}

TEST_F(QuorumTest, AnotherBlockIsAnotherQuestion) {
  make();
  ASSERT_TRUE(head().ok());
  EXPECT_EQ(ask(question)->data.back(), 98);
  grow(1);
  ASSERT_TRUE(head().ok());
  EXPECT_EQ(ask(question)->data.back(), 99);
}

TEST_F(QuorumTest, IdenticalQuestionsShareOneRound) {
  make();
  const auto at = head();
  nodes.each([](Node& node) { node.hangs = true; });
  std::vector<std::jthread> callers;
  callers.reserve(8);
  std::atomic<int> answered = 0;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&] {
      const auto outcome = call(*at, {question});
      if (outcome.ok() && outcome->front() == echo(question, 98)) ++answered;
    });
  }
  while (reader->status().cache_misses + reader->status().shared < 8) std::this_thread::yield();
  nodes.release();
  callers.clear();
  EXPECT_EQ(answered, 8);
  EXPECT_EQ(reader->status().cache_misses, 1u);
  EXPECT_LE(nodes.asked("eth_call"), 3u);
}

TEST_F(QuorumTest, FailuresAreNotKept) {
  make();
  const auto at = head();
  nodes.each([](Node& node) { node.dead = true; });
  EXPECT_FALSE(call(*at, {question}).ok());
  nodes.each([](Node& node) { node.dead = false; });
  EXPECT_TRUE(call(*at, {question}).ok());
}

TEST_F(QuorumTest, TheCacheStaysWithinItsBytes) {
  auto options = nodes.options();
  options.cache_bytes = 4096;
  make(options);
  const auto at = head();
  for (std::uint8_t i = 0; i < 100; ++i) ASSERT_TRUE(call(*at, {{kContract, base::Bytes(100, i)}}).ok());
  EXPECT_LE(reader->status().cached_bytes, 4096u);
  EXPECT_GT(reader->status().cached_bytes, 0u);
}

// -- results that move on by events

TEST_F(QuorumTest, WithoutEventsAnAnswerStaysTrue) {
  make();
  reader->trust_events(kContract, true);
  ASSERT_TRUE(head().ok());
  ASSERT_TRUE(ask(question).ok());
  grow(2);
  ASSERT_TRUE(head().ok());
  const std::size_t before = nodes.asked("eth_call");
  EXPECT_EQ(ask(question)->data, echo(question, 98).data);  // what block 98 said
  EXPECT_EQ(nodes.asked("eth_call"), before);
  EXPECT_EQ(reader->status().carried, 1u);
}

TEST_F(QuorumTest, AnEventAsksAnew) {
  make();
  reader->trust_events(kContract, true);
  ASSERT_TRUE(head().ok());
  ASSERT_TRUE(ask(question).ok());
  nodes.each([](Node& node) { node.logs.push_back({kContract, 99}); });
  grow(2);
  ASSERT_TRUE(head().ok());
  EXPECT_EQ(ask(question)->data.back(), 100);
}

TEST_F(QuorumTest, OneEndpointThatHidesAnEventHidesNothing) {
  make();
  reader->trust_events(kContract, true);
  ASSERT_TRUE(head().ok());
  ASSERT_TRUE(ask(question).ok());
  nodes.each([](Node& node) { node.logs.push_back({kContract, 100}); });
  nodes.change(1, [](Node& node) { node.hides_logs = true; });
  grow(2);
  ASSERT_TRUE(head().ok());
  EXPECT_EQ(ask(question)->data.back(), 100);
}

TEST_F(QuorumTest, AnEndpointWithoutLogsLeavesTheCarryingToTheOthers) {
  make();
  reader->trust_events(kContract, true);
  nodes.change(0, [](Node& node) { node.offers_logs = false; });
  ASSERT_TRUE(head().ok());
  ASSERT_TRUE(ask(question).ok());
  for (std::uint64_t carried = 1; carried <= 3; ++carried) {
    grow(1);
    ASSERT_TRUE(head().ok());
    EXPECT_EQ(reader->status().carried, carried);
  }
  EXPECT_EQ(endpoint(0).trouble, "") << "it votes on everything else";
}

TEST_F(QuorumTest, AnEndpointWithoutLogsIsAskedForThemEverMoreSeldom) {
  Nodes one{1};
  one.nodes[0].offers_logs = false;
  auto options = one.options();
  options.clock = &clock;
  const auto single = *QuorumReader::make(one, options);
  single->trust_events(kContract, true);
  const auto next = [&](int blocks) {
    for (int i = 0; i < blocks; ++i) {
      const auto at = single->refresh(patience());
      ASSERT_TRUE(at.ok()) << at.error().text();
      ASSERT_TRUE(single->call(*at, std::vector{question}, patience()).ok());
      one.change(0, [](Node& node) { node.branch.grow(1); });
      clock.pass(testing::kSpacing);
    }
  };
  ::testing::internal::CaptureStderr();
  next(2);
  EXPECT_EQ(one.asked("eth_getLogs"), 1u);
  EXPECT_TRUE(single->status().endpoints[0].without_logs);
  EXPECT_EQ(single->status().endpoints[0].trouble, "");
  next(100);  // 20 minutes: after 30 seconds, 1, 2, 4 and 8 minutes
  EXPECT_LE(one.asked("eth_getLogs"), 6u);
  EXPECT_GE(one.asked("eth_getLogs"), 4u);
  one.change(0, [](Node& node) { node.offers_logs = true; });
  next(100);
  EXPECT_FALSE(single->status().endpoints[0].without_logs);
  EXPECT_GT(single->status().carried, 0u);
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("chain.endpoint_without_logs"));
  EXPECT_EQ(log.find("chain.endpoint_without_logs"), log.rfind("chain.endpoint_without_logs")) << log;
  EXPECT_THAT(log, HasSubstr("the method does not exist"));
  EXPECT_EQ(log.find("chain.endpoint_trouble"), std::string::npos) << log;
}

TEST_F(QuorumTest, ContractsThatAreNotTrustedToEmitAreAskedAtEveryBlock) {
  make();
  ASSERT_TRUE(head().ok());
  ASSERT_TRUE(ask(question).ok());
  grow(1);
  ASSERT_TRUE(head().ok());
  EXPECT_EQ(ask(question)->data.back(), 99);
  EXPECT_EQ(nodes.asked("eth_getLogs"), 0u);
}

/// Contracts of known code, whose answers stay true without an event.
class KnownCodeTest : public QuorumTest {
 protected:
  KnownCodeTest() {
    auto options = nodes.options();
    options.event_codes = {curves::keccak256(code)};
    make(options);
    nodes.each([this](Node& node) { node.codes[kContract] = code; });
  }
  /// Asks at one block, and whether it asks again at the next.
  bool asks_again() {
    EXPECT_TRUE(head().ok());
    EXPECT_TRUE(ask(question).ok());
    // Not by the calls that the nodes have seen: the slowest may still be answering the question before.
    const auto before = reader->status().carried;
    grow(1);
    EXPECT_TRUE(head().ok());
    EXPECT_TRUE(ask(question).ok());
    return reader->status().carried == before;
  }
  const base::Bytes code{0x60, 0x80};
};

TEST_F(KnownCodeTest, TheirAnswersAreCarriedFromTheFirstBlockOn) {
  EXPECT_FALSE(asks_again());
  EXPECT_FALSE(asks_again());
  EXPECT_LE(nodes.asked("eth_getCode"), nodes.nodes.size());
  nodes.each([](Node& node) { node.logs.push_back({kContract, 101}); });
  EXPECT_TRUE(asks_again());
}

TEST_F(KnownCodeTest, AContractWithAByteMoreIsAskedAtEveryBlock) {
  nodes.each([](Node& node) { node.codes[kContract].push_back(0); });
  EXPECT_TRUE(asks_again());
  EXPECT_TRUE(asks_again());
  EXPECT_LE(nodes.asked("eth_getCode"), nodes.nodes.size());
}

TEST_F(KnownCodeTest, OneEndpointsWordAboutTheCodeCountsForNothing) {
  nodes.each([](Node& node) { node.codes.clear(); });
  nodes.change(0, [this](Node& node) { node.codes[kContract] = code; });
  EXPECT_TRUE(asks_again());
  EXPECT_TRUE(asks_again());
}

TEST_F(KnownCodeTest, AContractThatIsDeployedLaterIsKnownThen) {
  nodes.each([](Node& node) { node.codes.clear(); });
  EXPECT_TRUE(asks_again());
  nodes.each([this](Node& node) { node.codes[kContract] = code; });
  EXPECT_FALSE(asks_again());
}

/// A contract that destroys itself may be created anew at its address with other code.
TEST_F(KnownCodeTest, TheCodeIsLookedAtAnew) {
  auto options = nodes.options();
  options.event_codes = {curves::keccak256(code)};
  options.max_carry_blocks = 4;
  make(options);
  EXPECT_FALSE(asks_again());
  nodes.each([](Node& node) { node.codes[kContract] = {1}; });
  int blocks = 0;
  while (!asks_again()) ASSERT_LT(++blocks, 6);
  EXPECT_TRUE(asks_again()) << "not once only, after the longest time that an answer is carried";
  EXPECT_TRUE(asks_again());
  nodes.each([this](Node& node) { node.codes[kContract] = code; });
  blocks = 0;
  while (asks_again()) ASSERT_LT(++blocks, 6);
}

TEST_F(KnownCodeTest, ItCanBeSwitchedOff) {
  make();
  EXPECT_TRUE(asks_again());
  EXPECT_EQ(nodes.asked("eth_getCode"), 0u);
}

TEST_F(QuorumTest, ResultsAreCarriedOnlySoFar) {
  auto options = nodes.options();
  options.max_carry_blocks = 3;
  make(options);
  reader->trust_events(kContract, true);
  ASSERT_TRUE(head().ok());
  ASSERT_TRUE(ask(question).ok());
  for (int i = 0; i < 2; ++i) {
    grow(2);
    ASSERT_TRUE(head().ok());
  }
  EXPECT_EQ(ask(question)->data.back(), 102);
}

// -- endpoints without EIP-1898

TEST_F(QuorumTest, ASingleEndpointWithoutBlockHashesIsAskedByNumber) {
  Nodes one{1};
  one.nodes[0].knows_block_hashes = false;
  auto options = one.options();
  options.clock = &clock;
  const auto single = *QuorumReader::make(one, options);
  const auto at = single->head(patience());
  ASSERT_TRUE(at.ok());
  EXPECT_EQ(single->call(*at, std::vector{question}, patience())->front().data, echo(question, 98).data);
  EXPECT_TRUE(single->status().endpoints[0].by_number);
  one.change(0, [](Node& node) { node.branch.reorganise(10, "other"); });
  const Call other{kOther, {7}};  // another block at the number is not the block that was asked for
  EXPECT_EQ(single->call(*at, std::vector{other}, patience()).error().code, Code::unavailable);
}

TEST_F(QuorumTest, SeveralEndpointsAreNeverAskedByNumber) {
  nodes.each([](Node& node) { node.knows_block_hashes = false; });
  make();
  EXPECT_EQ(ask(question).error().code, Code::unavailable);
}

}  // namespace
}  // namespace attestry::chain
