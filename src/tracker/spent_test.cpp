#include "tracker/spent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "crypto/hash.h"
#include "state/testing/support.h"
#include "tracker/testing/support.h"

namespace attestry::tracker {
namespace {

using state::testing::patient;
using ::testing::ElementsAre;
using testing::kNow;

/// The records as a write closure sees them: each call is one transaction.
class Spent : public ::testing::Test {
 protected:
  Spent() {
    state::StoreOptions options;
    options.path = folder_.file("store.db");
    options.realm = base::Realm::simulated;
    options.clock = &clock_;
    store_ = state::Store::open(options).value();
  }
  template <class Work>
  void write(Work work) {
    const auto done = store_->write_and_wait(
        [&](state::WriteTxn& txn) -> base::Status {
          TRY(SpentRecords records, SpentRecords::load(txn));
          TRY_OK(work(records));
          return records.finish();
        },
        patient());
    EXPECT_TRUE(done.ok()) << done.error().text();
  }
  bool claim(const InstanceId& owner, const SpentClaim& what, base::UtcTime until = kNow + 100) {
    bool out = false;
    write([&](SpentRecords& records) -> base::Status {
      TRY(out, records.claim(owner, what, until));
      return base::done();
    });
    return out;
  }
  std::uint64_t credit(const InstanceId& owner, const SpentClaim& what, base::UtcTime until = kNow + 100,
                       std::uint64_t size = kSize) {
    std::uint64_t out = 0;
    write([&](SpentRecords& records) -> base::Status {
      TRY(out, records.credit(owner, what, size, until));
      return base::done();
    });
    return out;
  }
  void collect(base::UtcTime now, std::size_t most = 100) {
    write([&](SpentRecords& records) { return records.collect(now, most); });
  }
  std::uint64_t count() { return count_spent(*store_->read().value()).value(); }
  bool open(const InstanceId& owner, const SpentClaim& what, std::uint64_t size = kSize) {
    return may_be_credited(*store_->read().value(), owner, what, size).value();
  }
  static SpentClaim number(int i, base::UtcTime last = kNow) {
    return {crypto::sha256(base::as_bytes(std::to_string(i))), last};
  }

