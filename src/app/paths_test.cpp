#include "app/paths.h"

#include <gtest/gtest.h>

#include <fstream>

#include "state/testing/support.h"

namespace attestry::app {
namespace {

TEST(PathsTest, SaysWhatIsThere) {
  const state::testing::TempFolder folder;
  EXPECT_FALSE(present(folder.file("nothing")).value());
  std::ofstream{folder.file("something")} << "x";
  EXPECT_TRUE(present(folder.file("something")).value());
  EXPECT_FALSE(present(folder.file("something") + "/below").value_or(true));
}

TEST(PathsTest, WhatCannotBeToldIsAnErrorAndNoException) {
  // A name that no system takes stands for every reason: a folder that is closed to others is open to root.
  const auto unknown = present("/" + std::string(5000, 'x'));
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, base::Code::io);
  EXPECT_FALSE(unknown.error().found.empty());
}

}  // namespace
}  // namespace attestry::app
