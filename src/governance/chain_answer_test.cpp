#include "governance/chain_answer.h"

#include <gtest/gtest.h>

#include "governance/testing/kms_chain.h"

namespace attestry::governance {
namespace {

using base::Code;

TEST(ChainAnswer, CountsForTwoBlocksOrFiveSeconds) {
  testing::KmsChain chain;  // at block 100
  const base::Deadline asked = base::Deadline{} + std::chrono::hours(1);
  const auto long_after = asked + kMaxAnswerAge + std::chrono::milliseconds(1);
  EXPECT_TRUE(answer_counts({.block = 98, .when = asked}, chain, long_after).ok());
  EXPECT_TRUE(answer_counts({.block = 90, .when = asked}, chain, asked + kMaxAnswerAge).ok());
  EXPECT_EQ(answer_counts({.block = 97, .when = asked}, chain, long_after).error().code, Code::conflict);
}

TEST(ChainAnswer, CountsForNothingWhereTheHeadIsNotKnown) {
  testing::KmsChain chain;
  chain.away = true;
  EXPECT_EQ(answer_counts({.block = 100, .when = {}}, chain, {}).error().code, Code::unavailable);
}

TEST(ChainAnswer, NamesItsBlock) {
  chain::BlockRef block{.number = 7};
  block.hash[0] = 0xab;
  EXPECT_EQ(block_snapshot(1, block), "evm:1@7:0xab" + std::string(62, '0'));
}

}  // namespace
}  // namespace attestry::governance
