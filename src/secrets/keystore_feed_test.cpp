// What a feed remembers, and what it lets its writers acknowledge.
#include "secrets/keystore_feed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "secrets/keystore_masters_records.h"
#include "state/keys.h"
#include "state/testing/support.h"

namespace attestry::secrets {
namespace {

using base::Code;
using base::Status;
using state::Key;
using state::Space;
using state::testing::patient;

class KeystoreFeedTest : public ::testing::Test {
 protected:
  state::testing::TempFolder folder_;
  state::testing::ManualClock clock_{base::UtcTime{1'800'000'000}};
  std::unique_ptr<state::Store> store_ =
      *state::Store::open({.path = folder_.file("store.db"), .realm = base::Realm::simulated});
  std::atomic<bool> serves_{true};
  std::atomic<bool> sync_{false};
  KeystoreFeed feed_{*store_, crypto::system_random(), options()};

  KeystoreFeedOptions options() {
    return {.may_serve = [this]() -> Status {
              if (serves_) return base::done();
              return base::Error{Code::unavailable, "a standby"};
            },
            .sync = [this] { return sync_.load(); },
            .patience = std::chrono::seconds(5),
            .most_changes = 3,
            .clock = &clock_};
  }
  static Key session(std::string_view name) { return Key(Space::keystore_sessions).lp(name); }
  static state::Store::Closure put(Key key) {
    return [key = std::move(key)](state::WriteTxn& txn) { return txn.put(key, base::as_bytes("value")); };
  }
  Status wait(Key key) { return feed_.write_and_wait(put(std::move(key)), patient()); }
  std::future<Status> start(Key key) {
    auto said = std::make_shared<std::promise<Status>>();
    feed_.write(put(std::move(key)), [said](Status done) { said->set_value(std::move(done)); });
    return said->get_future();
  }
  /// Once everything that was queued before is committed and settled.
  void settle() {
    ASSERT_TRUE(store_->write_and_wait([](state::WriteTxn&) { return base::done(); }, patient()).ok());
  }
  static bool open(const std::future<Status>& future) {
    return future.wait_for(std::chrono::seconds(0)) != std::future_status::ready;
  }
  bool stored(const Key& key) { return (*store_->read())->get(key)->has_value(); }
};

TEST_F(KeystoreFeedTest, ItRemembersWhichRecordsChangedSinceAPosition) {
  const auto nothing = feed_.since({});
  EXPECT_TRUE(nothing.whole);
  ASSERT_TRUE(wait(session("a")).ok());
  ASSERT_TRUE(wait(session("b")).ok());
  ASSERT_TRUE(wait(session("a")).ok());
  const auto both = feed_.since(nothing.until);
  EXPECT_FALSE(both.whole);
  EXPECT_FALSE(both.masters);
  EXPECT_THAT(both.keys, ::testing::ElementsAre(session("a").bytes(), session("b").bytes()));
  EXPECT_TRUE(feed_.since(both.until).keys.empty());
  ASSERT_TRUE(wait(Key(Space::keystore_masters).lp("head")).ok());
  EXPECT_TRUE(feed_.since(both.until).masters);
  EXPECT_TRUE(feed_.since(both.until).keys.empty());
  EXPECT_TRUE(feed_.since(nothing.until).whole) << "four changes ago, of which three are remembered";
}

TEST_F(KeystoreFeedTest, APositionOfAnotherLifeGetsEverything) {
  auto position = feed_.since({}).until;
  ++position.change;
  EXPECT_TRUE(feed_.since(position).whole);
  --position.change;
  EXPECT_FALSE(feed_.since(position).whole);
  KeystoreFeed next{*store_, crypto::system_random(), options()};
  EXPECT_TRUE(next.since(position).whole);
}

TEST_F(KeystoreFeedTest, OtherRecordsAndItsOwnStateAreNoPartOfIt) {
  const auto before = feed_.since({}).until;
  ASSERT_TRUE(wait(Key(Space::secrets).lp("x")).ok());
  ASSERT_TRUE(wait(Key(Space::keystore_state).lp("replica")).ok());
  EXPECT_EQ(feed_.since({}).until, before);
  ASSERT_TRUE(wait(Key(Space::keystore_state).lp("ban").lp("v")).ok());
  EXPECT_NE(feed_.since({}).until, before);
}

TEST_F(KeystoreFeedTest, WhatAWalkEncryptedAnewIsNoPartOfIt) {
  const auto before = feed_.since({}).until;
  ASSERT_TRUE(wait(KeystoreRecords::prefix().lp("x")).ok());
  EXPECT_NE(feed_.since({}).until, before);
  const auto after = feed_.since({}).until;
  ASSERT_TRUE(wait(Key(Space::keystore_state, KeystoreRecords::tenant()).lp("recrypted").lp("a").lp("b")).ok());
  EXPECT_EQ(feed_.since({}).until, after);
}

TEST_F(KeystoreFeedTest, ARecordThatNoStandbyCouldTakeIsNotWritten) {
  const auto large = session(std::string(kMostFollowedKey, 'x'));
  EXPECT_EQ(wait(large).error().code, Code::too_large);
  EXPECT_EQ(start(large).get().error().code, Code::too_large);
  EXPECT_FALSE(stored(large));
  const base::Bytes value(kMostFollowedValue + 1, 1);
  const auto put = [&](const Key& key) {
    return feed_.write_and_wait([&](state::WriteTxn& txn) { return txn.put(key, value); }, patient());
  };
  EXPECT_EQ(put(session("a")).error().code, Code::too_large);
  EXPECT_FALSE(stored(session("a")));
}

TEST_F(KeystoreFeedTest, AReleaseNeverWaitsForTheStandby) {
  sync_ = true;
  const auto mark = [](std::uint64_t until) {
    return Key(Space::keystore_state).lp("used-evidence").u64(until).raw(base::Bytes(32, 1));
  };
  const auto before = feed_.since({}).until;
  ASSERT_TRUE(wait(mark(1)).ok());
  EXPECT_TRUE(start(mark(2)).get().ok());
  EXPECT_THAT(feed_.since(before).keys, ::testing::ElementsAre(mark(1).bytes(), mark(2).bytes())) << "it follows";
  // What else is in the same transaction is waited for.
  auto both = std::make_shared<std::promise<Status>>();
  feed_.write(
      [&](state::WriteTxn& txn) -> Status {
        TRY_OK(txn.put(session("a"), base::as_bytes("value")));
        return txn.put(mark(3), base::as_bytes("value"));
      },
      [both](Status done) { both->set_value(std::move(done)); });
  const auto said = both->get_future();
  settle();
  EXPECT_TRUE(open(said));
  feed_.acknowledge(feed_.since({}).until);
  EXPECT_FALSE(open(said));
}

TEST_F(KeystoreFeedTest, AServerThatMayNotServeChangesNothingOfIt) {
  serves_ = false;
  EXPECT_EQ(wait(session("a")).error().code, Code::unavailable);
  EXPECT_EQ(start(session("a")).get().error().code, Code::unavailable);
  EXPECT_FALSE(stored(session("a")));
  EXPECT_TRUE(wait(Key(Space::secrets).lp("x")).ok());
  {
    const KeystoreFeed::Applying applying(feed_);
    EXPECT_TRUE(wait(session("a")).ok());
  }
  EXPECT_TRUE(stored(session("a")));
  EXPECT_EQ(wait(session("b")).error().code, Code::unavailable);
}

TEST_F(KeystoreFeedTest, WhatIsCommittedWhileServingEndsIsNotAcknowledged) {
  const auto before = feed_.since({}).until;
  std::promise<Status> said;
  feed_.write(
      [&](state::WriteTxn& txn) -> Status {
        TRY_OK(txn.put(session("a"), base::as_bytes("value")));
        return base::done();
      },
      [&](Status done) { said.set_value(std::move(done)); });
  EXPECT_TRUE(said.get_future().get().ok());
  // The hook runs after the commit and before completions: there the lease ends.
  store_->set_after_commit([&](const state::ReadView&) -> Status {
    serves_ = false;
    return base::done();
  });
  EXPECT_EQ(start(session("b")).get().error().code, Code::unavailable);
  EXPECT_TRUE(stored(session("b")));
  EXPECT_THAT(feed_.since(before).keys, ::testing::SizeIs(2)) << "who copies next gets it nevertheless";
  store_->set_after_commit({});
}

TEST_F(KeystoreFeedTest, WithSyncAChangeIsAcknowledgedOnceTheStandbyHasIt) {
  sync_ = true;
  const auto first = start(session("a"));
  settle();
  const auto position = feed_.since({}).until;
  auto second = start(session("b"));
  settle();
  EXPECT_TRUE(open(first));
  EXPECT_TRUE(stored(session("a")));
  auto foreign = position;
  foreign.feed[0] ^= 1;
  feed_.acknowledge(foreign);
  EXPECT_TRUE(open(first));
  feed_.acknowledge(position);
  EXPECT_FALSE(open(first));
  EXPECT_TRUE(open(second));
  clock_.pass(4);
  feed_.expire();
  EXPECT_TRUE(open(second));
  clock_.pass(1);
  feed_.expire();
  EXPECT_EQ(second.get().error().code, Code::unavailable);
  EXPECT_TRUE(start(Key(Space::secrets).lp("x")).get().ok()) << "no part of it";
}

TEST_F(KeystoreFeedTest, WithSyncWhoeverWaitsForTheStoreWaitsForTheStandby) {
  sync_ = true;
  const auto before = feed_.since({}).until;
  auto writing = std::async(std::launch::async, [&] { return wait(session("a")); });
  feed_.wait_beyond(before, patient());
  feed_.acknowledge(feed_.since({}).until);
  EXPECT_TRUE(writing.get().ok());
  feed_.stop();
  EXPECT_EQ(wait(session("b")).error().code, Code::unavailable);
  EXPECT_EQ(start(session("c")).get().error().code, Code::unavailable);
}

}  // namespace
}  // namespace attestry::secrets
