// Who may serve, over every way in which two keystores can lose sight of each other. Two real servers with the channel
// between them: tests/functional/test_keystore_standby.py.
#include "secrets/keystore_replica.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "state/testing/support.h"

namespace attestry::secrets {
namespace {

using base::Code;
using state::testing::ManualClock;
using state::testing::patient;
using ::testing::HasSubstr;

constexpr int kTakeover = 10;

/// One server: what is durable of it outlives a crash, nothing else does.
class Node {
 public:
  Node(ManualClock& clock, ReplicaRole first, int takeover) : clock_(clock), first_(first), takeover_(takeover) {
    start();
  }
  void start() {
    auto opened = ReplicaFence::open(*store_, crypto::system_random(),
                                     {.first = first_, .takeover = std::chrono::seconds(takeover_), .clock = &clock_});
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    fence_ = std::move(*opened);
  }
  void crash() { fence_.reset(); }
  void restart(std::optional<int> takeover = {}) {
    crash();
    takeover_ = takeover.value_or(takeover_);
    start();
  }
  bool up() const { return fence_ != nullptr; }
  bool serves() const { return up() && fence_->may_serve().ok(); }
  ReplicaFence* operator->() const { return fence_.get(); }
  state::Store& store() { return *store_; }

 private:
  state::testing::TempFolder folder_;
  ManualClock& clock_;
  ReplicaRole first_;
  int takeover_;
  std::unique_ptr<state::Store> store_ =
      *state::Store::open({.path = folder_.file("store.db"), .realm = base::Realm::simulated});
  std::unique_ptr<ReplicaFence> fence_;
};

class KeystoreReplicaTest : public ::testing::Test {
 protected:
  ManualClock clock_{base::UtcTime{1'800'000'000}};
  Node primary_{clock_, ReplicaRole::primary, kTakeover};
  Node standby_{clock_, ReplicaRole::standby, kTakeover};
  std::uint64_t changes_ = 0;

  static base::Status nothing(state::WriteTxn&) { return base::done(); }
  base::Status keep(Node& node) { return node->followed({.feed = {}, .change = ++changes_}, nothing, patient()); }
  /// A question and its answer. What comes of it at the caller.
  base::Result<bool> ask(Node& caller, Node& called) {
    const auto claim = caller->claim();
    TRY(const bool gives, called->heard(claim, patient()));
    const auto reply = called->reply();
    TRY(const bool follows, caller->answered(claim, reply, patient()));
    if (follows && gives) {
      TRY_OK(keep(caller));
    }
    return follows;
  }
  void follow() {
    for (int i = 0; i < 2; ++i) {
      const auto done = ask(standby_, primary_);
      ASSERT_TRUE(done.ok()) << done.error().text();
    }
  }
  bool never_both() const { return !(primary_.serves() && standby_.serves()); }
};

TEST_F(KeystoreReplicaTest, APrimaryServesAloneUntilSomebodyFollows) {
  EXPECT_TRUE(primary_.serves());
  EXPECT_FALSE(standby_.serves());
  EXPECT_EQ(standby_->may_serve().error().code, Code::unavailable);
  EXPECT_THAT(standby_->may_serve().error().text(), HasSubstr("standby"));
  clock_.pass(100'000);
  EXPECT_TRUE(primary_.serves());
  primary_.restart();
  EXPECT_TRUE(primary_.serves());
}

TEST_F(KeystoreReplicaTest, ThePrimaryStopsBeforeTheStandbyTakesOver) {
  follow();
  for (int second = 0; second < kTakeover; ++second) {
    EXPECT_EQ(primary_.serves(), second < kTakeover - 1) << second;
    EXPECT_FALSE(standby_->takeover_due()) << second;
    EXPECT_EQ(standby_->take_over(patient()).error().code, Code::conflict);
    clock_.pass(1);
  }
  EXPECT_FALSE(primary_.serves());
  ASSERT_TRUE(standby_->takeover_due());
  ASSERT_TRUE(standby_->take_over(patient()).ok());
  EXPECT_TRUE(standby_.serves());
  EXPECT_EQ(standby_->state().term, 2U);
  standby_.restart();
  EXPECT_TRUE(standby_.serves()) << "nobody follows it yet";
}

TEST_F(KeystoreReplicaTest, QuestionsKeepThePrimaryServing) {
  follow();
  for (int second = 0; second < 5 * kTakeover; ++second) {
    clock_.pass(1);
    ASSERT_TRUE(ask(standby_, primary_).ok());
    EXPECT_TRUE(primary_.serves());
    EXPECT_FALSE(standby_->takeover_due());
  }
}

TEST_F(KeystoreReplicaTest, LostAnswersGiveThePrimaryNoLongerLease) {
  follow();
  // The questions arrive, the answers do not: the standby's time runs, so the primary's does, too.
  for (int second = 0; second < kTakeover; ++second) {
    ASSERT_TRUE(primary_->heard(standby_->claim(), patient()).ok());
    [[maybe_unused]] const auto lost = primary_->reply();
    clock_.pass(1);
    EXPECT_TRUE(never_both());
  }
  EXPECT_FALSE(primary_.serves());
  ASSERT_TRUE(standby_->take_over(patient()).ok());
  EXPECT_FALSE(primary_.serves());
}

TEST_F(KeystoreReplicaTest, AQuestionThatWasUnderWayForLongRenewsNothing) {
  follow();
  const auto late = standby_->claim();
  clock_.pass(kTakeover);
  ASSERT_TRUE(standby_->take_over(patient()).ok());
  ASSERT_TRUE(primary_->heard(late, patient()).ok());
  EXPECT_FALSE(primary_.serves());
}

TEST_F(KeystoreReplicaTest, AQuestionThatComesTwiceRenewsOnce) {
  follow();
  const auto claim = standby_->claim();
  clock_.pass(5);
  ASSERT_TRUE(primary_->heard(claim, patient()).ok());
  ASSERT_TRUE(primary_->heard(claim, patient()).ok());
  clock_.pass(4);
  EXPECT_FALSE(primary_.serves());
}

TEST_F(KeystoreReplicaTest, LostQuestionsEndTheLease) {
  follow();
  clock_.pass(kTakeover - 1);
  EXPECT_FALSE(primary_.serves());
  // One arrives after all, before the standby took over.
  ASSERT_TRUE(ask(standby_, primary_).ok());
  EXPECT_FALSE(primary_.serves()) << "its stamp is old";
  ASSERT_TRUE(ask(standby_, primary_).ok());
  EXPECT_TRUE(primary_.serves());
  EXPECT_FALSE(standby_->takeover_due());
}

TEST_F(KeystoreReplicaTest, APausedPrimaryDoesNotServeWhenItWakes) {
  follow();
  primary_->notice_pauses();
  const auto on_the_way = standby_->claim();
  // The virtual machine stands still: only what the time service says afterwards tells.
  clock_.set_wall(clock_.now() + kTakeover);
  EXPECT_TRUE(primary_.serves()) << "nobody has looked yet";
  primary_->notice_pauses();
  EXPECT_FALSE(primary_.serves());
  ASSERT_TRUE(primary_->heard(on_the_way, patient()).ok());
  EXPECT_FALSE(primary_.serves()) << "a question from before the pause";
  follow();
  EXPECT_TRUE(primary_.serves());
  primary_->notice_pauses();
  EXPECT_TRUE(primary_.serves());
}

TEST_F(KeystoreReplicaTest, TimeThatPassesIsNoPause) {
  follow();
  for (int i = 0; i < 3 * kTakeover; ++i) {
    primary_->notice_pauses();
    clock_.pass(1);
    ASSERT_TRUE(ask(standby_, primary_).ok());
    EXPECT_TRUE(primary_.serves()) << i;
  }
  // Set by a second, or back.
  for (const std::int64_t step : {1, -100}) {
    clock_.set_wall(clock_.now() + step);
    primary_->notice_pauses();
    EXPECT_TRUE(primary_.serves()) << step;
  }
}

TEST_F(KeystoreReplicaTest, WithoutALeaseThePrimaryOutlivesPauses) {
  standby_.restart(0);
  follow();
  primary_->notice_pauses();
  clock_.set_wall(clock_.now() + 1'000'000);
  primary_->notice_pauses();
  EXPECT_TRUE(primary_.serves());
}

TEST_F(KeystoreReplicaTest, AnOldPrimaryThatComesBackDoesNotServeAndStandsDown) {
  follow();
  primary_.crash();
  clock_.pass(kTakeover);
  ASSERT_TRUE(standby_->take_over(patient()).ok());
  primary_.restart();
  EXPECT_FALSE(primary_.serves());
  EXPECT_THAT(primary_->may_serve().error().text(), HasSubstr("has not heard"));
  ASSERT_TRUE(ask(standby_, primary_).ok());
  EXPECT_EQ(primary_->state().role, ReplicaRole::stood_down);
  EXPECT_EQ(primary_->state().term, 2U);
  EXPECT_TRUE(standby_.serves());
  primary_.restart();
  EXPECT_FALSE(primary_.serves());
  EXPECT_THAT(primary_->may_serve().error().text(), HasSubstr("another keystore"));
  EXPECT_EQ(primary_->promote(false, patient()).error().code, Code::conflict);

  // An operator makes it the standby, and the parts are swapped.
  ASSERT_TRUE(primary_->follow(false, patient()).ok());
  ASSERT_TRUE(ask(primary_, standby_).ok());
  ASSERT_TRUE(ask(primary_, standby_).ok());
  EXPECT_TRUE(standby_.serves());
  clock_.pass(kTakeover);
  EXPECT_FALSE(standby_.serves());
  ASSERT_TRUE(primary_->take_over(patient()).ok());
  EXPECT_EQ(primary_->state().term, 3U);
}

TEST_F(KeystoreReplicaTest, ARestartedPrimaryWaitsForItsStandby) {
  follow();
  primary_.restart();
  EXPECT_FALSE(primary_.serves());
  ASSERT_TRUE(ask(standby_, primary_).ok());
  EXPECT_FALSE(primary_.serves()) << "a stamp of its earlier run promises nothing";
  ASSERT_TRUE(ask(standby_, primary_).ok());
  EXPECT_TRUE(primary_.serves());
}

TEST_F(KeystoreReplicaTest, AStandbyWithoutEverythingNeverServes) {
  clock_.pass(kTakeover);
  EXPECT_FALSE(standby_->takeover_due());
  EXPECT_EQ(standby_->promote(true, patient()).error().code, Code::unavailable);
  // Answered, but killed before anything of it was durable.
  const auto claim = standby_->claim();
  ASSERT_TRUE(primary_->heard(claim, patient()).ok());
  ASSERT_TRUE(standby_->answered(claim, primary_->reply(), patient()).ok());
  clock_.pass(kTakeover);
  EXPECT_FALSE(standby_->takeover_due());
  standby_.restart();
  EXPECT_EQ(standby_->promote(true, patient()).error().code, Code::unavailable);
  EXPECT_FALSE(standby_.serves());
}

TEST_F(KeystoreReplicaTest, ARestartedStandbyTakesOverOnlyFromAPrimaryThatItHasHeard) {
  follow();
  standby_.restart(2);
  clock_.pass(kTakeover);
  EXPECT_FALSE(standby_->takeover_due());
  EXPECT_EQ(standby_->promote(false, patient()).error().code, Code::conflict);
  ASSERT_TRUE(standby_->promote(true, patient()).ok()) << "an operator may";
}

TEST_F(KeystoreReplicaTest, AShorterPromiseShortensTheLeaseAtOnce) {
  follow();
  standby_.restart(2);
  const auto claim = standby_->claim();
  ASSERT_TRUE(primary_->heard(claim, patient()).ok());
  ASSERT_TRUE(standby_->answered(claim, primary_->reply(), patient()).ok());
  clock_.pass(2);
  EXPECT_TRUE(standby_->takeover_due());
  EXPECT_FALSE(primary_.serves());
}

TEST_F(KeystoreReplicaTest, WithoutTakeoverThereIsNoLeaseAndNoTakeover) {
  standby_.restart(0);
  follow();
  clock_.pass(1'000'000);
  EXPECT_TRUE(primary_.serves());
  EXPECT_FALSE(standby_->takeover_due());
  EXPECT_EQ(standby_->promote(false, patient()).error().code, Code::conflict);
  EXPECT_TRUE(never_both());
}

TEST_F(KeystoreReplicaTest, AKillBetweenDurableStepsLeavesOneServer) {
  follow();
  // The takeover was not durable: the standby is what it was.
  clock_.pass(kTakeover);
  ASSERT_TRUE(standby_->takeover_due());
  standby_.restart();
  EXPECT_EQ(standby_->state().role, ReplicaRole::standby);
  EXPECT_FALSE(standby_.serves());
  // It was, and the process ended before it served.
  ASSERT_TRUE(ask(standby_, primary_).ok());
  clock_.pass(kTakeover);
  ASSERT_TRUE(standby_->take_over(patient()).ok());
  standby_.restart();
  EXPECT_EQ(standby_->state().role, ReplicaRole::primary);
  EXPECT_TRUE(never_both());
  EXPECT_TRUE(standby_.serves());
}

TEST_F(KeystoreReplicaTest, AnAnswerThatComesAfterTheTakeoverIsNotTaken) {
  follow();
  const auto claim = standby_->claim();
  ASSERT_TRUE(primary_->heard(claim, patient()).ok());
  const auto reply = primary_->reply();
  clock_.pass(kTakeover);
  ASSERT_TRUE(standby_->take_over(patient()).ok());
  EXPECT_EQ(standby_->answered(claim, reply, patient()).error().code, Code::conflict);
  EXPECT_EQ(keep(standby_).error().code, Code::conflict);
  EXPECT_EQ(standby_->state().role, ReplicaRole::primary);
}

TEST_F(KeystoreReplicaTest, AnOperatorsHandoverStopsOneBeforeTheOtherBegins) {
  follow();
  standby_->want_handover(true);
  EXPECT_EQ(standby_->promote(false, patient()).error().code, Code::conflict);
  const auto claim = standby_->claim();
  EXPECT_TRUE(*primary_->heard(claim, patient())) << "with its last changes";
  EXPECT_FALSE(primary_.serves());
  const auto reply = primary_->reply();
  EXPECT_EQ(reply.role, ReplicaRole::stood_down);
  EXPECT_TRUE(*standby_->answered(claim, reply, patient()));
  EXPECT_EQ(standby_->promote(false, patient()).error().code, Code::conflict) << "not everything is here yet";
  ASSERT_TRUE(keep(standby_).ok());
  standby_->handed_over();
  ASSERT_TRUE(standby_->promote(false, patient()).ok());
  EXPECT_TRUE(standby_.serves());
  EXPECT_TRUE(never_both());
  EXPECT_EQ(standby_->promote(false, patient()).error().code, Code::conflict);
}

TEST_F(KeystoreReplicaTest, ALostHandoverIsAskedForAgain) {
  follow();
  standby_->want_handover(true);
  ASSERT_TRUE(primary_->heard(standby_->claim(), patient()).ok());
  [[maybe_unused]] const auto lost = primary_->reply();
  primary_.restart();
  ASSERT_TRUE(*ask(standby_, primary_));
  standby_->handed_over();
  EXPECT_TRUE(standby_->promote(false, patient()).ok());
  EXPECT_TRUE(never_both());
}

TEST_F(KeystoreReplicaTest, AnOperatorReleasesAPrimaryFromItsStandby) {
  follow();
  primary_.restart();
  clock_.pass(kTakeover);
  EXPECT_EQ(primary_->promote(false, patient()).error().code, Code::conflict);
  ASSERT_TRUE(primary_->promote(true, patient()).ok());
  EXPECT_TRUE(primary_.serves());
  EXPECT_EQ(primary_->state().term, 2U);
  // The standby comes back and follows again.
  ASSERT_TRUE(ask(standby_, primary_).ok());
  EXPECT_EQ(standby_->state().term, 2U);
  EXPECT_TRUE(primary_.serves());
}

TEST_F(KeystoreReplicaTest, OfTwoPrimariesOfOneTermOneStandsDown) {
  follow();
  // Both operators were wrong about the other side.
  primary_.restart();
  ASSERT_TRUE(primary_->promote(true, patient()).ok());
  ASSERT_TRUE(standby_->promote(true, patient()).ok());
  EXPECT_FALSE(never_both());
  ASSERT_TRUE(ask(standby_, primary_).ok());
  EXPECT_NE(primary_.serves(), standby_.serves());
  EXPECT_EQ(primary_.serves(), primary_->state().id > standby_->state().id);
}

TEST_F(KeystoreReplicaTest, ASecondStandbyAndACopiedFolderAreRefused) {
  follow();
  Node second{clock_, ReplicaRole::standby, kTakeover};
  EXPECT_THAT(ask(second, primary_).error().text(), HasSubstr("another standby"));
  auto copy = standby_->claim();
  copy.id = primary_->state().id;
  EXPECT_THAT(primary_->heard(copy, patient()).error().text(), HasSubstr("copy"));
  // Two standbys have nothing to tell each other.
  EXPECT_EQ(ask(second, standby_).error().code, Code::unavailable);
}

/// Messages that are lost, late, doubled and out of order, crashes and restarts, and everybody acts when he may.
TEST_F(KeystoreReplicaTest, HoweverMessagesAndProcessesFailNeverTwoServe) {
  struct Under {
    bool to_first;
    ReplicaClaim claim;
    std::optional<ReplicaReply> reply;
  };
  std::mt19937 dice(20'261'122);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same run every time
  const auto roll = [&](unsigned sides) { return static_cast<unsigned>(dice() % sides); };
  Node* const nodes[] = {&primary_, &standby_};
  std::vector<Under> wire;
  unsigned takeovers = 0;
  unsigned served = 0;
  const auto deliver = [&](const Under& message) {
    Node& to = *nodes[message.to_first ? 0 : 1];
    if (!to.up()) return;
    if (!message.reply) {
      if (!to->heard(message.claim, patient()).ok()) return;
      wire.push_back({.to_first = !message.to_first, .claim = message.claim, .reply = to->reply()});
      return;
    }
    const auto taken = to->answered(message.claim, *message.reply, patient());
    if (taken.ok() && *taken && !to->state().complete) (void)keep(to);
  };
  for (int step = 0; step < 6000; ++step) {
    const unsigned which = roll(2);
    Node& node = *nodes[which];
    switch (roll(40)) {
      case 0:
        if (roll(4) == 0) node.up() ? node.crash() : node.start();
        break;
      case 1:
        if (!node.up()) node.start();
        break;
      case 2:
        if (node.up() && node->state().role == ReplicaRole::stood_down) {
          ASSERT_TRUE(node->follow(false, patient()).ok());
        }
        break;
      case 3:
      case 4:
      case 5:
      case 6:
        clock_.pass(1);
        break;
      case 7:
        clock_.pass(roll(2 * kTakeover));
        break;
      case 8:
        if (!wire.empty()) wire.erase(wire.begin() + roll(static_cast<unsigned>(wire.size())));
        break;
      case 9:
        if (!wire.empty()) deliver(Under{wire[roll(static_cast<unsigned>(wire.size()))]});
        break;
      default:
        if (wire.size() < 4 && node.up() && node->state().role != ReplicaRole::stood_down) {
          wire.push_back({.to_first = which == 1, .claim = node->claim(), .reply = {}});
        }
        if (!wire.empty()) {
          const auto at = wire.begin() + roll(static_cast<unsigned>(wire.size()));
          const Under message = *at;
          wire.erase(at);
          deliver(message);
        }
    }
    for (Node* one : nodes) {
      if (!one->up() || !(*one)->takeover_due()) continue;
      takeovers += (*one)->take_over(patient()).ok() ? 1U : 0U;
    }
    ASSERT_TRUE(never_both()) << step;
    served += primary_.serves() || standby_.serves() ? 1U : 0U;
  }
  EXPECT_GT(takeovers, 20U);
  EXPECT_GT(served, 1000U);
}

TEST_F(KeystoreReplicaTest, AServerThatServesIsNobodysStandby) {
  EXPECT_EQ(primary_->follow(false, patient()).error().code, Code::conflict);
  EXPECT_TRUE(primary_.serves());
}

TEST_F(KeystoreReplicaTest, TheStateIsReadAsItWasWritten) {
  ReplicaState state{.role = ReplicaRole::standby, .term = 7, .complete = true, .discard = true};
  state.id.fill(1);
  state.follower.fill(2);
  state.position = {.feed = state.id, .change = 9};
  const auto bytes = encode(state);
  const auto read = parse_replica_state(bytes);
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(encode(*read), bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(parse_replica_state(base::ByteView{bytes}.first(size)).ok()) << size;
  }
  auto odd = bytes;
  odd[1] = 4;
  EXPECT_EQ(parse_replica_state(odd).error().code, Code::corrupt);
  odd[1] = 0;
  EXPECT_EQ(parse_replica_state(odd).error().code, Code::corrupt);
}

}  // namespace
}  // namespace attestry::secrets
