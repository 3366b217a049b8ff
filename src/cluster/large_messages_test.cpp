#include "cluster/large_messages.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>

namespace attestry::cluster {
namespace {

base::FixedBytes<32> node(std::uint8_t number) {
  base::FixedBytes<32> out{};
  out[0] = number;
  return out;
}

class LargeMessagesTest : public ::testing::Test {
 protected:
  auto now(std::uint8_t number, bool is_member) {
    return messages.wait(node(number), is_member, std::chrono::steady_clock::now());
  }
  LargeMessages messages;
};

TEST_F(LargeMessagesTest, AreFewAtATime) {
  auto one = now(1, true), two = now(2, true);
  ASSERT_TRUE(one.ok() && two.ok());
  const auto third = now(3, true);
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().code, base::Code::unavailable);
  const auto stranger = now(4, false);
  EXPECT_TRUE(stranger.ok()) << "strangers are not in the way of members, nor these in theirs";
  EXPECT_FALSE(now(5, false).ok());
  *one = nullptr;
  EXPECT_TRUE(now(3, true).ok());
}

TEST_F(LargeMessagesTest, OneNodeSendsOneAtATime) {
  auto one = now(1, true);
  EXPECT_FALSE(now(1, true).ok());
  EXPECT_TRUE(now(2, true).ok());
}

TEST_F(LargeMessagesTest, WhoeverWaitsIsNext) {
  auto one = now(1, true);
  auto waiting = std::async(std::launch::async, [&] {
    return messages.wait(node(1), true, std::chrono::steady_clock::now() + std::chrono::seconds(30)).ok();
  });
  *one = nullptr;
  EXPECT_TRUE(waiting.get());
}

}  // namespace
}  // namespace attestry::cluster
