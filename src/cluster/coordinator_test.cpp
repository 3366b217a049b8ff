// A coordinator over nodes with real stores, some of which lie, refuse, are silent or in another epoch.
#include "cluster/coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "cluster/testing/nodes.h"

namespace attestry::cluster {
namespace {

using base::Code;
using base::Error;
using ::testing::Contains;
using ::testing::HasSubstr;
using testing::Machine;
using testing::Machines;
using ::testing::Not;
using When = Machine::When;

class CoordinatorTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kNodes = 5;

  /// A machine, and whatever it, or the way to it, does to a question.
  class Asked final : public Colleague {
   public:
    Asked(CoordinatorTest& test, std::uint32_t id) : test_(test), machine_(test.machines[id]), id_(id) {}
    base::Result<answer::Nonce> challenge(base::Deadline) override {
      if (test_.before_nonce) test_.before_nonce(id_);
      if (!test_.silent.contains(id_)) return test_.random.bytes<42>();
      return Error{Code::deadline_exceeded, "silent"};
    }
    base::Result<keys::ckd::Ciphertext> derive(const Node::Request& request, base::ByteView,
                                               const Patience& patience) override {
      ++test_.questions;
      if (test_.before_share) {
        if (auto error = test_.before_share(id_, patience)) return *std::move(error);
      }
      const auto found = test_.says.find(id_);
      if (found != test_.says.end()) return found->second;
      return machine_.derive(request, patience);
    }
    base::Result<keys::ckd::ShareProof> prove(const Node::Request& request, base::ByteView,
                                              const Patience& patience) override {
      return machine_.prove(request, patience);
    }
    base::Result<std::shared_ptr<const Epoch>> current(const std::shared_ptr<const Epoch>&) override {
      return machine_.node().current();
    }
    base::Status activate(const Epoch& epoch) override { return machine_.node().activate(epoch); }

   private:
    CoordinatorTest& test_;
    Machine& machine_;
    const std::uint32_t id_;
  };

  void begin(std::uint16_t threshold) {
    auto changed = machines.generate(machines.intent(0, kNodes, threshold));
    ASSERT_TRUE(changed.ok()) << changed.error().text();
    first.emplace(std::move(changed->epoch));
    coordinator.emplace(machines[0].node(),
                        [this](const Member& member) { return std::make_unique<Asked>(*this, member.id); });
    for (std::uint32_t id = 0; id < kNodes; ++id) asked.nonces.push_back({id, random.bytes<42>()});
    asked.key.pk1 = blinding.public_key().encode();
  }
  /// Another request for the same key.
  void renew() { asked.nonces.front().nonce = random.bytes<42>(); }
  base::Result<Derived> derive(bool careful = false) {
    return coordinator->derive(asked, std::chrono::steady_clock::now() + std::chrono::seconds(30), careful);
  }
  bool opens(const Derived& derived) {
    const auto master = machines[0].node().master();
    const auto point = keys::ckd::hash_point(*master, *asked.app_id(base::Realm::simulated));
    return blinding.open(derived.answer, *master, point).ok();
  }
  Code refusal() {
    auto out = derive();
    return out.ok() ? Code::internal : out.error().code;
  }

