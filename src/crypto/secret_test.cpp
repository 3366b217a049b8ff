#include "crypto/secret.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <type_traits>
#include <vector>

#include "crypto/internal/arena.h"

namespace attestry::crypto {
namespace {

static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);
static_assert(std::is_nothrow_move_constructible_v<Secret> && std::is_nothrow_move_assignable_v<Secret>);

base::Bytes bytes(std::size_t size, std::uint8_t first = 1) {
  base::Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(first + i);
  return out;
}

TEST(Secret, StartsZeroedAndHoldsWhatIsWritten) {
  Secret secret(48);
  EXPECT_THAT(secret.reveal(), testing::Each(0));
  std::ranges::copy(bytes(48), secret.writable().begin());
  EXPECT_THAT(secret.reveal(), testing::ElementsAreArray(bytes(48)));
}

TEST(Secret, AbsorbWipesItsSource) {
  base::Bytes source = bytes(32);
  const Secret secret = Secret::absorb(source);
  EXPECT_THAT(source, testing::Each(0));
  EXPECT_THAT(secret.reveal(), testing::ElementsAreArray(bytes(32)));
}

TEST(Secret, CloneIsASecondCopy) {
  Secret first = Secret::copy_of(bytes(16));
  const Secret second = first.clone();
  first.writable()[0] = 0xff;
  EXPECT_EQ(second.reveal()[0], 1);
}

TEST(Secret, MoveLeavesNothingBehind) {
  Secret first = Secret::copy_of(bytes(16));
  Secret second = std::move(first);
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): the state after a move is what is tested
  EXPECT_EQ(second.size(), 16U);
  Secret third = Secret::copy_of(bytes(5000));
  third = std::move(second);
  EXPECT_EQ(third.size(), 16U);
  Secret& alias = third;
  third = std::move(alias);
  EXPECT_EQ(third.size(), 16U);
}

TEST(Secret, EmptySecretsTakeNoMemory) {
  const std::size_t before = internal::arena_use().live;
  const Secret a;
  const Secret b(0);
  const Secret c = Secret::copy_of({});
  EXPECT_TRUE(a.empty() && b.empty() && c.empty() && c.reveal().empty());
  EXPECT_EQ(internal::arena_use().live, before);
}

TEST(Secret, DeadSecretsAreWipedBeforeTheirMemoryIsUsedAgain) {
  for (const std::size_t size : {1U, 32U, 33U, 100U, 4096U, 4097U, 70000U}) {
    {
      const Secret dead = Secret::copy_of(bytes(size, 0x80));
    }
    const Secret next(size);
    EXPECT_THAT(next.reveal(), testing::Each(0)) << size;
  }
}

TEST(Secret, ManySmallSecretsShareMemory) {
  const internal::ArenaUse before = internal::arena_use();
  std::vector<Secret> many;
  for (int i = 0; i < 2000; ++i) many.push_back(Secret::copy_of(bytes(32, static_cast<std::uint8_t>(i))));
  const internal::ArenaUse now = internal::arena_use();
  EXPECT_EQ(now.live, before.live + 2000);
  EXPECT_LE(now.pages - before.pages, 2U * 64 * 1024);
  for (int i = 0; i < 2000; ++i) {
    EXPECT_THAT(many[static_cast<std::size_t>(i)].reveal(),
                testing::ElementsAreArray(bytes(32, static_cast<std::uint8_t>(i))));
  }
  many.clear();
  EXPECT_EQ(internal::arena_use().live, before.live);
}

TEST(Secret, ThreadsMayMakeAndDropSecretsAtTheSameTime) {
  const std::size_t before = internal::arena_use().live;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (std::size_t i = 0; i < 500; ++i) {
        const auto mark = static_cast<std::uint8_t>(t * 50 + 1);
        const Secret mine = Secret::copy_of(base::Bytes(1 + i % 300, mark));
        ASSERT_TRUE(std::ranges::all_of(mine.reveal(), [&](std::uint8_t b) { return b == mark; }));
      }
    });
  }
  threads.clear();
  EXPECT_EQ(internal::arena_use().live, before);
}

TEST(EqualConstantTime, ComparesContentsAndSizes) {
  EXPECT_TRUE(equal_constant_time(bytes(32), bytes(32)));
  EXPECT_TRUE(equal_constant_time({}, {}));
  EXPECT_FALSE(equal_constant_time(bytes(32), bytes(31)));
  for (std::size_t i = 0; i < 32; ++i) {
    base::Bytes other = bytes(32);
    other[i] ^= 0x01;
    EXPECT_FALSE(equal_constant_time(bytes(32), other));
  }
}

TEST(Wipe, ClearsEverything) {
  base::Bytes data = bytes(100);
  wipe(data);
  EXPECT_THAT(data, testing::Each(0));
  wipe({});
}

}  // namespace
}  // namespace attestry::crypto
