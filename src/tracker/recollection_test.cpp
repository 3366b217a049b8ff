#include "tracker/recollection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <semaphore>
#include <set>
#include <span>
#include <utility>

#include "tracker/testing/tracker.h"

namespace attestry::tracker {
namespace {

using base::Code;
using base::Error;
using chain::Address;
using chain::Call;
using chain::CallOutcome;
using ::testing::ElementsAre;
using testing::key_named;
using testing::kNow;
using Names = std::vector<std::string>;
using Turn = Recollection::Turn;

const Address kAccount{0xac}, kContract{0xc0}, kFactory{0xfa}, kReferrer{0x0d};
constexpr std::chrono::milliseconds kSoon{1};
constexpr std::chrono::hours kNever{1};

/// A tracker's contract whose genuine referrer has everybody, with 1000 bytes. Set up before it is asked, or in `on`.
class StandIn final : public chain::ChainReader, public chain::LogReader {
 public:
  base::Result<chain::BlockRef> head(base::Deadline) override { return chain::BlockRef{.number = 7}; }
  base::Result<chain::BlockRef> known_head() const override { return chain::BlockRef{.number = 7}; }
  base::Result<std::vector<chain::LogRecord>> logs(const chain::LogFilter&, base::Deadline) override {
    return Error{Code::unavailable, "no logs"};
  }
  base::Result<std::vector<CallOutcome>> call(const chain::BlockRef&, std::span<const Call> calls,
                                              base::Deadline) override {
    std::vector<CallOutcome> out;
    for (const Call& one : calls) {
      const auto asked = reputation::kGetUserData.arguments(one.data);
      if (asked.ok() && !comes(std::get<0>(*asked))) return Error{Code::unavailable, "no quorum agrees"};
      out.push_back({.reverted = false, .data = answer(one), .reason = {}});
    }
    return out;
  }
  /// The name of the next one that is asked for.
  std::string next() {
    if (!came_.try_acquire_for(std::chrono::seconds(60))) return "nobody";
    const std::lock_guard lock(mutex_);
    return names_[seen_++];
  }
  Names next(std::size_t count) {
    Names out;
    while (out.size() < count) out.push_back(next());
    return out;
  }
  void set_failing(std::set<std::string> names) {
    const std::lock_guard lock(mutex_);
    failing_ = std::move(names);
  }
  /// Before `name` is answered, once.
  void on(const std::string& name, std::function<void()> event) {
    const std::lock_guard lock(mutex_);
    on_[name] = std::move(event);
  }

  std::atomic<bool> anothers = false;  ///< the contract is

 private:
  bool comes(const std::string& name) {
    std::function<void()> event;
    bool good = false;
    {
      const std::lock_guard lock(mutex_);
      good = !failing_.contains(name);
      if (const auto found = on_.find(name); found != on_.end()) event = std::move(on_.extract(found).mapped());
      names_.push_back(name);
    }
    if (event) event();
    came_.release();
    return good;
  }
  base::Bytes answer(const Call& call) const {
    if (call.data == reputation::kStanding())
      return reputation::kStanding.encode_result({anothers ? kReferrer : kAccount, {}, false});
    if (call.data == reputation::kReferrerReputation()) return reputation::kReferrerReputation.encode_result(kReferrer);
    if (call.data == reputation::kFactory()) return reputation::kFactory.encode_result(kFactory);
    if (call.to == kFactory) return reputation::kMade.encode_result(true);
    if (const auto asked = reputation::kLookUp.arguments(call.data); asked.ok()) {
      const auto& name = std::get<0>(*asked);
      const ReputationUser there{name, "", member_hash(key_named(name).public_key().encoded()), 0, 1000};
      return reputation::kLookUp.encode_result({there, kReferrer, kAccount, {}});
    }
    return reputation::kGetUserData.arguments(call.data).ok() ? reputation::kGetUserData.encode_result({})
                                                              : base::Bytes{};
  }

  std::mutex mutex_;
  std::counting_semaphore<> came_{0};
  Names names_;
  std::size_t seen_ = 0;
  std::set<std::string> failing_;
  std::map<std::string, std::function<void()>> on_;
};

class RecollectionTest : public ::testing::Test {
 protected:
  RecollectionTest() {
    for (const char* name : {"alice", "bob", "carol", "mallory", "trudy"})
      EXPECT_TRUE(tracker.enrol(name, key_named(name)).ok());
    auto opened = Publisher::open(reputations, tracker.ledger(), tracker.store(), kAccount);
    EXPECT_TRUE(opened.ok());
    publisher = *std::move(opened);
  }
  void start(const RecollectionOptions& options = {.first_pause = kSoon, .longest_pause = kSoon}) {
    recollection.emplace(*publisher, base::system_clock(), options);  // the store waits by that
    recollection->follow(kContract);
  }
  void want(std::initializer_list<const char*> names, Turn turn = Turn::first) {
    for (const char* name : names) recollection->want(name, turn);
  }
  std::uint64_t former(const std::string& name) {
    return publisher->former(tracker.ledger().member(name).value()).uploaded;
  }