  crypto::Random& random = crypto::system_random();
  Machines machines{kNodes, random};
  std::optional<Epoch> first;
  keys::ckd::Blinding blinding = keys::ckd::Blinding::random(random);
  Application asked{.nonces = {}, .evidence = {}, .key = {}, .app = *base::AppRef::parse("near:alice.near")};
  std::map<std::uint32_t, Error> says;
  std::set<std::uint32_t> silent;
  std::function<void(std::uint32_t)> before_nonce;
  std::function<std::optional<Error>(std::uint32_t, const Patience&)> before_share;
  std::atomic<int> questions = 0;
  std::optional<Coordinator> coordinator;  // the last: its threads use the others
};

TEST_F(CoordinatorTest, ANodeThatAnswersWronglyIsNamedWhenTheWorkloadAsksForProofsAndIsNoLongerAsked) {
  begin(2);
  machines[1].hook.share = [](base::Result<keys::ckd::Ciphertext> share) {
    share->big_c = share->big_y;
    return share;
  };
  // Nobody but the workload sees it; it is not the same nodes that are asked each time.
  std::set<std::uint32_t> drawn;
  for (int i = 0; i < 200 && drawn.size() < kNodes; ++i) {
    renew();
    const auto derived = derive();
    ASSERT_TRUE(derived.ok()) << derived.error().text();
    EXPECT_EQ(opens(*derived), derived->participants.back() != 1);
    EXPECT_EQ(derive()->answer, derived->answer) << "the same request has the same answer";
    drawn.insert(derived->participants.begin(), derived->participants.end());
  }
  EXPECT_EQ(drawn.size(), kNodes);
  while (opens(*derive())) renew();
  const auto checked = derive(true);
  ASSERT_TRUE(checked.ok()) << checked.error().text();
  EXPECT_TRUE(opens(*checked));
  ASSERT_EQ(checked->failing.size(), 1u);
  EXPECT_EQ(checked->failing.front().id, 1u);
  EXPECT_TRUE(checked->failing.front().guilty);
  for (int i = 0; i < 20; ++i) {
    renew();
    const auto derived = derive();
    EXPECT_THAT(derived->participants, Not(Contains(1u)));
    EXPECT_TRUE(opens(*derived));
  }
}

TEST_F(CoordinatorTest, OutagesAreNoRefusals) {
  begin(3);
  for (const Code code : {Code::corrupt, Code::crypto, Code::wrong_key, Code::configuration, Code::rate_limited}) {
    for (std::uint32_t id = 1; id < kNodes; ++id) says[id] = {code, "a node's own trouble"};
    EXPECT_EQ(refusal(), Code::unavailable) << base::slug(code);
  }
}

TEST_F(CoordinatorTest, ARefusalIsWhatMostNodesSay) {
  begin(3);
  says = {{1, {Code::malformed, "a liar's words"}}, {2, {Code::denied, "not approved"}}, {3, {Code::denied, "too"}}};
  for (int i = 0; i < 8; ++i) EXPECT_EQ(refusal(), Code::denied);
  says.erase(1);
  says.erase(2);
  EXPECT_TRUE(derive().ok()) << "one of five";
}

TEST_F(CoordinatorTest, WhatItsOwnNodeFindsFalseIsAskedOfNobodyElse) {
  begin(3);
  for (const Code code : {Code::evidence_false, Code::malformed, Code::replayed}) {
    questions = 0;
    says = {{0, {code, "this evidence"}}};
    EXPECT_EQ(refusal(), code);
    EXPECT_EQ(questions, 1) << base::slug(code);
  }
  says = {{0, {Code::denied, "not approved here"}}};
  EXPECT_TRUE(derive().ok()) << "others may have heard of an approval that this node has not";
}

TEST_F(CoordinatorTest, RequestsThatAreRefusedTakeNoNodeOutOfChallenges) {
  begin(3);
  for (std::uint32_t id = 1; id < kNodes; ++id) says[id] = {Code::evidence_false, "forged"};
  EXPECT_EQ(refusal(), Code::evidence_false);
  for (int i = 0; i < 20; ++i) {
    const auto gathered = coordinator->gather();
    ASSERT_TRUE(gathered.ok()) << gathered.error().text();
    EXPECT_EQ(gathered->nonces.size(), kNodes);
  }
}

TEST_F(CoordinatorTest, WithoutANonceOfItsOwnItAsksNobody) {
  begin(3);
  asked.nonces.erase(asked.nonces.begin());
  EXPECT_EQ(refusal(), Code::conflict);
  EXPECT_EQ(questions, 0);
}

TEST_F(CoordinatorTest, ChallengesAtTheSameTimeAllHearOfNodesThatAreBack) {
  begin(3);
  silent = {1, 2, 3, 4};
  ASSERT_FALSE(coordinator->gather().ok());
  silent.clear();
  // They are back; each question to one of them lasts until two challenges are under way.
  std::mutex mutex;
  std::condition_variable changed;
  int gathering = 0;
  before_nonce = [&](std::uint32_t) {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, std::chrono::seconds(10), [&] { return gathering == 2; });
  };
  std::array<base::Result<Gathered>, 2> out{Error{Code::internal, "not asked"}, Error{Code::internal, "not asked"}};
  {
    std::vector<std::jthread> threads;
    for (auto& one : out) {
      threads.emplace_back([&] {
        {
          const std::scoped_lock lock(mutex);
          ++gathering;
        }
        changed.notify_all();
        one = coordinator->gather();
      });
    }
  }
  std::set<base::Bytes> nonces;
  std::size_t number = 0;
  for (const auto& one : out) {
    ASSERT_TRUE(one.ok()) << one.error().text();
    number += one->nonces.size();
    for (const auto& nonce : one->nonces) nonces.insert(base::to_bytes(nonce.nonce));
  }
  EXPECT_EQ(nonces.size(), number) << "a nonce is good for one request";
  coordinator.reset();  // its threads use what is above
}