  state::testing::TempFolder folder_;
  state::testing::ManualClock clock_{kNow};
  std::unique_ptr<state::Store> store_;
  static constexpr std::uint64_t kSize = 1000;
  const InstanceId a_{1}, b_{2};
};

TEST_F(Spent, AClaimIsItsOwnersAndMayBeRepeated) {
  EXPECT_TRUE(claim(a_, number(1)));
  EXPECT_TRUE(claim(a_, number(1)));
  EXPECT_FALSE(claim(b_, number(1)));
  EXPECT_TRUE(open(a_, number(1)));
  EXPECT_FALSE(open(b_, number(1)));
  EXPECT_EQ(count(), 1U);
}

TEST_F(Spent, AGreaterSizeIsPaidTheDifference) {
  const auto credited = [&](const InstanceId& owner, std::uint64_t size) {
    return credit(owner, number(1), kNow + 100, size);
  };
  EXPECT_EQ(credited(a_, 1), 1U);
  EXPECT_TRUE(open(a_, number(1), 2));
  EXPECT_FALSE(open(a_, number(1), 1));
  EXPECT_FALSE(open(b_, number(1), 2));
  EXPECT_EQ(credited(b_, 1000), 0U);
  EXPECT_EQ(credited(a_, 1000), 999U);
  EXPECT_EQ(credited(a_, 1000), 0U);
  EXPECT_EQ(credited(a_, 999), 0U);
  EXPECT_TRUE(claim(a_, number(1)));
  EXPECT_EQ(credited(a_, 1000), 0U) << "a claim that is repeated undoes nothing";
  EXPECT_EQ(count(), 1U);
}

TEST_F(Spent, ACreditIsThereOnce) {
  EXPECT_TRUE(claim(a_, number(1)));
  EXPECT_FALSE(credit(b_, number(1)));
  EXPECT_TRUE(credit(a_, number(1)));
  EXPECT_FALSE(credit(a_, number(1)));
  EXPECT_FALSE(open(a_, number(1)));
  EXPECT_TRUE(claim(a_, number(1))) << "what it has credited is still its own";
  EXPECT_FALSE(credit(a_, number(1))) << "and a claim does not undo the credit";
  EXPECT_FALSE(claim(b_, number(1)));
  EXPECT_TRUE(credit(b_, number(2))) << "without a claim before";
  EXPECT_EQ(count(), 2U);
}

// A receipt that was signed anew is claimed by the instance that has paid an older one: nobody else may pay the new
// one.
TEST_F(Spent, AnotherClaimOfTheSameInstanceIsKeptForAsLongAsItAsks) {
  for (const bool was_credited : {false, true}) {
    const int i = was_credited ? 2 : 1;
    EXPECT_TRUE(claim(a_, number(i), kNow + 100));
    if (was_credited) {
      EXPECT_TRUE(credit(a_, number(i), kNow + 100));
    }
    EXPECT_TRUE(claim(a_, number(i, kNow + 90), kNow + 300));
    EXPECT_TRUE(claim(a_, number(i, kNow + 80), kNow + 200)) << "a late one shortens nothing";
    collect(kNow + 250);
    EXPECT_FALSE(claim(b_, number(i, kNow + 90), kNow + 300)) << i;
    EXPECT_EQ(open(a_, number(i)), !was_credited);
  }
  collect(kNow + 301);
  EXPECT_EQ(count(), 0U);
  EXPECT_FALSE(claim(b_, number(1, kNow + 90), kNow + 300));
}

TEST_F(Spent, WhatIsForgottenTakesTheOlderOnesWithIt) {
  EXPECT_TRUE(credit(a_, number(1, kNow), kNow + 10));
  EXPECT_TRUE(credit(a_, number(2, kNow + 5), kNow + 20));
  collect(kNow + 10);
  EXPECT_EQ(count(), 2U) << "kept until then, not shorter";
  collect(kNow + 11);
  EXPECT_EQ(count(), 1U);
  EXPECT_FALSE(open(a_, number(1, kNow)));
  EXPECT_FALSE(credit(a_, number(1, kNow)));
  EXPECT_FALSE(claim(b_, number(1, kNow)));
  EXPECT_FALSE(credit(a_, number(3, kNow - 1))) << "nobody knows any more whether it was credited";
  EXPECT_FALSE(open(a_, number(3, kNow - 1)));
  EXPECT_TRUE(credit(a_, number(3, kNow + 1)));
  EXPECT_FALSE(credit(a_, number(2, kNow + 5)));
}

TEST_F(Spent, CollectionIsBounded) {
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(credit(a_, number(i), kNow + 10));
  collect(kNow + 11, 2);
  EXPECT_EQ(count(), 3U);
  collect(kNow + 11, 2);
  collect(kNow + 11, 2);
  EXPECT_EQ(count(), 0U);
  collect(kNow + 11, 2);
  EXPECT_EQ(count(), 0U);
}

TEST_F(Spent, ARecordIsKeptForTheLongestThatWasAskedFor) {
  EXPECT_TRUE(claim(a_, number(1)));  // until kNow + 100
  EXPECT_TRUE(credit(a_, number(1), kNow + 50));
  collect(kNow + 60);
  EXPECT_EQ(count(), 1U);
  collect(kNow + 101);
  EXPECT_EQ(count(), 0U);
  EXPECT_TRUE(claim(a_, number(2, kNow + 1)));
  EXPECT_TRUE(credit(a_, number(2, kNow + 1), kNow + 300));
  collect(kNow + 101);
  EXPECT_EQ(count(), 1U);
  collect(kNow + 301);
  EXPECT_EQ(count(), 0U);
}

TEST_F(Spent, ARecordOutlivesItsReceipt) {
  const ReceiptRules rules;
  EXPECT_EQ(keep_spent_until(number(1), rules, kNow), kNow + 7201) << "two windows";
  EXPECT_EQ(keep_spent_until(number(1, kNow + 3659), rules, kNow), kNow + 3659 + 3600 + 60 + 1)
      << "a receipt of an hour that has just begun can be reported for longer";
}

TEST_F(Spent, TheAuthorityAnswersForEach) {
  ReceiptRules rules;
  StoredSpent authority{*store_, [&] { return rules; }};
  const auto ask = [&](const InstanceId& owner, std::vector<SpentClaim> claims) {
    std::promise<base::Result<std::vector<bool>>> promise;
    authority.claim(owner, std::move(claims), "anybody", [&](auto answer) { promise.set_value(std::move(answer)); });
    return promise.get_future().get();
  };
  EXPECT_THAT(*ask(a_, {number(1), number(2)}), ElementsAre(true, true));
  EXPECT_THAT(*ask(b_, {number(2), number(3), number(3)}), ElementsAre(false, true, true));
  EXPECT_THAT(*ask(a_, {number(1), number(3)}), ElementsAre(true, false));
  EXPECT_THAT(*ask(a_, {}), ElementsAre());
  EXPECT_EQ(ask(a_, std::vector<SpentClaim>(StoredSpent::kMostClaims + 1)).error().code, base::Code::too_large);
  rules = {.window = 10, .skew = 0};
  EXPECT_THAT(*ask(a_, {number(5)}), ElementsAre(true));
  collect(kNow + 22);
  EXPECT_THAT(*ask(b_, {number(3, kNow + 1)}), ElementsAre(true)) << "asked with the window before";
  EXPECT_EQ(count(), 3U) << "the last was kept for two windows of the day";
  clock_.set_wall(kNow - 1000);
  EXPECT_EQ(ask(a_, {number(4)}).error().code, base::Code::unavailable);
}

}  // namespace
}  // namespace attestry::tracker
