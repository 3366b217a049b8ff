#include "keys/threshold_root.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "base/encoding.h"

namespace attestry::keys {
namespace {

using base::Code;
using base::Error;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

base::Deadline patient() { return std::chrono::steady_clock::now() + seconds(60); }

/// Real time, and what a test says has passed besides.
class Clock final : public base::Clock {
 public:
  base::UtcTime now() const override { return base::system_clock().now(); }
  base::Deadline steady() const override { return base::system_clock().steady() + passed.load(); }
  std::atomic<milliseconds> passed{milliseconds{0}};
};

/// Answers with 48 bytes made of app_id, unless it is told otherwise.
class Nodes final : public CkdSource {
 public:
  base::Result<crypto::Secret> derive(base::ByteView app_id, base::ByteView said, base::Deadline deadline) override {
    last_said = base::to_bytes(said);
    ++asked;
    last_deadline = deadline;
    if (hook) TRY_OK(hook(app_id));
    base::Bytes out(bytes, 0);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(app_id[i % app_id.size()] + i);
    return crypto::Secret::copy_of(out);
  }
  std::atomic<int> asked{0};
  base::Deadline last_deadline{};
  std::size_t bytes = 48;
  base::Bytes last_said;
  std::function<base::Status(base::ByteView)> hook;
};

base::Status nodes_away(base::ByteView) { return Error{Code::deadline_exceeded, "3 of 7 nodes answered"}; }

class ThresholdRootTest : public ::testing::Test {
 protected:
  Clock clock;
  Nodes nodes;
  std::vector<std::string> told;
  ThresholdRoot root{nodes, clock, {.kept = 3, .on_change = [this](const base::Status& status) {
                                      told.push_back(status.ok() ? "over" : status.error().what);
                                    }}};

