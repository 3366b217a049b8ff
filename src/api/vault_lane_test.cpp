#include "api/vault_lane.h"

#include <gtest/gtest.h>

#include <latch>

namespace attestry::api {
namespace {

TEST(VaultLaneTest, OneClientTakesNotEveryPlace) {
  std::latch go_on{1};
  std::latch done{4};
  VaultLane lane{1, 16, 3};
  const auto task = [&] {
    go_on.wait();
    done.count_down();
  };
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(lane.run("a", task));
  EXPECT_FALSE(lane.run("a", task));
  EXPECT_TRUE(lane.run("b", task));
  go_on.count_down();
  done.wait();
}

TEST(VaultLaneTest, WhatIsDoneOrDroppedGivesItsPlaceBack) {
  VaultLane lane{1, 16, 1};
  for (int i = 0; i < 3; ++i) {
    std::latch done{1};
    // The place is free a moment after the task has ended.
    while (!lane.run("a", [&] { done.count_down(); })) {
    }
    done.wait();
  }
  lane.stop();
  EXPECT_FALSE(lane.run("a", [] {}));
  EXPECT_FALSE(lane.run("a", [] {}));
}

TEST(VaultLaneTest, NobodyIsTakenBeyondAllPlaces) {
  std::latch begun{1};
  std::latch go_on{1};
  VaultLane lane{1, 1, 8};
  ASSERT_TRUE(lane.run("a", [&] {
    begun.count_down();
    go_on.wait();
  }));
  begun.wait();
  EXPECT_TRUE(lane.run("b", [] {}));
  EXPECT_FALSE(lane.run("c", [] {}));
  go_on.count_down();
}

}  // namespace
}  // namespace attestry::api