// It costs each request that draws it a round, and an exchange of epochs.
TEST_F(CoordinatorTest, WhoeverSaysForNothingThatItIsInAnotherEpochIsAskedAfterTheOthers) {
  begin(2);
  says[3] = {Code::conflict, "another epoch"};
  int asked_it = 0;
  before_share = [&](std::uint32_t id, const Patience&) -> std::optional<Error> {
    asked_it += id == 3 ? 1 : 0;
    return std::nullopt;
  };
  for (int i = 0; i < 200 && asked_it == 0; ++i, renew()) ASSERT_TRUE(derive().ok());
  ASSERT_EQ(asked_it, 1) << "it was drawn";
  for (int i = 0; i < 12; ++i, renew()) ASSERT_TRUE(derive().ok());
  EXPECT_EQ(asked_it, 1);
  const auto gathered = coordinator->gather();
  ASSERT_TRUE(gathered.ok());
  EXPECT_EQ(gathered->nonces.size(), kNodes) << "it is not away: a request may have made it say so";
}

TEST_F(CoordinatorTest, ConflictOfAllIsSaidAsConflict) {
  begin(3);
  for (std::uint32_t id = 0; id < kNodes; ++id) says[id] = {Code::conflict, "what it was let in by has changed"};
  EXPECT_EQ(refusal(), Code::conflict);
}

TEST_F(CoordinatorTest, NobodyIsAskedAfterTheDeadline) {
  begin(3);
  const auto out = coordinator->derive(asked, std::chrono::steady_clock::now());
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().code, Code::unavailable);
  EXPECT_THAT(out.error().text(), HasSubstr("time is up"));
  EXPECT_EQ(questions, 0);
}

// As with collateral that no node has yet: each is still at it when somebody has waited for a second.
TEST_F(CoordinatorTest, NodesThatAreSlowAreAskedAgainWhenTheyAreNeeded) {
  begin(3);
  std::mutex mutex;
  std::map<std::uint32_t, std::vector<Patience>> waited;
  before_share = [&](std::uint32_t id, const Patience& patience) -> std::optional<Error> {
    const std::scoped_lock lock(mutex);
    waited[id].push_back(patience);
    if (id == 0 || waited[id].size() > 1) return std::nullopt;
    return Error{Code::deadline_exceeded, "it is still at it"};
  };
  const auto begun = std::chrono::steady_clock::now();
  const auto derived = derive();
  ASSERT_TRUE(derived.ok()) << derived.error().text();
  EXPECT_TRUE(opens(*derived));
  for (const std::uint32_t id : derived->participants) {
    const auto& asked_for = waited[id];
    if (id == 0) {
      EXPECT_GT(asked_for.front().until, begun + std::chrono::seconds(20)) << "nobody else is asked before";
      continue;
    }
    ASSERT_EQ(asked_for.size(), 2u) << id;
    EXPECT_LT(asked_for[0].until, begun + std::chrono::seconds(20)) << "others could do it";
    EXPECT_FALSE(asked_for[0].insist);
    EXPECT_GT(asked_for[1].until, begun + std::chrono::seconds(20)) << "all the time that is left";
    EXPECT_TRUE(asked_for[1].insist);
  }
}

