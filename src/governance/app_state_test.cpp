#include "governance/app_state.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace attestry::governance {
namespace {

using base::Code;

base::Result<AppState> decoded(const std::string& hex) {
  return decode_app_state(base::hex_decode(hex).value(), base::Tenant::standard(), *base::AppRef::parse("name:web"));
}

// version, seq, no prev; threshold 2 and nothing approved.
const std::string kFront = "0000000000000005000000000000000400000000";
const std::string kRest = "0000000200000000000000000000000000000000";

TEST(AppState, OfTheFirstVersionOnlyThePresentEpochsKeysAreGivenOut) {
  const auto state = decoded("01" + kFront + "00000003" + kRest);
  ASSERT_TRUE(state.ok()) << state.error().text();
  EXPECT_EQ(state->version, 5u);
  EXPECT_EQ(state->seq, 4u);
  EXPECT_EQ(state->epoch, 3u);
  EXPECT_EQ(state->oldest_epoch, 3u);
  EXPECT_EQ(state->threshold, 2u);
}

TEST(AppState, OfThisVersionSaysItself) {
  const std::string stored = "02" + kFront + "0000000300000001" + kRest;
  const auto state = decoded(stored);
  ASSERT_TRUE(state.ok()) << state.error().text();
  EXPECT_EQ(state->epoch, 3u);
  EXPECT_EQ(state->oldest_epoch, 1u);
  EXPECT_EQ(base::hex(encode_app_state(*state)), stored);
}

TEST(AppState, WhatCannotBeIsCorrupt) {
  EXPECT_EQ(decoded("02" + kFront + "0000000300000004" + kRest).error().code, Code::corrupt);
  EXPECT_EQ(decoded("03" + kFront + "0000000300000001" + kRest).error().code, Code::corrupt);
  EXPECT_FALSE(decoded("01" + kFront + "0000000300000001" + kRest).ok());
  EXPECT_FALSE(decoded("").ok());
}

}  // namespace
}  // namespace attestry::governance
