#include "api/fair_lane.h"

#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>

namespace attestry::api {
namespace {

/// A task that runs until it is let go.
struct Held {
  std::promise<void> begun, go;
  FairLane::Task task() {
    return [this] {
      begun.set_value();
      go.get_future().wait();
    };
  }
};

bool run(FairLane& lane, std::string_view customer, std::function<void()> work) {
  FairLane::Task task = std::move(work);
  return lane.run(customer, task);
}

TEST(FairLane, WhoHoldsAllHeMayLeavesThreadsForOthers) {
  Held first, second;
  FairLane lane({.threads = 3, .threads_of_one = 2});
  for (Held* held : {&first, &second}) {
    auto task = held->task();
    ASSERT_TRUE(lane.run("a", task));
  }
  first.begun.get_future().wait();
  second.begun.get_future().wait();
  std::promise<void> third;
  ASSERT_TRUE(run(lane, "a", [&] { third.set_value(); }));
  std::promise<void> other;
  ASSERT_TRUE(run(lane, "b", [&] { other.set_value(); }));
  other.get_future().wait();  // for ever, had the third of "a" or the two taken its thread
  auto later = third.get_future();
  EXPECT_EQ(later.wait_for(std::chrono::seconds{0}), std::future_status::timeout);
  first.go.set_value();
  later.wait();
  second.go.set_value();
}

TEST(FairLane, QueuesTakeTurns) {
  Held held;
  std::string order;
  std::promise<void> end;
  FairLane lane({.threads = 1, .threads_of_one = 1});
  auto task = held.task();
  ASSERT_TRUE(lane.run("a", task));
  held.begun.get_future().wait();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(run(lane, "a", [&] { order += 'a'; }));
  ASSERT_TRUE(run(lane, "b", [&] { order += 'b'; }));
  ASSERT_TRUE(run(lane, "c", [&] { order += 'c'; }));
  ASSERT_TRUE(run(lane, "a", [&] { end.set_value(); }));
  held.go.set_value();
  end.get_future().wait();
  EXPECT_EQ(order, "bcaaa");
}

TEST(FairLane, ThePlacesOfOneAndOfAllAreBounded) {
  Held held;
  FairLane lane({.threads = 1, .threads_of_one = 1, .waiting = 3, .waiting_of_one = 2});
  auto task = held.task();
  ASSERT_TRUE(lane.run("a", task));
  held.begun.get_future().wait();
  const auto nothing = [] {};
  EXPECT_TRUE(run(lane, "a", nothing));
  EXPECT_TRUE(run(lane, "a", nothing));
  FairLane::Task refused = nothing;
  EXPECT_FALSE(lane.run("a", refused));
  EXPECT_TRUE(refused) << "it is still the caller's";
  EXPECT_TRUE(run(lane, "b", nothing));
  EXPECT_FALSE(run(lane, "c", nothing));
  held.go.set_value();
}

TEST(FairLane, WhatWaitsAtTheEndIsDropped) {
  auto alive = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = alive;
  bool ran = false;
  {
    Held held;
    auto lane = std::make_unique<FairLane>(FairLaneOptions{.threads = 1, .threads_of_one = 1});
    auto task = held.task();
    ASSERT_TRUE(lane->run("a", task));
    held.begun.get_future().wait();
    ASSERT_TRUE(run(*lane, "b", [&ran, alive = std::move(alive)] { ran = true; }));
    std::thread ends{[&] { lane.reset(); }};
    while (!seen.expired()) std::this_thread::yield();  // dropped while the first still runs
    held.go.set_value();
    ends.join();
  }
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace attestry::api
