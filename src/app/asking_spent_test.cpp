#include "app/asking_spent.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>
#include <memory>
#include <thread>

namespace attestry::app {
namespace {

using tracker::InstanceId;
using tracker::SpentAuthority;
using tracker::SpentClaim;
using Granted = base::Result<std::vector<bool>>;

/// Holds up who claims for `slow` until it is let go.
class Slow final : public SpentAuthority {
 public:
  void claim(const InstanceId& owner, std::vector<SpentClaim> claims, Answer answer) override {
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
  AskingSpent asking{slow};
  std::promise<Granted> late, early;
  asking.claim(slow.slow, {{}, {}}, [&](Granted granted) { late.set_value(std::move(granted)); });
  slow.begun.get_future().wait();
  asking.claim({2}, {{}}, [&](Granted granted) { early.set_value(std::move(granted)); });
  EXPECT_EQ(*early.get_future().get(), (std::vector<bool>{true}));
  slow.go.set_value();
  EXPECT_EQ(*late.get_future().get(), (std::vector<bool>{true, true}));
}

/// Answers nobody until it is let go.
class Mute final : public SpentAuthority {
 public:
  void claim(const InstanceId&, std::vector<SpentClaim>, Answer answer) override {
    if (++begun == AskingSpent::kThreads) all_begun.count_down();
    going.wait();
    answer(std::vector<bool>{});
  }
  std::atomic<std::size_t> begun = 0;
  std::latch all_begun{1};
  std::promise<void> go;
  std::shared_future<void> going = go.get_future().share();
};

TEST(AskingSpent, TooManyThatWaitIsAnOutage) {
  Mute mute;
  std::atomic<std::size_t> refused = 0;
  AskingSpent asking{mute};
  const std::size_t most = AskingSpent::kMostWaiting + AskingSpent::kThreads;
  for (std::size_t i = 0; i < most + 1; ++i) {
    asking.claim({2}, {}, [&](const Granted& granted) {
      if (!granted && granted.error().code == base::Code::unavailable) ++refused;
    });
  }
  EXPECT_GE(refused, 1U);
  EXPECT_LE(refused, 1U + AskingSpent::kThreads) << "as many as had not begun yet";
  mute.go.set_value();
}

TEST(AskingSpent, WhatWaitsAtTheEndIsDropped) {
  Mute mute;
  auto held = std::make_shared<int>(0);
  const std::weak_ptr<int> seen = held;
  AskingSpent asking{mute};
  std::atomic<std::size_t> answered = 0;
  for (std::size_t i = 0; i < AskingSpent::kThreads; ++i) asking.claim({2}, {}, [&](const Granted&) { ++answered; });
  mute.all_begun.wait();
  asking.claim({2}, {}, [&, held = std::move(held)](const Granted&) { ++answered; });
  auto stopped = std::async(std::launch::async, [&] { asking.stop(); });
  while (!seen.expired()) std::this_thread::yield();  // dropped while the others still wait
  mute.go.set_value();
  stopped.wait();
  EXPECT_EQ(answered, AskingSpent::kThreads);
}

}  // namespace
}  // namespace attestry::app