TEST_F(CoordinatorTest, ASpareNodeTakesThePlaceOfASlowOne) {
  begin(3);
  std::atomic<int> slow = 0;
  before_share = [&](std::uint32_t id, const Patience&) -> std::optional<Error> {
    if (id != 1 && id != 2) return std::nullopt;
    ++slow;
    return Error{Code::deadline_exceeded, "it is still at it"};
  };
  for (int i = 0; i < 8; ++i) {
    renew();
    const auto derived = derive();
    ASSERT_TRUE(derived.ok()) << derived.error().text();
    EXPECT_TRUE(opens(*derived));
    EXPECT_THAT(derived->participants, Not(Contains(1u)));
    EXPECT_THAT(derived->participants, Not(Contains(2u)));
  }
  EXPECT_LE(slow, 2) << "each once: then it is asked last";
}

TEST_F(CoordinatorTest, ANodeThatIsSlowTwiceIsAway) {
  begin(5);
  before_share = [&](std::uint32_t id, const Patience&) -> std::optional<Error> {
    if (id != 4) return std::nullopt;
    return Error{Code::deadline_exceeded, "it never is"};
  };
  const auto derived = derive();
  ASSERT_FALSE(derived.ok());
  EXPECT_EQ(derived.error().code, Code::unavailable);
  EXPECT_THAT(derived.error().text(), HasSubstr("4 (does not answer)"));
}

// Two outcomes of one number, each in force at some nodes: they meet at the first derivation, whichever this node has.
class TwoOutcomes : public CoordinatorTest, public ::testing::WithParamInterface<bool> {};

TEST_P(TwoOutcomes, NodesWithAnotherOutcomeOfTheSameNumberMeet) {
  begin(3);
  const std::vector<Epoch> made = machines.two_outcomes(*first, kNodes, 3);
  const bool first_wins = made[0].outcome.digest() < made[1].outcome.digest();
  const std::size_t own = first_wins == GetParam() ? 0 : 1;
  for (std::uint32_t id = 0; id < kNodes; ++id) {
    ASSERT_TRUE(machines[id].node().activate(made[id < 2 ? own : 1 - own]).ok());
  }
  coordinator.emplace(machines[0].node(),
                      [this](const Member& member) { return std::make_unique<Asked>(*this, member.id); });
  const auto derived = derive();
  ASSERT_TRUE(derived.ok()) << derived.error().text();
  EXPECT_TRUE(opens(*derived));
  EXPECT_EQ(machines[0].node().current()->outcome.digest(), made[first_wins ? 0 : 1].outcome.digest());
}

INSTANTIATE_TEST_SUITE_P(ThisNodeHasTheOneThatWins, TwoOutcomes, ::testing::Bool());

TEST_F(CoordinatorTest, AChallengeHardlyWaitsForANodeThatWasAway) {
  begin(3);
  silent = {4};
  ASSERT_TRUE(coordinator->gather().ok());
  // From now on it hangs until the challenge is there.
  std::mutex mutex;
  std::condition_variable there;
  bool answered = false;
  std::atomic<bool> in_time = true;
  before_nonce = [&](std::uint32_t id) {
    if (id != 4) return;
    std::unique_lock lock(mutex);
    if (!there.wait_for(lock, std::chrono::seconds(10), [&] { return answered; })) in_time = false;
  };
  for (int i = 0; i < 3; ++i) {
    const auto gathered = coordinator->gather();
    ASSERT_TRUE(gathered.ok()) << gathered.error().text();
    EXPECT_EQ(gathered->nonces.size(), kNodes - 1);
  }
  {
    const std::scoped_lock lock(mutex);
    answered = true;
  }
  there.notify_all();
  coordinator.reset();  // it has ended its threads
  EXPECT_TRUE(in_time);
}

}  // namespace
}  // namespace attestry::cluster
