#include "collateral/internal/host_gates.h"

#include <gtest/gtest.h>

#include "collateral/internal/get_document.h"
#include "state/testing/support.h"

namespace attestry::collateral::internal {
namespace {

using base::Code;
using state::testing::ManualClock;
using std::chrono::seconds;

const base::UtcTime kNoon = base::from_civil(2026, 6, 15, 12, 0, 0);
const Origin kVcek{"kds.test", true};
const Origin kChain{"kds.test", false};
const base::Error kAway{Code::unavailable, "no route"};

class Gates : public ::testing::Test {
 protected:
  bool open(const Origin& origin) const { return gates_.state(origin).opens <= clock_.steady(); }
  void fetch(const Origin& origin) {
    gates_.begin(origin);
    gates_.succeeded(origin);
  }
  void fail(const Origin& origin, const Trouble& trouble) {
    gates_.begin(origin);
    gates_.failed(origin, trouble, kAway);
  }

  ManualClock clock_{kNoon};
  crypto::SeededRandom random_{base::as_bytes("gates")};
  HostGates gates_{
      {.scarce_seconds = 10, .scarce_burst = 2, .failure_seconds = 4, .max_failure_seconds = 60}, clock_, random_};
};

TEST_F(Gates, ABucketIsForWhatIsScarceAlone) {
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(open(kVcek)) << i;
    fetch(kVcek);
  }
  EXPECT_FALSE(open(kVcek)) << "the burst is used up";
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(open(kChain));
    fetch(kChain);
  }
  clock_.pass(9);
  EXPECT_FALSE(open(kVcek));
  clock_.pass(1);
  EXPECT_TRUE(open(kVcek));
  fetch(kVcek);
  EXPECT_FALSE(open(kVcek));
  clock_.pass(1000);
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(open(kVcek)) << "after a rest no more than the burst";
    fetch(kVcek);
  }
  EXPECT_FALSE(open(kVcek));
}

TEST_F(Gates, ABucketForTheRestKeepsAQuarterForRefreshes) {
  HostGates gates{{.scarce_seconds = 0, .fetches_per_minute = 8}, clock_, random_};
  const auto open_for = [&](bool refresh) { return gates.state(kChain, refresh).opens <= clock_.steady(); };
  const auto take = [&] {
    gates.begin(kChain);
    gates.succeeded(kChain);
  };
  for (int i = 0; i < 6; ++i) {
    EXPECT_TRUE(open_for(false)) << i;
    take();
  }
  EXPECT_FALSE(open_for(false));
  EXPECT_EQ(gates.turn(kChain, 1), clock_.steady() + seconds(15));
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(open_for(true)) << i;
    take();
  }
  EXPECT_FALSE(open_for(true));
  EXPECT_LE(gates.state(kVcek).opens, clock_.steady()) << "which has a bucket of its own";
  clock_.pass(8);
  EXPECT_TRUE(open_for(true));
  EXPECT_FALSE(open_for(false));
  clock_.pass(15);
  EXPECT_TRUE(open_for(false));
}

TEST_F(Gates, KnowWhenTheTurnOfAPlaceInTheQueueComes) {
  const auto now = clock_.steady();
  EXPECT_EQ(gates_.turn(kVcek, 0), now);
  EXPECT_EQ(gates_.turn(kVcek, 1), now) << "the burst";
  EXPECT_EQ(gates_.turn(kVcek, 2), now + seconds(10));
  fetch(kVcek);
  fetch(kVcek);
  EXPECT_EQ(gates_.turn(kVcek, 0), now + seconds(10));
  EXPECT_EQ(gates_.turn(kVcek, 5), now + seconds(60));
  EXPECT_EQ(gates_.turn(kChain, 500), now);
}

TEST_F(Gates, RetryAfterClosesWhatItWasSaidTo) {
  fail(kVcek, {.throttled = true, .away = false, .retry_after = "30"});
  EXPECT_TRUE(open(kChain)) << "chains and lists do not starve";
  EXPECT_FALSE(open(kVcek));
  clock_.pass(30);
  EXPECT_TRUE(open(kVcek));
  fail(kChain, {.throttled = true, .away = false, .retry_after = "Mon, 15 Jun 2026 12:01:00 GMT"});
  EXPECT_FALSE(open(kVcek)) << "the host wants to be left alone";
  EXPECT_FALSE(gates_.state(kChain).away.has_value()) << "and is not away";
  clock_.pass(29);
  EXPECT_FALSE(open(kChain));
  clock_.pass(1);
  EXPECT_TRUE(open(kChain));
}

TEST_F(Gates, AHostCannotCloseItselfForEver) {
  fail(kChain, {.throttled = true, .away = false, .retry_after = "99999999999"});
  clock_.pass(GateOptions{}.max_retry_after);
  EXPECT_TRUE(open(kChain));
  fail(kChain, {.throttled = true, .away = false, .retry_after = "soon"});
  EXPECT_FALSE(open(kChain));
  clock_.pass(10);
  EXPECT_TRUE(open(kChain)) << "what cannot be read counts as none";
}

TEST_F(Gates, ADeadHostIsLeftAloneLongerAndLonger) {
  std::int64_t longest = 4;
  for (int i = 0; i < 8; ++i) {
    fail(kChain, {.throttled = false, .away = true, .retry_after = {}});
    const auto state = gates_.state(kChain);
    ASSERT_TRUE(state.away.has_value());
    EXPECT_GE(state.opens - clock_.steady(), seconds(longest) / 2) << i;
    EXPECT_LE(state.opens - clock_.steady(), seconds(longest)) << i;
    longest = std::min<std::int64_t>(60, longest * 2);
    clock_.pass(longest);
    EXPECT_FALSE(gates_.state(kChain).away.has_value());
    gates_.begin(kChain);
    EXPECT_FALSE(gates_.has_room(kChain, 4)) << "one tries for all";
    gates_.failed(kChain, {.throttled = true, .away = false, .retry_after = "1"}, kAway);
    clock_.pass(1);
  }
  fetch(kChain);
  gates_.begin(kChain);
  EXPECT_TRUE(gates_.has_room(kChain, 4));
  EXPECT_TRUE(gates_.has_room({"other.test", false}, 1));
}

TEST(RetryAfter, IsSecondsOrADate) {
  EXPECT_EQ(retry_after_seconds("0", kNoon), 0);
  EXPECT_EQ(retry_after_seconds("120", kNoon), 120);
  EXPECT_EQ(retry_after_seconds("Mon, 15 Jun 2026 12:00:37 GMT", kNoon), 37);
  EXPECT_EQ(retry_after_seconds("Sun, 06 Nov 1994 08:49:37 GMT", kNoon), 0) << "in the past";
  for (const char* other :
       {"", "-1", "1.5", "12s", "soon", "Mon, 15 Jun 2026 12:00:37 CET", "Mon, 15 Foo 2026 12:00:37 GMT",
        "Mon, 99 Jun 2026 12:00:37 GMT", "Monday, 15-Jun-26 12:00:37 GMT"}) {
    EXPECT_EQ(retry_after_seconds(other, kNoon), std::nullopt) << other;
  }
}

TEST(Urls, AreTakenApart) {
  EXPECT_EQ(host_of("https://kds.test:8443/vcek?x=1"), "kds.test");
  EXPECT_EQ(authority_of("https://kds.test:8443/vcek?x=1"), "kds.test:8443");
  EXPECT_EQ(without_query("https://kds.test/vcek?x=1"), "https://kds.test/vcek");
  EXPECT_EQ(without_slash("https://kds.test//"), "https://kds.test");
}

}  // namespace
}  // namespace attestry::collateral::internal
