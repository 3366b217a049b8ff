// Nodes with real stores, led from epoch to epoch while some are killed, cut off, or lie.
#include "cluster/node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <bit>
#include <map>

#include "cluster/testing/nodes.h"
#include "state/keys.h"

namespace attestry::cluster {
namespace {

using base::Code;
using curves::bls::G1;
using curves::bls::G2;
using curves::bls::Scalar;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Machine;
using testing::Machines;
using ::testing::Not;
using When = Machine::When;

class Nodes : public ::testing::Test {
 protected:
  crypto::Random& random_ = crypto::system_random();

  static Epoch begin(Machines& machines, std::uint32_t count = 7, std::uint16_t threshold = 3) {
    auto changed = machines.generate(machines.intent(0, count, threshold));
    EXPECT_TRUE(changed.ok()) << changed.error().text();
    EXPECT_THAT(changed->not_told, IsEmpty());
    return std::move(changed->epoch);
  }
  /// Secrets of answers in a node's store, by their keys.
  static std::map<base::Bytes, base::Bytes> blindings(Machine& machine) {
    std::map<base::Bytes, base::Bytes> out;
    const auto view = machine.store().read();
    EXPECT_TRUE((*view)
                    ->scan(state::Key(state::Space::threshold), {}, 1000,
                           [&](base::ByteView key, base::ByteView value) {
                             if (!base::as_text(key).ends_with("blinding")) return true;
                             const auto opened = machine.sealed().open(key, value);
                             EXPECT_TRUE(opened.ok());
                             out.emplace(base::to_bytes(key), base::to_bytes(opened->reveal()));
                             return true;
                           })
                    .ok());
    return out;
  }
  /// Everything else in a node's store that may be a scalar.
  static std::vector<Scalar> scalars(Machine& machine) {
    std::vector<Scalar> out;
    const auto view = machine.store().read();
    EXPECT_TRUE((*view)
                    ->scan(state::Key(state::Space::threshold), {}, 1000,
                           [&](base::ByteView key, base::ByteView value) {
                             if (base::as_text(key).ends_with("blinding")) return true;
                             if (auto opened = machine.sealed().open(key, value)) {
                               if (auto scalar = Scalar::from_big_endian(opened->reveal()))
                                 out.push_back(*std::move(scalar));
                             }
                             return true;
                           })
                    .ok());
    return out;
  }
  /// The polynomial of those nodes' shares at zero; a bit for each node.
  static Scalar interpolated(std::uint32_t chosen, const std::vector<Scalar>& shares) {
    std::vector<std::uint32_t> ids;
    for (std::uint32_t id = 0; id < shares.size(); ++id) {
      if ((chosen >> id & 1) != 0) ids.push_back(id);
    }
    if (ids.size() == 1) return shares[ids[0]].clone();
    const auto weight = weights(ids);
    EXPECT_TRUE(weight.ok());
    Scalar out = shares[ids[0]] * (*weight)[0];
    for (std::size_t i = 1; i < ids.size(); ++i) out = out + shares[ids[i]] * (*weight)[i];
    return out;
  }
};

TEST_F(Nodes, WhoeverAsksForManyKeysTakesOnlyHisOwnAway) {
  Machines machines{4, random_};
  const Epoch epoch = begin(machines, 3, 2);
  Node& node = machines[0].node();
  const auto& members = epoch.plan.members;
  const auto session = [](std::uint8_t who, std::uint8_t number) {
    base::FixedBytes<32> out{};
    out[0] = who;
    out[1] = number;
    return out;
  };
  const auto ask = [&](std::uint8_t who, std::uint8_t number, const base::FixedBytes<32>& caller) {
    return node.offer(epoch.plan.cluster, session(who, number), caller)->box_key;
  };
  const auto own = node.offer(epoch.plan.cluster, session(0, 0))->box_key;
  const auto honest = ask(1, 0, members[1].signing_key);
  const auto newcomer = machines[3].node().signing_key();
  const auto joining = ask(3, 0, newcomer);
  const auto first = ask(2, 0, members[2].signing_key);
  for (std::uint8_t i = 1; i < 12; ++i) ask(2, i, members[2].signing_key);
  EXPECT_NE(ask(2, 0, members[2].signing_key), first) << "of its own the oldest goes";
  EXPECT_EQ(ask(1, 0, members[1].signing_key), honest);
  EXPECT_EQ(ask(3, 0, newcomer), joining);
  EXPECT_EQ(node.offer(epoch.plan.cluster, session(0, 0))->box_key, own);
  // A stranger with one key puts out no other stranger, and one with many keys no member.
  for (std::uint8_t i = 0; i < 12; ++i) ask(4, i, session(9, 9));
  EXPECT_EQ(ask(3, 0, newcomer), joining);
  for (std::uint8_t i = 0; i < 12; ++i) ask(5, i, session(9, i));
  EXPECT_EQ(ask(1, 0, members[1].signing_key), honest);
  std::size_t kept = 0;
  const auto view = machines[0].store().read();
  ASSERT_TRUE((*view)
                  ->scan(state::Key(state::Space::threshold).lp("box"), {}, 1000,
                         [&](base::ByteView, base::ByteView) { return ++kept, true; })
                  .ok());
  EXPECT_LE(kept, 1 + 1 + Node::kMostOffers + Node::kMostOffersOfOthers);
}

TEST_F(Nodes, SevenNodesDeriveAKeyWhoeverAnswers) {
  Machines machines{7, random_};
  const Epoch epoch = begin(machines);
  const std::string key = machines.key(epoch, "mykey");
  ASSERT_EQ(key.size(), 32);
  EXPECT_EQ(machines.key(epoch, "mykey", {6, 5, 4}), key);
  EXPECT_EQ(machines.key(epoch, "mykey", {2, 0, 6}), key);
  EXPECT_NE(machines.key(epoch, "other"), key);
}

TEST_F(Nodes, AKilledNodeComesBackWithItsShare) {
  Machines machines{7, random_};
  const Epoch epoch = begin(machines);
  const std::string key = machines.key(epoch, "mykey");
  for (std::uint32_t id = 0; id < 7; ++id) {
    machines[id].kill();
    machines[id].start();
    EXPECT_TRUE(machines[id].node().holds_share()) << id;
  }
  EXPECT_EQ(machines.key(epoch, "mykey"), key);
}

TEST_F(Nodes, TwoKilledDuringADerivationDoNotStopIt) {
  Machines machines{7, random_};
  const Epoch epoch = begin(machines);
  const std::string key = machines.key(epoch, "mykey");
  for (const std::uint32_t id : {0U, 2U}) {
    machines[id].hook.at = [](Machine& machine, std::string_view step, When when) {
      if (step == "derive" && when == When::after) machine.kill();
    };
  }
  EXPECT_EQ(machines.key(epoch, "mykey"), key);
  EXPECT_FALSE(machines[0].alive() || machines[2].alive());
}

TEST_F(Nodes, WithoutAThresholdItSaysWhoIsAwayAndWhatIsNotLost) {
  Machines machines{7, random_};
  const Epoch epoch = begin(machines);
  for (std::uint32_t id = 0; id < 5; ++id) machines[id].kill();
  base::Error why;
  EXPECT_EQ(machines.key(epoch, "mykey", {}, &why), "");
  EXPECT_EQ(why.code, Code::unavailable);
  EXPECT_THAT(why.text(), HasSubstr("expected 3 nodes; found 2; without:"));
  EXPECT_THAT(why.text(), HasSubstr("no key is lost"));
}

// kill -9 of two nodes before and after each step of a resharing to other nodes; they come back later.
TEST_F(Nodes, TwoKilledAtAnyStepOfAResharingDoNotChangeTheKey) {
  for (const std::string_view step : {"deal", "store", "activate"}) {
    for (const When when : {When::before, When::after}) {
      SCOPED_TRACE(std::string{step} + (when == When::before ? " before" : " after"));
      Machines machines{9, random_};
      const Epoch first = begin(machines);
      const std::string key = machines.key(first, "mykey");
      const auto killed = std::make_shared<std::array<std::atomic<bool>, 9>>();
      for (const std::uint32_t id : {3U, 5U}) {
        machines[id].hook.at = [=](Machine& machine, std::string_view at, When now) {
          // Node 7 and 8 are told of the first epoch, too: by the time of the resharing's steps nobody was killed yet.
          if (at == step && now == when && !(*killed)[id].exchange(true)) machine.kill();
        };
      }
      const auto changed = machines.reshare(first, machines.intent(2, 7, 3, &first));
      ASSERT_TRUE(changed.ok()) << changed.error().text();
      EXPECT_EQ(machines.key(changed->epoch, "mykey"), key);
      for (const std::uint32_t id : {3U, 5U}) {
        machines[id].start();
        EXPECT_TRUE(machines[id].node().activate(changed->epoch).ok());
        EXPECT_TRUE(machines[id].node().holds_share()) << id << ": the deals are kept for who was away";
      }
      EXPECT_EQ(machines.key(changed->epoch, "mykey", {3, 5}), key);
    }
  }
}

// All of the new members answer after whoever leads was gone: it begins again, and the epoch before has lost nothing.
TEST_F(Nodes, AResharingThatStopsAnywhereIsBegunAgain) {
  for (const std::string_view step : {"offer", "deal", "store"}) {
    SCOPED_TRACE(step);
    Machines machines{7, random_};
    const Epoch first = begin(machines);
    const std::string key = machines.key(first, "mykey");
    for (std::uint32_t id = 0; id < 7; ++id) {
      machines[id].hook.at = [=](Machine& machine, std::string_view at, When when) {
        if (at == step && when == When::after) machine.kill();
      };
    }
    EXPECT_FALSE(machines.reshare(first, machines.intent(0, 7, 4, &first)).ok());
    for (std::uint32_t id = 0; id < 7; ++id) {
      machines[id].hook = {};
      machines[id].start();
    }
    EXPECT_EQ(machines.key(first, "mykey"), key) << "the first epoch is in force";
    const auto changed = machines.reshare(first, machines.intent(0, 7, 4, &first));
    ASSERT_TRUE(changed.ok()) << changed.error().text();
    EXPECT_EQ(machines.key(changed->epoch, "mykey"), key);
  }
}

TEST_F(Nodes, AChangeThatNodesRefuseIsDeniedAndOneThatTheyAreMissingInIsNot) {
  Machines machines{7, random_};
  const Epoch first = begin(machines);
  const Plan next = machines.intent(0, 7, 3, &first);
  const auto refused = cluster::reshare(first, next, {}, machines, random_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::denied) << refused.error().text();
  EXPECT_THAT(refused.error().text(), HasSubstr("see to what they refuse; nothing was changed"));

  for (const std::uint32_t id : {2U, 4U, 6U}) {
    machines[id].hook.at = [](Machine& machine, std::string_view step, When when) {
      if (step == "store" && when == When::before) machine.kill();
    };
  }
  const auto away = machines.reshare(first, next);
  ASSERT_FALSE(away.ok());
  EXPECT_EQ(away.error().code, Code::unavailable) << "an outage is no denial: " << away.error().text();
  EXPECT_THAT(away.error().text(), HasSubstr("expected 5; found 4; without: node 2 (store): node 2 does not answer"));
}

TEST_F(Nodes, AFirstEpochThatStopsAnywhereIsGoneOnWith) {
  for (const std::string_view step : {"offer", "deal", "check", "store", "activate"}) {
    SCOPED_TRACE(step);
    Machines machines{5, random_};
    std::atomic<int> stopped = 0;
    for (std::uint32_t id = 0; id < 5; ++id) {
      machines[id].hook.at = [&, id](Machine& machine, std::string_view at, When when) {
        if (id % 2 == 0 && at == step && when == When::after && stopped < 3) {
          ++stopped;
          machine.kill();
        }
      };
    }
    const Plan intent = machines.intent(0, 5, 3);
    const auto interrupted = machines.generate(intent);
    for (std::uint32_t id = 0; id < 5; ++id) {
      machines[id].hook = {};
      if (!machines[id].alive()) machines[id].start();
    }
    const auto again = machines.generate(intent);
    if (step == "activate") {
      // In force on some, and the others are told.
      ASSERT_TRUE(interrupted.ok());
      EXPECT_THAT(tell(interrupted->epoch, interrupted->epoch.plan.members, machines), IsEmpty());
      EXPECT_EQ(machines.key(interrupted->epoch, "mykey").size(), 32);
      continue;
    }
    EXPECT_FALSE(interrupted.ok());
    ASSERT_TRUE(again.ok()) << again.error().text();
    EXPECT_EQ(machines.key(again->epoch, "mykey").size(), 32);
  }
}

TEST_F(Nodes, AMemberThatIsAwayAtTheBeginningIsNamedAndNothingHappens) {
  Machines machines{7, random_};
  const Plan intent = machines.intent(0, 7, 3);
  machines[4].kill();
  const auto changed = machines.generate(intent);
  ASSERT_FALSE(changed.ok());
  EXPECT_THAT(changed.error().text(), HasSubstr("node 4"));
  EXPECT_THAT(changed.error().text(), HasSubstr("nothing was changed"));
  machines[4].start();
  EXPECT_TRUE(machines.generate(intent).ok());
}

TEST_F(Nodes, AMemberThatGoesAwayBeforeItStoresIsNamedAndIsNoRefusal) {
  for (const bool first_epoch : {true, false}) {
    Machines machines{4, random_};
    std::optional<Epoch> before;
    if (!first_epoch) before.emplace(begin(machines, 4, 3));
    machines[2].hook.at = [](Machine& machine, std::string_view at, When now) {
      if (at == "store" && now == When::before) machine.kill();
    };
    const Plan intent = before ? machines.intent(0, 4, 3, &*before) : machines.intent(0, 4, 3);
    std::vector<Failing> failing;
    const auto changed = machines.change(before ? &*before : nullptr, intent, failing);
    ASSERT_FALSE(changed.ok());
    EXPECT_EQ(changed.error().code, Code::unavailable);
    EXPECT_THAT(changed.error().text(), HasSubstr("node 2 (store)"));
    EXPECT_THAT(changed.error().text(), HasSubstr("nothing was changed"));
    ASSERT_EQ(failing.size(), 1U);
    EXPECT_EQ(failing.front().id, 2U);
    EXPECT_EQ(failing.front().step, "store");
    EXPECT_FALSE(failing.front().guilty);
  }
}

/// Makes each deal of node `id` wrong for one receiver, signed as it ought to be.
Deal cheat(const Deal& deal, const crypto::Ed25519PrivateKey& key, std::size_t from_the_end) {
  base::Bytes bytes = deal.bytes();
  bytes[bytes.size() - 64 - from_the_end * 52 - 48] ^= 1;
  const std::size_t body = bytes.size() - 64;
  const auto signature = key.sign(base::ByteView{bytes}.first(body));
  std::ranges::copy(signature, bytes.begin() + static_cast<std::ptrdiff_t>(body));
  return *Deal::parse(bytes);
}

TEST_F(Nodes, ADealOfSomebodyElseIsNobodysDeal) {
  Machines machines{7, random_};
  const Epoch first = begin(machines);
  const std::string key = machines.key(first, "mykey");
  const auto stranger = crypto::Ed25519PrivateKey::generate(random_);
  machines[1].hook.deal = [&](base::Result<Deal> deal) -> base::Result<Deal> { return cheat(*deal, stranger, 2); };
  const auto changed = machines.reshare(first, machines.intent(0, 7, 3, &first));
  ASSERT_TRUE(changed.ok()) << changed.error().text();
  ASSERT_EQ(changed->failing.size(), 1);
  EXPECT_EQ(changed->failing[0].id, 1);
  EXPECT_TRUE(changed->failing[0].guilty);
  EXPECT_THAT(changed->failing[0].error.text(), HasSubstr("node 1: it did not sign this deal"));
  EXPECT_EQ(machines.key(changed->epoch, "mykey"), key);
}

// Nobody but the receiver can see it, and everybody can judge it; the epoch goes on without the dealer.
TEST_F(Nodes, ADealerThatCheatsOneMemberIsProvedGuiltyAndLeftOut) {
  Machines machines{7, random_};
  const auto cheating = [](Machine& machine) {
    machine.hook.deal = [&machine](base::Result<Deal> deal) -> base::Result<Deal> {
      return cheat(*deal, machine.signing(), 2);
    };
  };
  cheating(machines[1]);
  const auto begun = machines.generate(machines.intent(0, 7, 3));
  ASSERT_TRUE(begun.ok()) << begun.error().text();
  ASSERT_EQ(begun->failing.size(), 1);
  EXPECT_TRUE(begun->failing[0].guilty);
  EXPECT_THAT(begun->failing[0].error.text(), HasSubstr("node 1: its value for node 4 is wrong"));
  const std::string key = machines.key(begun->epoch, "mykey", {1, 4, 6});
  ASSERT_EQ(key.size(), 32) << "the cheated one and the cheat have shares of what the others dealt";

  const auto changed = machines.reshare(begun->epoch, machines.intent(0, 7, 3, &begun->epoch));
  ASSERT_TRUE(changed.ok()) << changed.error().text();
  ASSERT_EQ(changed->failing.size(), 1);
  EXPECT_THAT(changed->failing[0].error.text(), HasSubstr("node 1: its value for node 4 is wrong"));
  EXPECT_EQ(machines.key(changed->epoch, "mykey"), key);
}

TEST_F(Nodes, AWrongAnswerIsNamedAndLeftOutWhereItCanBeSeen) {
  Machines machines{7, random_};
  const Epoch epoch = begin(machines);
  const keys::ckd::MasterPublicKey master{epoch.outcome.commitments().constant()};
  const auto blinding = keys::ckd::Blinding::random(random_);
  const base::Digest32 id = keys::ckd::app_id("alice.near", "");
  const G1 point = keys::ckd::hash_point(master, id);
  machines[1].hook.share = [](base::Result<keys::ckd::Ciphertext> share) -> base::Result<keys::ckd::Ciphertext> {
    share->big_c = share->big_y;
    return share;
  };
  // Without a second key nobody but the application can see it.
  const FindDeriver find = [&](const Member& member) { return machines.find(member); };
  const auto blind = derive(epoch, master, id, {blinding.public_key(), std::nullopt}, {}, find);
  ASSERT_TRUE(blind.ok());
  EXPECT_FALSE(blinding.open(blind->answer, master, point).ok());

  for (const bool second_key : {true, false}) {
    const std::optional<G2> pk2 = second_key ? std::optional{blinding.public_key2()} : std::nullopt;
    const auto derived = derive(epoch, master, id, {blinding.public_key(), pk2}, {}, find, {.careful = !second_key});
    ASSERT_TRUE(derived.ok()) << derived.error().text();
    EXPECT_TRUE(blinding.open(derived->answer, master, point).ok());
    ASSERT_EQ(derived->failing.size(), 1);
    EXPECT_EQ(derived->failing[0].id, 1);
    EXPECT_TRUE(derived->failing[0].guilty);
    EXPECT_THAT(derived->failing[0].error.text(), HasSubstr("node 1: its share of the answer is wrong"));
  }
}

TEST_F(Nodes, TheStoresOfAllButAThresholdDoNotGiveTheMaster) {
  Machines machines{7, random_};
  const Epoch epoch = begin(machines);
  const G2 master = epoch.outcome.commitments().constant();
  std::vector<Scalar> shares;
  for (std::uint32_t id = 0; id < 7; ++id) {
    std::vector<Scalar> found = scalars(machines[id]);
    ASSERT_THAT(found, ::testing::SizeIs(1)) << "its share, and nothing else";
    shares.push_back(std::move(found.front()));
  }
  // Whoever they are, and however few: 35 threes have it (the look at the stores is one that finds it), 21 twos and 7
  // alone have not.
  int threes = 0;
  for (std::uint32_t chosen = 1; chosen < 1U << 7; ++chosen) {
    const auto count = std::popcount(chosen);
    if (count > 3) continue;
    EXPECT_EQ(G2::times_generator(interpolated(chosen, shares)) == master, count == 3) << "nodes " << chosen;
    threes += count == 3 ? 1 : 0;
  }
  EXPECT_EQ(threes, 35);
}

TEST_F(Nodes, AfterARefreshOldSharesAreGoneAndStolenOnesWorthless) {
  Machines machines{7, random_};
  const Epoch first = begin(machines);
  const std::string key = machines.key(first, "mykey");
  std::vector<Scalar> stolen;  // those of any two, below
  for (std::uint32_t id = 0; id < 7; ++id) stolen.push_back(scalars(machines[id]).front().clone());
  const auto changed = machines.reshare(first, machines.intent(0, 7, 3, &first));
  ASSERT_TRUE(changed.ok());
  EXPECT_THAT(changed->not_told, IsEmpty());
  EXPECT_EQ(machines.key(changed->epoch, "mykey"), key);
  std::vector<Scalar> now;
  for (std::uint32_t id = 0; id < 7; ++id) {
    std::vector<Scalar> all = scalars(machines[id]);
    ASSERT_EQ(all.size(), 1) << "neither old shares nor keys of plans";
    EXPECT_FALSE(first.outcome.commitments().holds(id, all.front()));
    EXPECT_TRUE(changed->epoch.outcome.commitments().holds(id, all.front()));
    now.push_back(std::move(all.front()));
  }
  // Any one or two old shares with a new one, or two.
  const G2 master = first.outcome.commitments().constant();
  for (std::uint32_t chosen = 1; chosen < 1U << 7; ++chosen) {
    for (std::uint32_t old = chosen; old != 0; old = (old - 1) & chosen) {
      if (std::popcount(chosen) != 3 || std::popcount(old) > 2) continue;
      std::vector<Scalar> mixed;
      for (std::uint32_t id = 0; id < 7; ++id) mixed.push_back((old >> id & 1 ? stolen : now)[id].clone());
      EXPECT_FALSE(G2::times_generator(interpolated(chosen, mixed)) == master) << chosen << " of them old: " << old;
    }
  }
}

TEST_F(Nodes, NodesThatLeaveForgetTheirShares) {
  Machines machines{10, random_};
  const Epoch first = begin(machines);
  const auto changed = machines.reshare(first, machines.intent(3, 7, 4, &first));
  ASSERT_TRUE(changed.ok()) << changed.error().text();
  for (const std::uint32_t id : {0U, 1U, 2U}) {
    EXPECT_FALSE(machines[id].node().holds_share());
    EXPECT_THAT(scalars(machines[id]), IsEmpty());
  }
  EXPECT_EQ(machines[0].node().current()->plan.epoch, 2) << "it knows where the master is now";
}

TEST_F(Nodes, NodesThatWereNotToldAreNamed) {
  Machines machines{7, random_};
  const Epoch first = begin(machines);
  machines[6].hook.at = [](Machine& machine, std::string_view step, When) {
    if (step == "activate") machine.kill();
  };
  const auto changed = machines.reshare(first, machines.intent(0, 6, 3, &first));
  ASSERT_TRUE(changed.ok());
  EXPECT_THAT(changed->not_told, ::testing::ElementsAre(6));
  machines[6].hook = {};
  machines[6].start();
  EXPECT_TRUE(machines[6].node().holds_share()) << "the old one, until it hears";
  EXPECT_THAT(tell(changed->epoch, first.plan.members, machines), IsEmpty());
  EXPECT_FALSE(machines[6].node().holds_share());
}

TEST_F(Nodes, PlansThatNobodyApproved) {
  Machines machines{7, random_};
  Plan plan = machines.intent(0, 7, 3);
  plan.session.fill(1);
  for (Member& member : plan.members) {
    const auto offer = machines[member.id].node().offer(plan.cluster, plan.session);
    member.box_key = offer->box_key;
    member.offer = offer->signature;
  }
  Node& node = machines[0].node();
  EXPECT_EQ(node.propose(plan, {}).error().code, Code::denied);
  const auto stranger = crypto::Ed25519PrivateKey::generate(random_);
  EXPECT_EQ(node.propose(plan, {{Approval::sign(plan, stranger)}}).error().code, Code::denied);
  const Approval approval = machines.approve(plan);
  EXPECT_TRUE(node.propose(plan, approval).ok());
  Plan lower = plan;
  lower.threshold = 2;
  EXPECT_EQ(node.propose(lower, approval).error().code, Code::denied) << "approved for another threshold";
  Plan other = plan;
  other.members.pop_back();
  EXPECT_EQ(node.propose(other, approval).error().code, Code::denied) << "approved for other members";
  Plan again = plan;
  again.session.fill(2);
  EXPECT_EQ(node.propose(again, approval).error().code, Code::evidence_false) << "keys of another attempt";
  for (Member& member : again.members) {
    const auto offer = machines[member.id].node().offer(again.cluster, again.session);
    member.box_key = offer->box_key;
    member.offer = offer->signature;
  }
  EXPECT_TRUE(node.propose(again, approval).ok()) << "another attempt at the same";
  // Whoever leads puts in a key of its own, and would open all shares.
  Plan own = plan;
  own.members[3].box_key = G1::times_generator(Scalar::random(random_)).encode();
  const auto denied = node.propose(own, approval);
  ASSERT_FALSE(denied.ok());
  EXPECT_THAT(denied.error().text(), HasSubstr("node 3: the key that shares are encrypted to"));
  own.members[3].offer = Offer::sign(own.cluster, own.session, 3, own.members[3].box_key, stranger).signature;
  EXPECT_FALSE(node.propose(own, approval).ok());
  Plan production = plan;
  production.realm = base::Realm::production;
  EXPECT_EQ(node.propose(production, machines.approve(production)).error().code, Code::realm_mismatch);
}

TEST_F(Nodes, TheSameDealAndTheSameAnswerWhenAskedAgain) {
  Machines machines{7, random_};
  Plan plan = machines.intent(0, 7, 3);
  plan.session.fill(1);
  for (Member& member : plan.members) {
    const auto offer = machines[member.id].node().offer(plan.cluster, plan.session);
    member.box_key = offer->box_key;
    member.offer = offer->signature;
  }
  const Approval approval = machines.approve(plan);
  const base::Digest32 deal = machines[0].node().propose(plan, approval)->digest();
  const auto offered = machines[0].node().offer(plan.cluster, plan.session)->box_key;
  machines[0].kill();
  machines[0].start();
  EXPECT_EQ(machines[0].node().propose(plan, approval)->digest(), deal);
  EXPECT_EQ(machines[0].node().offer(plan.cluster, plan.session)->box_key, offered);

  const Epoch epoch = begin(machines);
  const auto key = keys::ckd::Blinding::random(random_).public_key().encode();
  const base::Digest32 outcome = epoch.outcome.digest();
  const Node::Request request{1, outcome, base::Bytes(32, 1), key, {0, 1, 2}};
  const auto answer = machines[0].node().derive(request);
  ASSERT_TRUE(answer.ok());
  machines[0].kill();
  machines[0].start();
  EXPECT_EQ(*machines[0].node().derive(request), *answer);
  const Node::Request others{1, outcome, base::Bytes(32, 1), key, {0, 1, 3}};
  EXPECT_NE(machines[0].node().derive(others)->big_y, answer->big_y) << "another request has another blinding";
}

// Whoever has a node's seed, from a disk that was stolen in another epoch, cannot tell how its answers are blinded.
TEST_F(Nodes, TheBlindingOfAnswersIsRandomForEachEpochAndErasedWithItsShare) {
  Machines machines{7, random_};
  const Epoch first = begin(machines);
  Machine& machine = machines[0];
  const auto key = keys::ckd::Blinding::random(random_).public_key().encode();
  const Node::Request request{1, first.outcome.digest(), base::Bytes(32, 1), key, {0, 1, 2}};
  const auto answer = machine.node().derive(request);
  ASSERT_TRUE(answer.ok());
  const auto stolen = blindings(machine);
  ASSERT_THAT(stolen, ::testing::SizeIs(1)) << "beside the share, and sealed";

  // With the same seed, share and request, but without that secret, as after an import.
  ASSERT_TRUE(machine.store()
                  .write_and_wait([&](state::WriteTxn& txn) { return txn.erase(stolen.begin()->first); },
                                  std::chrono::steady_clock::now() + std::chrono::seconds(30))
                  .ok());
  machine.kill();
  machine.start();
  const auto other = machine.node().derive(request);
  ASSERT_TRUE(other.ok()) << "a new one is made where there is none";
  EXPECT_NE(other->big_y, answer->big_y);
  machine.kill();
  machine.start();
  EXPECT_EQ(*machine.node().derive(request), *other) << "and kept";

  const auto changed = machines.reshare(first, machines.intent(0, 7, 3, &first));
  ASSERT_TRUE(changed.ok()) << changed.error().text();
  const auto now = blindings(machine);
  ASSERT_THAT(now, ::testing::SizeIs(1));
  EXPECT_NE(now.begin()->first, stolen.begin()->first);
  EXPECT_NE(now.begin()->second, stolen.begin()->second);
}

TEST_F(Nodes, RequestsThatMakeNoSense) {
  Machines machines{7, random_};
  const Epoch epoch = begin(machines);
  Node& node = machines[0].node();
  const auto key = keys::ckd::Blinding::random(random_).public_key().encode();
  const auto said = [&](Node::Request request) { return node.derive(request).error().code; };
  const base::Digest32 outcome = epoch.outcome.digest();
  const base::Bytes app(32, 1);
  EXPECT_EQ(said({2, outcome, app, key, {0, 1, 2}}), Code::conflict);
  EXPECT_EQ(said({1, {}, app, key, {0, 1, 2}}), Code::conflict) << "another outcome of the same number";
  EXPECT_EQ(said({1, outcome, app, key, {0, 1}}), Code::malformed) << "fewer than the threshold";
  EXPECT_EQ(said({1, outcome, app, key, {1, 2, 3}}), Code::malformed) << "without this node";
  EXPECT_EQ(said({1, outcome, app, key, {0, 1, 9}}), Code::malformed) << "not a member";
  EXPECT_EQ(said({1, outcome, app, key, {0, 1, 1}}), Code::malformed) << "one twice";
  EXPECT_EQ(said({1, outcome, app, G1{}.encode(), {0, 1, 2}}), Code::malformed) << "no blinding at all";
}

// Two lead at the same time, and both get a certificate: all nodes end with the same one.
TEST_F(Nodes, OfTwoEpochsWithOneNumberTheSameWinsEverywhere) {
  Machines machines{7, random_};
  const Epoch first = begin(machines);
  const std::string key = machines.key(first, "mykey");
  const std::vector<Epoch> made = machines.two_outcomes(first, 7, 3);
  const std::size_t less = made[0].outcome.digest() < made[1].outcome.digest() ? 0 : 1;
  for (std::uint32_t id = 0; id < 7; ++id) {
    EXPECT_TRUE(machines[id].node().activate(made[id % 2]).ok());
    EXPECT_TRUE(machines[id].node().activate(made[1 - id % 2]).ok());
    EXPECT_EQ(machines[id].node().current()->outcome.digest(), made[less].outcome.digest()) << id;
    EXPECT_TRUE(machines[id].node().holds_share());
  }
  EXPECT_EQ(machines.key(made[less], "mykey"), key);
}

// The commit has succeeded, and what the log does after it has not: nobody may be told, and it is in force.
TEST_F(Nodes, WhatTheDiskHasIsInForceAlsoWhenTheLogFailed) {
  Machines machines{5, random_};
  const Epoch first = begin(machines, 5, 3);
  const std::string key = machines.key(first, "mykey");
  machines[4].hook.at = [](Machine& machine, std::string_view step, When when) {
    if (step != "activate" || when != When::before) return;
    machine.store().set_after_commit(
        [](const state::ReadView&) -> base::Status { return base::Error{Code::io, "the log's checkpoint"}; });
  };
  const auto changed = machines.reshare(first, machines.intent(0, 5, 3, &first));
  ASSERT_TRUE(changed.ok()) << changed.error().text();
  EXPECT_EQ(changed->not_told, std::vector<std::uint32_t>{4});
  EXPECT_EQ(machines[4].node().current()->outcome.digest(), changed->epoch.outcome.digest());
  EXPECT_TRUE(machines[4].node().holds_share());
  EXPECT_EQ(machines.key(changed->epoch, "mykey", {4, 3, 2}), key);
}

TEST_F(Nodes, AnEpochWithoutACertificateOrOfAnotherMasterIsNotPutInForce) {
  Machines machines{8, random_};
  const Epoch first = begin(machines);
  Epoch bare = first;
  bare.certificate.stored.pop_back();
  EXPECT_EQ(machines[7].node().activate(bare).error().code, Code::denied) << "one of seven has not stored its share";
  bare = first;
  bare.certificate.stored[3].signature[0] ^= 1;
  EXPECT_THAT(machines[7].node().activate(bare).error().text(), HasSubstr("node 3: its word"));
  bare = first;
  bare.approval.signatures.clear();
  EXPECT_EQ(machines[7].node().activate(bare).error().code, Code::denied) << "no operator";
  EXPECT_THAT(machines[7].node().activate(bare).error().text(), HasSubstr("When node.operators has changed since"));
  EXPECT_TRUE(machines[7].node().activate(first).ok());

  // A later epoch of another master, approved by the same operator.
  Machines others{7, random_};
  const Epoch begun = begin(others);
  Epoch foreign = std::move(others.reshare(begun, others.intent(0, 7, 3, &begun))->epoch);
  foreign.approval = machines.approve(foreign.plan);
  EXPECT_EQ(machines[7].node().activate(foreign).error().code, Code::conflict);
}

TEST_F(Nodes, AnEpochComesBackFromItsBytes) {
  Machines machines{4, random_};
  const Epoch epoch = begin(machines, 4, 2);
  const auto parsed = Epoch::parse(epoch.bytes());
  ASSERT_TRUE(parsed.ok()) << parsed.error().text();
  EXPECT_EQ(parsed->bytes(), epoch.bytes());
  base::Bytes more = epoch.bytes();
  more.push_back(0);
  EXPECT_FALSE(Epoch::parse(more).ok());
  Epoch mixed = epoch;
  mixed.deals.pop_back();
  EXPECT_FALSE(Epoch::parse(mixed.bytes()).ok());
}

TEST_F(Nodes, WhatPeopleSeeOfAnEpochHoldsByItself) {
  Machines machines{4, random_};
  const Epoch epoch = begin(machines, 4, 2);
  const base::Bytes bytes = CertifiedEpoch::of(epoch).bytes();
  const auto parsed = CertifiedEpoch::parse(bytes);
  ASSERT_TRUE(parsed.ok()) << parsed.error().text();
  EXPECT_EQ(parsed->bytes(), bytes);
  EXPECT_EQ(parsed->plan.digest(), epoch.plan.digest());
  EXPECT_EQ(parsed->outcome.digest(), epoch.outcome.digest());
  base::Bytes more = bytes;
  more.push_back(0);
  EXPECT_EQ(CertifiedEpoch::parse(more).error().code, Code::malformed);
  EXPECT_EQ(CertifiedEpoch::parse(epoch.bytes()).error().code, Code::malformed) << "one with its deals";

  CertifiedEpoch changed = CertifiedEpoch::of(epoch);
  changed.plan.members[1].address = "10.0.0.9:1";
  EXPECT_THAT(CertifiedEpoch::parse(changed.bytes()).error().text(), HasSubstr("parts of several"));
  changed = CertifiedEpoch::of(epoch);
  changed.certificate.stored[3].signature[0] ^= 1;
  EXPECT_THAT(CertifiedEpoch::parse(changed.bytes()).error().text(), HasSubstr("node 3: its word"));
  changed = CertifiedEpoch::of(epoch);
  changed.certificate.stored.pop_back();
  EXPECT_EQ(CertifiedEpoch::parse(changed.bytes()).error().code, Code::denied);
}

}  // namespace
}  // namespace attestry::cluster
