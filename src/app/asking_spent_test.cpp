#include "app/asking_spent.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "state/testing/support.h"

namespace attestry::app {
namespace {

using tracker::InstanceId;
using tracker::SpentAuthority;
using tracker::SpentClaim;
using Granted = base::Result<std::vector<bool>>;

/// Holds up who claims for `slow` until it is let go.
class Slow final : public SpentAuthority {
 public:
  void claim(const InstanceId& owner, std::vector<SpentClaim> claims, std::string_view, Answer answer) override {
    if (owner == slow) {
      begun.set_value();
      go.get_future().wait();
    }
    answer(std::vector<bool>(claims.size(), true));
  }
  InstanceId slow{1};
  std::promise<void> begun, go;
};

TEST(AskingSpent, AClaimThatTakesLongHoldsUpNobody) {
  Slow slow;
  const state::testing::ManualClock clock{{}};
  AskingSpent asking{slow, clock};
  std::promise<Granted> late, early;
  asking.claim(slow.slow, {{}, {}}, "a", [&](Granted granted) { late.set_value(std::move(granted)); });
  slow.begun.get_future().wait();
  asking.claim({2}, {{}}, "a", [&](Granted granted) { early.set_value(std::move(granted)); });
  EXPECT_EQ(*early.get_future().get(), (std::vector<bool>{true}));
  slow.go.set_value();
  EXPECT_EQ(*late.get_future().get(), (std::vector<bool>{true, true}));
}

/// Answers nobody until it is let go.
class Mute final : public SpentAuthority {
 public:
  void claim(const InstanceId&, std::vector<SpentClaim>, std::string_view, Answer answer) override {
    if (++begun == AskingSpent::kThreads) all_begun.count_down();
    going.wait();
    answer(std::vector<bool>{});
  }
  std::atomic<std::size_t> begun = 0;
  std::latch all_begun{1};
  std::promise<void> go;
  std::shared_future<void> going = go.get_future().share();
};

/// The authority of `kThreads` claims that are under way, so that all others wait.
class AskingSpentTest : public ::testing::Test {
 protected:
  AskingSpentTest() {
    for (std::size_t i = 0; i < AskingSpent::kThreads; ++i) EXPECT_FALSE(refused(i % 2 == 0 ? "x" : "y"));
    mute.all_begun.wait();
  }
  ~AskingSpentTest() override {
    if (!gone) mute.go.set_value();
  }
  /// Whether a claim was refused before claim() returned. Counts those that are answered.
  bool refused(std::string_view customer) {
    const std::size_t before = unavailable;
    asking.claim({2}, {}, customer, [this](const Granted& granted) {
      const bool away = !granted && granted.error().code == base::Code::unavailable;
      ++(away ? unavailable : granted_);
    });
    return unavailable > before;
  }
  void go() {
    gone = true;
    mute.go.set_value();
  }
  Mute mute;
  bool gone = false;
  std::atomic<std::size_t> unavailable = 0, granted_ = 0;
  state::testing::ManualClock clock{{}};
  AskingSpent asking{mute, clock};
};

TEST_F(AskingSpentTest, OneCustomerTakesNoOthersPlace) {
  for (std::size_t i = 0; i < AskingSpent::kMostWaitingOfOne; ++i) EXPECT_FALSE(refused("a"));
  EXPECT_TRUE(refused("a"));
  EXPECT_FALSE(refused("b"));
  // A few who have all that they may leave room for who has none.
  for (std::size_t i = 0; i < AskingSpent::kMostWaiting; ++i) refused("c" + std::to_string(i % 8));
  const std::size_t before = unavailable;
  asking.claim({2}, {}, "d", [](const Granted&) {});
  EXPECT_EQ(unavailable, before + 1) << "somebody's last one made room for it, and was told so";
  go();
}

TEST_F(AskingSpentTest, WhatHasWaitedTooLongIsNotAsked) {
  EXPECT_FALSE(refused("a"));
  clock.pass(AskingSpent::kPatience.count() + 1);
  go();
  while (unavailable + granted_ < AskingSpent::kThreads + 1) std::this_thread::yield();
  EXPECT_EQ(granted_, AskingSpent::kThreads);
}

TEST_F(AskingSpentTest, WhatWaitsAtTheEndIsAnswered) {
  EXPECT_FALSE(refused("a"));
  auto stopped = std::async(std::launch::async, [&] { asking.stop(); });
  while (unavailable == 0) std::this_thread::yield();  // while the others are still under way
  go();
  stopped.wait();
  EXPECT_EQ(granted_, AskingSpent::kThreads);
}

}  // namespace
}  // namespace attestry::app
