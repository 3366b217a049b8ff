// A coordinator over nodes with real stores, some of which lie, refuse, are silent or in another epoch.
#include "cluster/coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>

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
    base::Result<keys::ckd::Ciphertext> derive(const Node::Request& request, base::ByteView, base::Deadline) override {
      ++test_.questions;
      const auto found = test_.says.find(id_);
      if (found != test_.says.end()) return found->second;
      return machine_.derive(request);
    }
    base::Result<keys::ckd::ShareProof> prove(const Node::Request& request, base::ByteView, base::Deadline) override {
      return machine_.prove(request);
    }
    base::Result<std::optional<Epoch>> current() override {
      const auto now = machine_.node().current();
      return now == nullptr ? std::optional<Epoch>{} : std::optional{*now};
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

// Two outcomes of one number, each in force at some nodes: they meet at the first derivation, whichever this node has.
class TwoOutcomes : public CoordinatorTest, public ::testing::WithParamInterface<bool> {};

TEST_P(TwoOutcomes, NodesWithAnotherOutcomeOfTheSameNumberMeet) {
  begin(3);
  std::vector<Epoch> made;
  for (int i = 0; i < 2; ++i) {
    for (std::uint32_t id = 0; id < kNodes; ++id) {
      // Nobody hears that it is in force.
      machines[id].hook.at = [](Machine& machine, std::string_view step, When when) {
        if (step == "activate" && when == When::before) machine.kill();
      };
    }
    auto changed = machines.reshare(*first, machines.intent(0, kNodes, 3, &*first));
    ASSERT_TRUE(changed.ok()) << changed.error().text();
    made.push_back(std::move(changed->epoch));
    for (std::uint32_t id = 0; id < kNodes; ++id) {
      machines[id].hook = {};
      machines[id].start();
    }
  }
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
