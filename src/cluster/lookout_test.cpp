// Nodes with real stores that look around, and ways to them that say what was asked.
#include "cluster/lookout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cluster/testing/nodes.h"

namespace attestry::cluster {
namespace {

using base::Code;
using base::Error;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::Machine;
using testing::Machines;
using When = Machine::When;

class LookoutTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kNodes = 5;

  /// What a node that looks around asks another for, and nothing else.
  class Way final : public Colleague {
   public:
    Way(LookoutTest& test, std::uint32_t id) : test_(test), id_(id) {}
    base::Result<std::shared_ptr<const Epoch>> current(const std::shared_ptr<const Epoch>&) override {
      if (test_.away.contains(id_)) return Error{Code::unavailable, "away"};
      return test_.machines[id_].node().current();
    }
    base::Status activate(const Epoch& epoch) override { return test_.machines[id_].node().activate(epoch); }
    base::Result<answer::Nonce> challenge(base::Deadline) override { return nobody_asks(); }
    base::Result<keys::ckd::Ciphertext> derive(const Node::Request&, base::ByteView, const Patience&) override {
      return nobody_asks();
    }
    base::Result<keys::ckd::ShareProof> prove(const Node::Request&, base::ByteView, const Patience&) override {
      return nobody_asks();
    }

   private:
    static Error nobody_asks() { return Error{Code::internal, "nobody asks this"}; }
    LookoutTest& test_;
    const std::uint32_t id_;
  };

  std::unique_ptr<Lookout> lookout(std::uint32_t id) {
    auto made = Lookout::open(
        machines[id].node(), [this](const Member& member) { return std::make_unique<Way>(*this, member.id); },
        [this](const std::string& peer) -> base::Result<std::optional<Epoch>> {
          said.push_back(peer);
          if (refuses) return Error{Code::unavailable, "nobody is there"};
          return told;
        },
        machines[id].store());
    EXPECT_TRUE(made.ok()) << made.error().text();
    return *std::move(made);
  }
  Epoch begin() {
    auto changed = machines.generate(machines.intent(0, kNodes, 3));
    EXPECT_TRUE(changed.ok()) << changed.error().text();
    return std::move(changed->epoch);
  }

  crypto::Random& random = crypto::system_random();
  Machines machines{kNodes + 1, random};
  std::set<std::uint32_t> away;
  std::vector<std::string> said;
  bool refuses = false;
  std::optional<Epoch> told;
};

// Two outcomes of one number, both with a certificate, each in force at some nodes.
class LookoutOverTwoOutcomes : public LookoutTest, public ::testing::WithParamInterface<bool> {};

TEST_P(LookoutOverTwoOutcomes, TheyMeetAtTheOneThatWins) {
  const Epoch first = begin();
  const std::string key = machines.key(first, "mykey");
  const std::vector<Epoch> made = machines.two_outcomes(first, kNodes, 3);
  const std::size_t wins = made[0].outcome.digest() < made[1].outcome.digest() ? 0 : 1;
  const std::size_t own = GetParam() ? wins : 1 - wins;
  for (std::uint32_t id = 0; id < kNodes; ++id) {
    ASSERT_TRUE(machines[id].node().activate(made[id < 2 ? own : 1 - own]).ok());
  }
  const auto looking = lookout(0);
  // In the second round it looks at all of them again when it has followed in the first.
  looking->look();
  looking->look();
  for (std::uint32_t id = 0; id < kNodes; ++id) {
    EXPECT_EQ(machines[id].node().current()->outcome.digest(), made[wins].outcome.digest()) << id;
    EXPECT_TRUE(machines[id].node().holds_share()) << id;
  }
  EXPECT_EQ(machines.key(made[wins], "mykey"), key);
  EXPECT_EQ(looking->away(), 0u);
}

INSTANTIATE_TEST_SUITE_P(ThisNodeHasTheOneThatWins, LookoutOverTwoOutcomes, ::testing::Bool());

TEST_F(LookoutTest, WhoIsBehindIsToldAsSoonAsItIsBack) {
  const Epoch first = begin();
  machines[4].hook.at = [](Machine& machine, std::string_view step, When when) {
    if (step == "activate" && when == When::before) machine.kill();
  };
  const auto changed = machines.reshare(first, machines.intent(0, kNodes, 3, &first));
  ASSERT_TRUE(changed.ok()) << changed.error().text();
  machines[4].hook = {};
  machines[4].start();
  away = {4};
  const auto looking = lookout(0);
  looking->look();
  EXPECT_EQ(looking->away(), 1u);
  EXPECT_EQ(machines[4].node().current()->plan.epoch, 1u);
  away.clear();
  looking->look();
  EXPECT_EQ(looking->away(), 0u);
  EXPECT_EQ(machines[4].node().current()->plan.epoch, 2u);
}

TEST_F(LookoutTest, WhoHasNoPlaceComesAgainAlsoAfterARestart) {
  ASSERT_TRUE(lookout(0)->join("a.example:1").ok());
  machines[0].kill();
  machines[0].start();
  auto looking = lookout(0);
  looking->look();
  looking->look();
  EXPECT_THAT(said, ElementsAre("a.example:1", "a.example:1", "a.example:1"));
  // It is told of the first epoch there, in which it has a place.
  machines[0].hook.at = [](Machine& machine, std::string_view step, When when) {
    if (step == "activate" && when == When::before) machine.kill();
  };
  told = begin();
  machines[0].hook = {};
  machines[0].start();
  looking = lookout(0);
  looking->look();
  ASSERT_NE(machines[0].node().current(), nullptr);
  EXPECT_TRUE(machines[0].node().holds_share());
  looking->look();
  said.clear();
  looking->look();
  lookout(0)->look();
  EXPECT_THAT(said, IsEmpty()) << "nor after a restart";
}

TEST_F(LookoutTest, WhoKnowsAnEpochInWhichItHasNoPlaceComesAgainMoreSeldom) {
  told = begin();
  const auto looking = lookout(kNodes);
  ASSERT_TRUE(looking->join("a.example:1").ok());
  ASSERT_NE(machines[kNodes].node().current(), nullptr);
  for (int i = 0; i < 13; ++i) looking->look();
  EXPECT_EQ(said.size(), 3u);
}

TEST_F(LookoutTest, WhatNobodyAnsweredIsNotKept) {
  refuses = true;
  const auto looking = lookout(0);
  const auto done = looking->join("a.example:1");
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, Code::unavailable);
  looking->look();
  EXPECT_EQ(said.size(), 1u);
}

}  // namespace
}  // namespace attestry::cluster
