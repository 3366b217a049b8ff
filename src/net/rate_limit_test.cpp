#include "net/rate_limit.h"

#include <gtest/gtest.h>

namespace attestry::net {
namespace {

using std::chrono::milliseconds;

constexpr base::Deadline kStart{std::chrono::hours{1}};

/// Of `tries` requests at that moment, how many may go on.
int taken(RateLimiter& limiter, std::string_view address, base::Deadline at, int tries = 100) {
  int count = 0;
  for (int i = 0; i < tries; ++i) count += limiter.take(limiter.network_of(address).value(), at) ? 0 : 1;
  return count;
}

TEST(RateLimiter, ABurstThenTheRate) {
  auto limiter = RateLimiter::make({.requests_per_second = 10, .burst = 5}).value();
  EXPECT_EQ(taken(limiter, "192.0.2.1", kStart), 5);
  EXPECT_EQ(taken(limiter, "192.0.2.1", kStart + milliseconds{99}), 0);
  EXPECT_EQ(taken(limiter, "192.0.2.1", kStart + milliseconds{100}), 1);
  EXPECT_EQ(taken(limiter, "192.0.2.1", kStart + milliseconds{1000}), 5);
  EXPECT_EQ(taken(limiter, "192.0.2.1", kStart + std::chrono::hours{1}), 5);  // a rest saves up one burst, no more
}

TEST(RateLimiter, AnHoursRateIsSlowerThanOneASecond) {
  auto limiter = RateLimiter::make({.requests_per_hour = 4, .burst = 4}).value();
  const auto who = limiter.network_of("192.0.2.1").value();
  EXPECT_EQ(taken(limiter, "192.0.2.1", kStart), 4);  // all of them at once, if he likes
  EXPECT_EQ(limiter.take(who, kStart), 900u);
  EXPECT_EQ(taken(limiter, "192.0.2.1", kStart + std::chrono::seconds{899}), 0);
  EXPECT_EQ(taken(limiter, "192.0.2.1", kStart + std::chrono::seconds{900}), 1);
  EXPECT_EQ(taken(limiter, "192.0.2.1", kStart + std::chrono::hours{2}), 4);
  EXPECT_EQ(taken(limiter, "192.0.2.2", kStart), 4);
  // Who says both means the first.
  auto faster = RateLimiter::make({.requests_per_second = 1, .requests_per_hour = 1, .burst = 1}).value();
  EXPECT_EQ(taken(faster, "192.0.2.1", kStart), 1);
  EXPECT_EQ(taken(faster, "192.0.2.1", kStart + milliseconds{1000}), 1);
}

TEST(RateLimiter, SaysWhenToComeBack) {
  auto limiter = RateLimiter::make({.requests_per_second = 1, .burst = 1}).value();
  const auto who = limiter.network_of("192.0.2.1").value();
  EXPECT_EQ(limiter.take(who, kStart), std::nullopt);
  EXPECT_EQ(limiter.take(who, kStart), 1u);
  EXPECT_EQ(limiter.take(who, kStart + milliseconds{999}), 1u);
  EXPECT_EQ(limiter.take(who, kStart + milliseconds{1000}), std::nullopt);
}

TEST(RateLimiter, ARefusalCostsNothing) {
  auto limiter = RateLimiter::make({.requests_per_second = 1, .burst = 1}).value();
  EXPECT_EQ(taken(limiter, "192.0.2.1", kStart, 1000), 1);
  EXPECT_EQ(taken(limiter, "192.0.2.1", kStart + milliseconds{1000}), 1);
}

TEST(RateLimiter, EveryAddressHasItsOwn) {
  auto limiter = RateLimiter::make({.requests_per_second = 1, .burst = 2}).value();
  for (const char* who : {"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1"})
    EXPECT_EQ(taken(limiter, who, kStart), 2) << who;
}

TEST(RateLimiter, ANetworkOf64BitsIsOneClient) {
  auto limiter = RateLimiter::make({.requests_per_second = 1, .burst = 2}).value();
  EXPECT_EQ(taken(limiter, "2001:db8::1", kStart), 2);
  EXPECT_EQ(taken(limiter, "2001:db8::ffff:2", kStart), 0);
  EXPECT_EQ(taken(limiter, "192.0.2.1", kStart), 2);
  EXPECT_EQ(taken(limiter, "::ffff:192.0.2.1", kStart), 0);  // the same client on a socket of the other kind
}

TEST(RateLimiter, Exemptions) {
  const auto limiter = RateLimiter::make({.requests_per_second = 1,
                                          .burst = 1,
                                          .exempt = {"127.0.0.0/8", "::1", "198.51.100.128/25", "2001:db8::/33"}})
                           .value();
  for (const char* free : {"127.0.0.1", "127.255.0.9", "::1", "198.51.100.129", "2001:db8:7fff::1", "::ffff:127.0.0.1"})
    EXPECT_FALSE(limiter.network_of(free)) << free;
  for (const char* counted : {"128.0.0.1", "::2", "198.51.100.127", "2001:db8:8000::1", "127::1"})
    EXPECT_TRUE(limiter.network_of(counted)) << counted;
  EXPECT_FALSE(limiter.network_of("unix"));
  EXPECT_FALSE(RateLimiter::make({}).value().network_of("192.0.2.1"));  // no limit
}

TEST(RateLimiter, RefusesWhatIsNoNetwork) {
  for (const char* bad : {"", "localhost", "127.0.0.1/33", "::1/129", "127.0.0.1/", "127.0.0.1/x", "127.0.0.1/8 ",
                          "127.0.0/8", "127.0.0.1/-1", "10.0.0.0:80"}) {
    const auto made = RateLimiter::make({.requests_per_second = 1, .burst = 1, .exempt = {bad}});
    ASSERT_FALSE(made) << bad;
    EXPECT_EQ(made.error().code, base::Code::configuration);
  }
}

TEST(RateLimiter, RemembersABoundedNumberOfAddresses) {
  auto limiter = RateLimiter::make({.requests_per_second = 1, .burst = 1, .addresses = 3}).value();
  for (const char* who : {"192.0.2.1", "192.0.2.2", "192.0.2.3"}) EXPECT_EQ(taken(limiter, who, kStart), 1);
  EXPECT_EQ(taken(limiter, "192.0.2.1", kStart), 0);  // now the last seen
  EXPECT_EQ(taken(limiter, "192.0.2.4", kStart), 1);  // in the place of .2
  EXPECT_EQ(limiter.size(), 3u);
  EXPECT_EQ(taken(limiter, "192.0.2.1", kStart), 0);
  EXPECT_EQ(taken(limiter, "192.0.2.3", kStart), 0);
  EXPECT_EQ(taken(limiter, "192.0.2.2", kStart), 1);
  EXPECT_EQ(limiter.size(), 3u);
}

}  // namespace
}  // namespace attestry::net
