#include "base/time.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace attestry::base {
namespace {

TEST(Time, WritesAndReadsKnownMoments) {
  const std::pair<std::int64_t, const char*> moments[] = {{0, "1970-01-01T00:00:00Z"},
                                                          {-1, "1969-12-31T23:59:59Z"},
                                                          {951'782'400, "2000-02-29T00:00:00Z"},
                                                          {1'709'251'199, "2024-02-29T23:59:59Z"},
                                                          {4'107'542'400, "2100-03-01T00:00:00Z"},
                                                          {-62'167'219'200, "0000-01-01T00:00:00Z"},
                                                          {253'402'300'799, "9999-12-31T23:59:59Z"}};
  for (const auto& [seconds, text] : moments) {
    EXPECT_EQ(to_rfc3339({seconds}), text);
    const auto read = parse_rfc3339(text);
    ASSERT_TRUE(read.ok()) << text;
    EXPECT_EQ(read->seconds, seconds) << text;
  }
}

TEST(Time, CutsAFractionOff) {
  EXPECT_EQ(parse_rfc3339("2026-11-21T11:43:52.9Z").value(), parse_rfc3339("2026-11-21T11:43:52Z").value());
  EXPECT_TRUE(parse_rfc3339("2026-11-21T11:43:52.000000000000Z").ok());
}

TEST(Time, RefusesEveryOtherForm) {
  for (const char* text : {"",
                           "Z",
                           "2026-11-21",
                           "2026-11-21T11:43:52",
                           "2026-11-21t11:43:52Z",
                           "2026-11-21T11:43:52z",
                           "2026-11-21 11:43:52Z",
                           "2026-11-21T11:43:52+00:00",
                           "2026-11-21T11:43:52.Z",
                           "2026-11-21T11:43:52.1",
                           "2026-11-21T11:43:52,1Z",
                           "2026-11-21T11:43Z",
                           "2026-11-21T11:43:52ZZ",
                           " 2026-11-21T11:43:52Z",
                           "2026-11-21T11:43:52Z ",
                           "2026-1-21T11:43:52Z",
                           "+2026-11-21T11:43:52Z",
                           "-026-11-21T11:43:52Z",
                           "20261121T114352Z",
                           "2026-11-21T11:43:5aZ",
                           "2026/11/21T11:43:52Z",
                           "2026-11-21T11:43:52.1aZ"}) {
    EXPECT_FALSE(parse_rfc3339(text).ok()) << text;
  }
}

TEST(Time, RefusesMomentsThatDoNotExist) {
  for (const char* text : {"2026-00-21T11:43:52Z", "2026-13-21T11:43:52Z", "2026-11-00T11:43:52Z",
                           "2026-11-31T11:43:52Z", "2026-02-29T11:43:52Z", "2100-02-29T11:43:52Z",
                           "2026-11-21T24:00:00Z", "2026-11-21T11:60:52Z", "2026-12-31T23:59:60Z"}) {
    EXPECT_FALSE(parse_rfc3339(text).ok()) << text;
  }
  EXPECT_TRUE(parse_rfc3339("2000-02-29T11:43:52Z").ok());
}

TEST(Time, OtherYearsAreShownAsTheNearest) {
  EXPECT_EQ(to_rfc3339({std::numeric_limits<std::int64_t>::max()}), "9999-12-31T23:59:59Z");
  EXPECT_EQ(to_rfc3339({std::numeric_limits<std::int64_t>::min()}), "0000-01-01T00:00:00Z");
}

TEST(Time, EveryDayFollowsTheOneBefore) {
  std::int64_t expected = from_civil(1999, 1, 1, 0, 0, 0).seconds;
  for (int day = 0; day < 4 * 366; ++day, expected += 86'400) {
    const std::string text = to_rfc3339({expected});
    ASSERT_EQ(parse_rfc3339(text).value().seconds, expected) << text;
  }
}

TEST(Time, EveryMomentSurvivesItsText) {
  std::mt19937_64 random{2};
  std::uniform_int_distribution<std::int64_t> any(-62'167'219'200, 253'402'300'799);
  for (int i = 0; i < 5000; ++i) {
    const UtcTime time{any(random)};
    ASSERT_EQ(parse_rfc3339(to_rfc3339(time)).value(), time) << time.seconds;
  }
}

TEST(Time, AddsSeconds) {
  EXPECT_EQ((UtcTime{10} + 5).seconds, 15);
  EXPECT_EQ((UtcTime{10} - 5).seconds, 5);
  EXPECT_LT(UtcTime{1}, UtcTime{2});
}

TEST(SystemClock, IsOneClockWhoseSteadyTimeNeverFalls) {
  const Clock& clock = system_clock();
  EXPECT_EQ(&clock, &system_clock());
  const auto before = clock.steady();
  EXPECT_GE(clock.steady(), before);
  EXPECT_TRUE(parse_rfc3339(to_rfc3339(clock.now())).ok());
}

}  // namespace
}  // namespace attestry::base