  std::string master(std::string_view dialect) {
    const auto out = root.legacy_master(dialect, patient());
    return out.ok() ? base::hex(out->reveal()) : out.error().text();
  }
  Code refusal(std::string_view dialect) {
    const auto out = root.legacy_master(dialect, patient());
    EXPECT_FALSE(out.ok());
    return out.ok() ? Code::internal : out.error().code;
  }
};

TEST_F(ThresholdRootTest, IsDerivedOfWhatNodesGiveForTheSameBytes) {
  base::Bytes asked_for;
  nodes.hook = [&](base::ByteView app_id) -> base::Status {
    asked_for = base::to_bytes(app_id);
    return base::done();
  };
  const std::string got = master("registry");
  EXPECT_EQ(asked_for, legacy_info("registry"));
  nodes.hook = {};
  const auto result = nodes.derive(asked_for, {}, patient());
  EXPECT_EQ(got, base::hex(derive_from(*result, legacy_info("registry")).reveal()));
  EXPECT_NE(got, master("keystore"));
  EXPECT_TRUE(root.waits());
}

TEST_F(ThresholdRootTest, KeepsSoManyResultsAndNoMore) {
  for (int round = 0; round < 2; ++round) {
    for (const char* dialect : {"a", "b", "c"}) master(dialect);
  }
  EXPECT_EQ(nodes.asked, 3);
  master("d");
  master("c");
  EXPECT_EQ(nodes.asked, 4);
  master("a");
  EXPECT_EQ(nodes.asked, 5) << "the least recently used one made room";
}

TEST_F(ThresholdRootTest, WhatIsKeptIsAnsweredThroughAnOutage) {
  const std::string before = master("registry");
  nodes.hook = nodes_away;
  EXPECT_EQ(refusal("keystore"), Code::unavailable);
  EXPECT_EQ(master("registry"), before);
}

TEST_F(ThresholdRootTest, AnOutageIsUnavailableAndSaysWhoIsAway) {
  nodes.hook = nodes_away;
  EXPECT_THAT(master("registry"), HasSubstr("3 of 7 nodes answered"));
  // Whatever they have against this server is no denial of a workload.
  nodes.hook = [](base::ByteView) -> base::Status { return Error{Code::denied, "this server's software"}; };
  clock.passed = seconds(2);
  EXPECT_EQ(refusal("registry"), Code::unavailable);
  EXPECT_THAT(told, ElementsAre("3 of 7 nodes answered", "this server's software"));
}

TEST_F(ThresholdRootTest, AccountsKeysAreAskedForByTheirNames) {
  const ckd::AccountPath whose{"dao.near", ""};
  const auto key = root.account_key(whose, patient());
  ASSERT_TRUE(key.ok()) << key.error().text();
  EXPECT_EQ(nodes.last_said, whose.bytes());
  EXPECT_EQ(base::hex(key->reveal()),
            base::hex(ckd::application_key(*nodes.derive(whose.app_id(), {}, patient())).reveal()));
  master("registry");
  EXPECT_TRUE(nodes.last_said.empty());
}

TEST_F(ThresholdRootTest, AnAccountThatIsRefusedIsNoOutage) {
  EXPECT_NE(master("registry"), "");
  nodes.hook = [](base::ByteView) -> base::Status { return Error{Code::denied, "this account"}; };
  EXPECT_EQ(root.account_key({"other.near", ""}, patient()).error().code, Code::unavailable);
  EXPECT_TRUE(root.answers());
  nodes.hook = nodes_away;
  EXPECT_EQ(root.account_key({"other.near", ""}, patient()).error().code, Code::unavailable);
  EXPECT_FALSE(root.answers());
}

TEST_F(ThresholdRootTest, WhateverNodesHaveAgainstAnAccountIsNoOutage) {
  EXPECT_NE(master("registry"), "");
  // As nodes that know no accounts yet say it.
  nodes.hook = [](base::ByteView) -> base::Status { return Error{Code::malformed, "an application's request"}; };
  EXPECT_EQ(root.account_key({"other.near", ""}, patient()).error().code, Code::unavailable);
  EXPECT_TRUE(root.answers());
  EXPECT_THAT(told, ElementsAre("over"));
}

TEST_F(ThresholdRootTest, AccountsKeysAreNotKeptHereAndTakeNobodysPlace) {
  const ckd::AccountPath whose{"a.vaults.near", std::string(64, 'f')};
  for (const char* dialect : {"a", "b", "c"}) master(dialect);
  ASSERT_TRUE(root.account_key(whose, patient()).ok());
  EXPECT_EQ(nodes.asked, 4);
  for (const char* dialect : {"a", "b", "c"}) master(dialect);
  EXPECT_EQ(nodes.asked, 4) << "an app's is still there";
  ASSERT_TRUE(root.account_key(whose, patient()).ok());
  EXPECT_EQ(nodes.asked, 5) << "who has forgotten it asks the nodes, and they say whether it may have it still";
}

TEST_F(ThresholdRootTest, ASourceThatGivesAnotherSizeIsNotBelieved) {
  nodes.bytes = 32;
  EXPECT_THAT(master("registry"), HasSubstr("48 bytes"));
}

TEST_F(ThresholdRootTest, NodesThatWereAwayAreLeftAloneForAWhile) {
  nodes.hook = nodes_away;
  EXPECT_EQ(refusal("a"), Code::unavailable);
  EXPECT_EQ(refusal("b"), Code::unavailable);
  EXPECT_EQ(refusal("a"), Code::unavailable);
  EXPECT_EQ(nodes.asked, 1);
  clock.passed = milliseconds(1100);
  EXPECT_EQ(refusal("b"), Code::unavailable);
  EXPECT_EQ(nodes.asked, 2);
  nodes.hook = {};
  EXPECT_EQ(refusal("b"), Code::unavailable) << "the rest began anew";
  clock.passed = milliseconds(2200);
  EXPECT_EQ(master("b").size(), 64u);
  EXPECT_EQ(master("a").size(), 64u);
  EXPECT_THAT(told, ElementsAre("3 of 7 nodes answered", "over"));
}

TEST_F(ThresholdRootTest, OneRequestLooksWhetherAnOutageIsOverWhileOthersGoOn) {
  nodes.hook = nodes_away;
  EXPECT_EQ(refusal("a"), Code::unavailable);
  clock.passed = milliseconds(1100);
  std::promise<void> asked, answer;
  nodes.hook = [&](base::ByteView) -> base::Status {
    asked.set_value();
    answer.get_future().wait();
    return base::done();
  };
  std::thread looking{[&] { EXPECT_EQ(master("a").size(), 64u); }};
  asked.get_future().wait();
  for (const char* dialect : {"b", "c", "d"}) EXPECT_EQ(refusal(dialect), Code::unavailable);
  EXPECT_EQ(nodes.asked, 2);
  answer.set_value();
  looking.join();
}

TEST_F(ThresholdRootTest, WhoAsksForTheSameWaitsForOneAnswer) {
  std::promise<void> asked, answer;
  nodes.hook = [&](base::ByteView app_id) -> base::Status {
    if (base::equal(app_id, legacy_info("b"))) return base::done();
    asked.set_value();
    answer.get_future().wait();
    return base::done();
  };
  std::vector<std::thread> threads;
  std::vector<std::string> got(4);
  threads.emplace_back([&] { got[0] = master("a"); });
  asked.get_future().wait();
  for (std::size_t i = 1; i < got.size(); ++i) threads.emplace_back([&, i] { got[i] = master("a"); });
  // Another one's key does not wait for it.
  EXPECT_EQ(master("b").size(), 64u);
  answer.set_value();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(nodes.asked, 2);
  EXPECT_EQ(got[0].size(), 64u);
  for (const auto& one : got) EXPECT_EQ(one, got[0]);
}

TEST_F(ThresholdRootTest, WhoHasLittleTimeWaitsNoLongerAndSaysNothingOfTheNodes) {
  nodes.hook = [&](base::ByteView) -> base::Status {
    clock.passed = seconds(10);  // longer than this request has
    return nodes_away({});
  };
  const auto soon = clock.steady() + seconds(2);
  const auto hurried = root.legacy_master("a", soon);
  ASSERT_FALSE(hurried.ok());
  EXPECT_EQ(hurried.error().code, Code::unavailable);
  EXPECT_EQ(nodes.last_deadline, soon);
  EXPECT_TRUE(told.empty());
  nodes.hook = {};
  EXPECT_EQ(root.legacy_master("a", clock.steady() + seconds(2)).ok(), true) << "no rest";
  // Nobody waits longer than the patience, either.
  const auto before = clock.steady();
  ASSERT_TRUE(root.legacy_master("b", clock.steady() + seconds(600)).ok());
  EXPECT_LE(nodes.last_deadline, clock.steady() + seconds(5));
  EXPECT_GE(nodes.last_deadline, before + seconds(5));
}

TEST_F(ThresholdRootTest, ACheckAsksWhateverIsKeptAndEndsARest) {
  EXPECT_FALSE(root.answers()) << "nobody was asked yet";
  ASSERT_TRUE(root.check(patient()).ok());
  ASSERT_TRUE(root.check(patient()).ok());
  EXPECT_EQ(nodes.asked, 2);
  nodes.hook = nodes_away;
  EXPECT_EQ(root.check(patient()).error().code, Code::unavailable);
  EXPECT_FALSE(root.answers());
  EXPECT_EQ(refusal("a"), Code::unavailable);
  EXPECT_EQ(nodes.asked, 3);
  nodes.hook = {};
  ASSERT_TRUE(root.check(patient()).ok());
  EXPECT_EQ(master("a").size(), 64u);
  EXPECT_TRUE(root.answers());
  EXPECT_THAT(told, ElementsAre("over", "3 of 7 nodes answered", "over"));
}

}  // namespace
}  // namespace attestry::keys