  state::testing::ManualClock clock{kNow};
  testing::Tracker tracker{clock};
  StandIn chain;
  ReputationChain reputations{chain, chain, chain, [](const Address&, base::ByteView, base::Deadline) {
                                return base::Result<chain::Receipt>{Error{Code::unavailable, "nothing is sent"}};
                              }};
  std::unique_ptr<Publisher> publisher;
  std::optional<Recollection> recollection;
};

TEST_F(RecollectionTest, WhoComesIsAskedForBeforeWhoHasFailed) {
  chain.set_failing({"mallory", "trudy"});
  start();
  chain.on("mallory", [&] { want({"trudy"}); });
  chain.on("trudy", [&] { chain.on("mallory", [&] { want({"alice", "bob"}); }); });
  want({"mallory"});
  // However many there are that fail, and behind whomever they stand.
  EXPECT_THAT(chain.next(5), ElementsAre("mallory", "trudy", "mallory", "alice", "bob"));
}

TEST_F(RecollectionTest, WhoComesGoesBeforeWhoIsLookedAt) {
  start();
  chain.on("alice", [&] {
    want({"bob", "carol"}, Turn::last);
    want({"mallory", "trudy", "carol"});
  });
  want({"alice"});
  EXPECT_THAT(chain.next(5), ElementsAre("alice", "mallory", "trudy", "carol", "bob"));
  recollection->stop();
}

TEST_F(RecollectionTest, WhoHasFailedTakesNobodysPlace) {
  chain.set_failing({"mallory", "trudy"});
  start({.waiting = 1, .failed = 1, .first_pause = kSoon, .longest_pause = kSoon});
  want({"mallory"});
  EXPECT_EQ(chain.next(), "mallory");
  EXPECT_EQ(chain.next(), "mallory");
  chain.on("trudy", [&] { want({"alice"}); });
  want({"trudy"});
  while (chain.next() != "alice") {
  }
  // Only one of them is kept.
  EXPECT_THAT(chain.next(3), ElementsAre("trudy", "trudy", "trudy"));
  chain.on("trudy", [&] { want({"mallory"}); });
  while (chain.next() != "mallory") {
  }
}

TEST_F(RecollectionTest, AnotherContractEndsAPause) {
  chain.set_failing({"alice"});
  start({.first_pause = kNever, .longest_pause = kNever});
  want({"alice"});
  EXPECT_EQ(chain.next(), "alice");
  chain.set_failing({});
  recollection->follow(kContract);
  EXPECT_EQ(chain.next(), "alice");
  want({"bob"});
  EXPECT_EQ(chain.next(), "bob");
  // Nor is a good answer one of another contract.
  recollection->follow(kContract);
  want({"alice"});
  while (chain.next() != "alice") {
  }
}

TEST_F(RecollectionTest, AnAnswerFromBeforeTheContractWasFollowedIsNone) {
  start();
  chain.on("alice", [&] {
    recollection->follow(kContract);
    chain.on("bob", [&] { recollection->want("bob", Turn::anew); });
    want({"alice", "bob"});
  });
  want({"alice"});
  EXPECT_THAT(chain.next(4), ElementsAre("alice", "bob", "alice", "bob"));
}

TEST_F(RecollectionTest, AContractThatIsAnothersAtTheMomentIsAskedAgain) {
  chain.anothers = true;
  start();
  // As after a take-over that is not final yet: then nobody has to ask again.
  chain.on("alice", [&] { chain.anothers = false; });
  want({"alice"});
  EXPECT_THAT(chain.next(2), ElementsAre("alice", "alice"));
  want({"bob"});
  EXPECT_EQ(chain.next(), "bob");
  recollection->stop();
  EXPECT_EQ(former("alice"), 1000u);
}

TEST_F(RecollectionTest, OnlyTheOldestIsForgotten) {
  start({.remembered = 2});
  chain.on("trudy", [&] { want({"carol", "bob", "alice", "mallory"}); });
  want({"alice", "bob", "carol", "trudy"});
  EXPECT_THAT(chain.next(6), ElementsAre("alice", "bob", "carol", "trudy", "alice", "mallory"));
}

TEST_F(RecollectionTest, AnOutageIsLoggedOnce) {
  ::testing::internal::CaptureStderr();
  chain.set_failing({"mallory"});
  start();
  want({"mallory"});
  EXPECT_THAT(chain.next(2), ElementsAre("mallory", "mallory"));
  for (const char* name : {"alice", "bob", "carol"}) {
    want({name});
    while (chain.next() != name) {
    }
    EXPECT_THAT(chain.next(2), ElementsAre("mallory", "mallory"));
  }
  recollection->stop();
  const std::string log = ::testing::internal::GetCapturedStderr();
  const std::string_view said = "not known at the moment";
  const auto first = log.find(said);
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(log.find(said, first + 1), std::string::npos) << log;
}

}  // namespace
}  // namespace attestry::tracker
