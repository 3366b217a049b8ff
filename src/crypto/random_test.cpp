#include "crypto/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/encoding.h"

namespace attestry::crypto {
namespace {

TEST(SystemRandom, DoesNotRepeat) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(seen.insert(base::hex(system_random().bytes<16>())).second);
  system_random().fill({});
  EXPECT_EQ(system_random().secret(20).size(), 20U);
}

TEST(SeededRandom, SameSeedSameBytesForEver) {
  SeededRandom a(base::as_bytes("seed"));
  SeededRandom b(base::as_bytes("seed"));
  EXPECT_EQ(a.bytes<100>(), b.bytes<100>());
  EXPECT_EQ(a.bytes<7>(), b.bytes<7>());
  // A change here would change every simulated machine's identity.
  SeededRandom c(base::as_bytes("attestry"));
  EXPECT_EQ(base::hex(c.bytes<40>()),
            "e871fd321428f516bb7d80bac0f5ab4946670813c846a28fe98e2ff5fe44236f6739194fff44140d");
}

TEST(SeededRandom, DifferentSeedsDiffer) {
  SeededRandom a(base::as_bytes("seed"));
  SeededRandom b(base::as_bytes("seed2"));
  EXPECT_NE(a.bytes<32>(), b.bytes<32>());
  EXPECT_NE(a.bytes<32>(), a.bytes<32>());
}

TEST(SeededRandom, ALongerCallBeginsLikeAShorterOne) {
  SeededRandom a(base::as_bytes("seed"));
  SeededRandom b(base::as_bytes("seed"));
  const auto longer = a.bytes<65>();
  const auto shorter = b.bytes<33>();
  EXPECT_TRUE(std::ranges::equal(std::span(longer).first(33), shorter));
}

}  // namespace
}  // namespace attestry::crypto
