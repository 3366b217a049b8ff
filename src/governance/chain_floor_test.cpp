#include "governance/chain_floor.h"

#include <gmock/gmock.h>

#include <future>
#include <thread>

#include "governance/testing/support.h"

namespace attestry::governance {
namespace {

using testing::House;
using testing::patient;

chain::BlockRef block(std::uint64_t number) {
  chain::BlockRef out{.number = number, .hash = {}, .time = {1'800'000'000 + static_cast<std::int64_t>(number)}};
  out.hash.fill(static_cast<std::uint8_t>(number));
  return out;
}

class ChainFloorTest : public ::testing::Test {
 protected:
  /// What another start would read, once it is `wanted`.
  void stored(const std::optional<chain::BlockRef>& wanted, std::uint64_t chain_id = 1) {
    while (*ChainFloor(*house.store, chain_id).stored() != wanted) std::this_thread::yield();
  }
  House house;
};

TEST_F(ChainFloorTest, NothingIsKnownAtFirst) { EXPECT_EQ(*ChainFloor(*house.store, 1).stored(), std::nullopt); }

TEST_F(ChainFloorTest, TheNewestBlockIsKept) {
  ChainFloor floor(*house.store, 1);
  for (std::uint64_t i = 1; i <= 50; ++i) floor.saw(block(i));
  stored(block(50));
}

TEST_F(ChainFloorTest, ItOutlivesWhoSawIt) {
  ChainFloor(*house.store, 1).saw(block(7));
  stored(block(7));
}

TEST_F(ChainFloorTest, ItNeverGoesBack) {
  ChainFloor floor(*house.store, 1);
  floor.saw(block(9));
  stored(block(9));
  floor.saw(block(5));
  // A write behind the other: the store keeps their order.
  ASSERT_TRUE(house.store->write_and_wait([](state::WriteTxn&) { return base::done(); }, patient()).ok());
  EXPECT_EQ(*floor.stored(), block(9));
}

TEST_F(ChainFloorTest, EveryChainHasItsOwn) {
  ChainFloor(*house.store, 1).saw(block(9));
  stored(block(9), 1);
  stored(std::nullopt, 2);
}

TEST_F(ChainFloorTest, ItIsForgottenWhenSomebodySaysSo) {
  ChainFloor floor(*house.store, 1);
  floor.saw(block(9));
  stored(block(9));
  ASSERT_TRUE(floor.forget(patient()).ok());
  EXPECT_EQ(*floor.stored(), std::nullopt);
  floor.saw(block(5));
  stored(block(5));
}

}  // namespace
}  // namespace attestry::governance
