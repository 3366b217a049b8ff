#include "tracker/internal/tally.h"

#include <gtest/gtest.h>

#include <map>

#include "crypto/random.h"

namespace attestry::tracker::internal {
namespace {

TEST(Tally, CountsAsAMapDoes) {
  crypto::SeededRandom random{base::as_bytes("tally")};
  Tally tally{{1, 2}};
  std::map<std::uint64_t, std::uint16_t> model;
  for (int i = 0; i < 100'000; ++i) {
    const auto bytes = random.bytes<3>();
    const std::uint64_t owner = bytes[0] * 8U + bytes[1] % 8U;
    if (bytes[2] % 2 == 0) {
      const bool room = model[owner] < 5;
      EXPECT_EQ(tally.add(owner, 5), room);
      if (room) ++model[owner];
    } else {
      tally.remove(owner);
      if (model[owner] > 0) --model[owner];
    }
  }
  for (const auto& [owner, count] : model) EXPECT_EQ(tally.count(owner), count) << owner;
  EXPECT_TRUE(tally.add(5000, 0)) << "no limit";
  EXPECT_EQ(tally.count(5000), 0);
}

}  // namespace
}  // namespace attestry::tracker::internal
