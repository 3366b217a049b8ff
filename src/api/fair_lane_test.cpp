#include "api/fair_lane.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
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

TEST(FairLane, AFewCustomersCloseItToNobody) {
  struct Says {
    std::string name;
    std::string* dropped;
    ~Says() { *dropped += name; }
  };
  std::string order, dropped;
  std::promise<void> end;
  Held held;
  FairLane lane({.threads = 1, .threads_of_one = 1, .waiting = 4, .waiting_of_one = 3, .share_places = true});
  auto task = held.task();
  ASSERT_TRUE(lane.run("x", task));
  held.begun.get_future().wait();
  const auto wait = [&](const std::string& customer, const std::string& name) {
    return run(lane, customer, [&, says = std::make_shared<Says>(name, &dropped)] {
      order += says->name;
      says->name.clear();
    });
  };
  EXPECT_TRUE(wait("a", "1"));
  EXPECT_TRUE(wait("a", "2"));
  EXPECT_TRUE(wait("a", "3"));
  EXPECT_TRUE(wait("b", "4"));
  EXPECT_FALSE(wait("a", "5")) << "who has the most gets no more";
  EXPECT_EQ(dropped, "5");
  EXPECT_TRUE(wait("c", "6"));
  EXPECT_EQ(dropped, "53") << "the last of who has the most";
  EXPECT_TRUE(wait("d", "7"));
  EXPECT_EQ(dropped, "532");
  EXPECT_FALSE(wait("e", "8")) << "nobody loses his only place";
  EXPECT_FALSE(wait("b", "9"));
  held.go.set_value();
  while (!run(lane, "x", [&] { end.set_value(); })) std::this_thread::yield();
  end.get_future().wait();
  lane.stop();
  EXPECT_TRUE(order.starts_with("146")) << order;
}

TEST(FairLane, WhatIsDoneGivesItsPlaceBackAndAfterTheEndNothingIsTaken) {
  FairLane lane({.threads = 1, .threads_of_one = 1, .waiting = 1, .waiting_of_one = 1});
  for (int i = 0; i < 100; ++i) {
    std::promise<void> done;
    ASSERT_TRUE(run(lane, "a", [&] { done.set_value(); }));
    done.get_future().wait();
  }
  lane.stop();
  EXPECT_FALSE(run(lane, "a", [] {}));
}

TEST(FairLane, ItsThreadsYieldToOthersAsSaid) {
  const int mine = ::getpriority(PRIO_PROCESS, 0);
  for (const int niceness : {0, 7}) {
    FairLane lane({.threads = 1, .threads_of_one = 1, .niceness = niceness});
    std::promise<int> priority;
    ASSERT_TRUE(run(lane, "a", [&] { priority.set_value(::getpriority(PRIO_PROCESS, 0)); }));
    EXPECT_EQ(priority.get_future().get(), std::min(mine + niceness, 19));
  }
  EXPECT_EQ(::getpriority(PRIO_PROCESS, 0), mine);
}

/// Until the calling thread has had `time` of the processor.
void compute(std::chrono::milliseconds time) {
  const auto taken = [] {
    timespec out{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &out);
    return std::chrono::seconds{out.tv_sec} + std::chrono::nanoseconds{out.tv_nsec};
  };
  const auto until = taken() + time;
  while (taken() < until) {
  }
}

std::thread::id thread_of_a_task(FairLane& lane, std::string_view customer, std::chrono::milliseconds work = {}) {
  std::promise<std::thread::id> thread;
  EXPECT_TRUE(run(lane, customer, [&] {
    compute(work);
    thread.set_value(std::this_thread::get_id());
  }));
  return thread.get_future().get();
}

constexpr FairLaneOptions kOneAndOne{.threads = 1, .threads_of_one = 1, .resting_threads = 1};

TEST(FairLane, WhoTakesMuchIsServedApart) {
  constexpr std::chrono::milliseconds kMuch{200}, kLittle{5};
  FairLane lane(kOneAndOne);
  const auto usual = thread_of_a_task(lane, "a", kMuch);  // nobody knows before
  EXPECT_EQ(thread_of_a_task(lane, "b", kLittle), usual);
  EXPECT_NE(thread_of_a_task(lane, "a"), usual);
  EXPECT_EQ(thread_of_a_task(lane, "b", kLittle), usual);
  int many = 0;
  while (many < 100 && thread_of_a_task(lane, "c", std::chrono::milliseconds{40}) == usual) ++many;
  EXPECT_GE(many, 2) << "each of them is little";
  EXPECT_LT(many, 100) << "many little ones are much, too";
  std::promise<void> never;
  while (thread_of_a_task(lane, "a") != usual) {  // for ever, were nothing forgiven
    never.get_future().wait_for(std::chrono::milliseconds{20});
    never = {};
  }
  FairLane alike({.threads = 1, .threads_of_one = 1});
  EXPECT_EQ(thread_of_a_task(alike, "a", kMuch), thread_of_a_task(alike, "a"));
}

TEST(FairLane, WhoTakesMuchRestsWhileOthersWork) {
  constexpr std::chrono::milliseconds kMuch{200}, kLittle{5};
  FairLane lane(kOneAndOne);
  const auto usual = thread_of_a_task(lane, "a", kMuch);
  std::atomic<bool> over = false;
  std::thread busy{[&] {
    while (!over) {
    }
  }};
  EXPECT_NE(thread_of_a_task(lane, "a"), usual);  // what was worked until then was another thread's
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_NE(thread_of_a_task(lane, "a", kLittle), usual);
  EXPECT_NE(thread_of_a_task(lane, "a"), usual);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 10 * kLittle) << "the work, and nine times as long a rest";
  over = true;
  busy.join();
}

TEST(FairLane, ManyCustomersWhoComeAndGoAreNotKept) {
  FairLane lane(kOneAndOne);
  const auto usual = thread_of_a_task(lane, "first");
  for (int i = 0; i < 10'000; ++i) EXPECT_EQ(thread_of_a_task(lane, std::to_string(i)), usual);
  EXPECT_LT(lane.customers(), 1000U);
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
