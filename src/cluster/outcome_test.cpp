// The whole of an epoch's change, through the doors that nodes use: plan, deals, complaints, outcome.
#include "cluster/outcome.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"

namespace attestry::cluster {
namespace {

using base::Code;
using curves::bls::G1;
using curves::bls::G2;
using curves::bls::Scalar;
using ::testing::HasSubstr;

struct Keys {
  crypto::Ed25519PrivateKey signing;
  Scalar box;
};

class Epochs : public testing::Test {
 protected:
  crypto::SeededRandom random_{base::as_bytes("epochs")};
  std::vector<Keys> keys_;

  Epochs() {
    for (int i = 0; i < 14; ++i)
      keys_.push_back({crypto::Ed25519PrivateKey::generate(random_), Scalar::random(random_)});
  }

  Plan plan(std::uint32_t first, std::uint32_t count, std::uint16_t threshold) {
    Plan out;
    out.cluster.fill(7);
    out.session = random_.bytes<32>();
    out.threshold = threshold;
    for (std::uint32_t id = first; id < first + count; ++id) {
      const auto box = G1::times_generator(keys_[id].box).encode();
      const Offer offer = Offer::sign(out.cluster, out.session, id, box, keys_[id].signing);
      out.members.push_back(
          {id, keys_[id].signing.public_key(), box, offer.signature, "node" + std::to_string(id) + ":9443"});
    }
    return out;
  }
  Plan after(const Plan& before, const Outcome& outcome, std::uint32_t first, std::uint32_t count,
             std::uint16_t threshold) {
    Plan out = plan(first, count, threshold);
    out.epoch = before.epoch + 1;
    out.previous = outcome.digest();
    return out;
  }

  Deal deal(const Plan& plan, std::uint32_t dealer, Scalar secret) {
    const Polynomial polynomial = Polynomial::random(std::move(secret), plan.threshold, random_);
    return *Deal::make(plan, dealer, polynomial, keys_[dealer].signing, random_);
  }
  std::vector<Deal> generation(const Plan& plan) {
    std::vector<Deal> out;
    for (const Member& member : plan.members) out.push_back(deal(plan, member.id, Scalar::random(random_)));
    return out;
  }
  using Shares = std::map<std::uint32_t, Scalar>;
  Shares shares(const Plan& plan, const Outcome& outcome, std::span<const Deal> deals) {
    Shares out;
    for (const Member& member : plan.members) {
      auto share = outcome.share(plan, deals, member.id, keys_[member.id].box);
      EXPECT_TRUE(share.ok()) << share.error().text();
      out.emplace(member.id, *std::move(share));
    }
    return out;
  }
  std::vector<Deal> resharing(const Plan& plan, const Shares& shares, const std::vector<std::uint32_t>& dealers) {
    std::vector<Deal> out;
    for (const std::uint32_t id : dealers) out.push_back(deal(plan, id, shares.at(id).clone()));
    return out;
  }
  static Scalar secret_of(const Shares& shares, const std::vector<std::uint32_t>& ids) {
    const auto weight = weights(ids);
    Scalar out = Scalar::from_u32(0);
    for (std::size_t i = 0; i < ids.size(); ++i) out = out + shares.at(ids[i]) * (*weight)[i];
    return out;
  }
  static bool opens(const Scalar& secret, const Outcome& outcome) {
    return G2::times_generator(secret) == outcome.commitments().constant();
  }

  struct Running {
    Plan plan;
    Outcome outcome;
    Shares shares;
  };
  Running first(std::uint32_t count = 7, std::uint16_t threshold = 3) {
    const Plan made = plan(0, count, threshold);
    const std::vector<Deal> deals = generation(made);
    Outcome outcome = *Outcome::generate(made, deals);
    Shares all = shares(made, outcome, deals);
    return {made, std::move(outcome), std::move(all)};
  }
};

TEST_F(Epochs, AMasterThatAnyThresholdHasAndFewerHaveNot) {
  const Running one = first();
  EXPECT_TRUE(opens(secret_of(one.shares, {0, 1, 2}), one.outcome));
  EXPECT_TRUE(opens(secret_of(one.shares, {6, 2, 4}), one.outcome));
  EXPECT_TRUE(opens(secret_of(one.shares, {0, 1, 2, 3, 4, 5, 6}), one.outcome));
  EXPECT_FALSE(opens(secret_of(one.shares, {0, 6}), one.outcome));
  for (const auto& [id, share] : one.shares) EXPECT_TRUE(one.outcome.commitments().holds(id, share)) << id;
}

TEST_F(Epochs, NodesThatDidNotDealGetSharesToo) {
  const Plan made = plan(0, 7, 3);
  std::vector<Deal> deals = generation(made);
  deals.erase(deals.begin() + 1, deals.begin() + 4);
  const auto outcome = Outcome::generate(made, deals);
  ASSERT_TRUE(outcome.ok());
  EXPECT_TRUE(opens(secret_of(shares(made, *outcome, deals), {1, 2, 3}), *outcome));
}

TEST_F(Epochs, TooFewDeals) {
  const Plan made = plan(0, 7, 3);
  const std::vector<Deal> deals = generation(made);
  const auto few = Outcome::generate(made, std::span{deals}.first(2));
  ASSERT_FALSE(few.ok());
  EXPECT_EQ(few.error().code, Code::denied);
  const Running one = first();
  const Plan next = after(one.plan, one.outcome, 0, 7, 3);
  EXPECT_EQ(Outcome::reshare(next, one.plan, one.outcome, resharing(next, one.shares, {1, 5})).error().code,
            Code::denied);
}

TEST_F(Epochs, OtherNodesAndAnotherThresholdHaveTheSameMaster) {
  const Running one = first();
  const Plan next = after(one.plan, one.outcome, 5, 9, 4);
  const std::vector<Deal> deals = resharing(next, one.shares, {0, 3, 6});
  const auto outcome = Outcome::reshare(next, one.plan, one.outcome, deals);
  ASSERT_TRUE(outcome.ok()) << outcome.error().text();
  EXPECT_TRUE(outcome->commitments().constant() == one.outcome.commitments().constant());
  const Shares later = shares(next, *outcome, deals);
  EXPECT_TRUE(opens(secret_of(later, {7, 8, 12, 13}), one.outcome));
  EXPECT_FALSE(opens(secret_of(later, {7, 8, 12}), one.outcome));
}

TEST_F(Epochs, ARefreshMakesStolenSharesWorthless) {
  const Running one = first();
  const Plan next = after(one.plan, one.outcome, 0, 7, 3);
  const std::vector<Deal> deals = resharing(next, one.shares, {0, 1, 2, 3, 4, 5, 6});
  const auto outcome = Outcome::reshare(next, one.plan, one.outcome, deals);
  ASSERT_TRUE(outcome.ok());
  const Shares later = shares(next, *outcome, deals);
  EXPECT_TRUE(opens(secret_of(later, {4, 5, 6}), one.outcome));
  Shares mixed;  // two of the old ones, one of the new ones
  mixed.emplace(0, one.shares.at(0).clone());
  mixed.emplace(1, one.shares.at(1).clone());
  mixed.emplace(2, later.at(2).clone());
  EXPECT_FALSE(opens(secret_of(mixed, {0, 1, 2}), one.outcome));
}

TEST_F(Epochs, AnyDealersGiveTheSameMasterAgainAndAgain) {
  Running now = first();
  const G2 master = now.outcome.commitments().constant();
  for (const std::vector<std::uint32_t>& dealers :
       std::vector<std::vector<std::uint32_t>>{{0, 1, 2}, {4, 5, 6}, {0, 2, 4, 6}, {1, 3, 5}}) {
    Plan next = after(now.plan, now.outcome, 0, 7, 3);
    const std::vector<Deal> deals = resharing(next, now.shares, dealers);
    auto outcome = Outcome::reshare(next, now.plan, now.outcome, deals);
    ASSERT_TRUE(outcome.ok());
    Shares later = shares(next, *outcome, deals);
    now = {std::move(next), *std::move(outcome), std::move(later)};
    EXPECT_TRUE(now.outcome.commitments().constant() == master);
  }
  EXPECT_TRUE(G2::times_generator(secret_of(now.shares, {2, 3, 4})) == master);
}

TEST_F(Epochs, ADealerThatDealsAnotherSecretIsNamed) {
  const Running one = first();
  const Plan next = after(one.plan, one.outcome, 0, 7, 3);
  std::vector<Deal> deals = resharing(next, one.shares, {0, 1, 2, 3});
  deals[2] = deal(next, 2, Scalar::random(random_));
  const auto outcome = Outcome::reshare(next, one.plan, one.outcome, deals);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, Code::evidence_false);
  EXPECT_THAT(outcome.error().text(), HasSubstr("node 2: it deals something else than its share"));
}

TEST_F(Epochs, DealsOfOthersAreRefused) {
  const Plan made = plan(0, 7, 3);
  const Deal good = deal(made, 1, Scalar::random(random_));
  const auto said = [&](const Deal& deal, const Plan& plan, std::uint32_t key) {
    return deal.check(plan, keys_[key].signing.public_key(), std::nullopt).error().text();
  };
  EXPECT_TRUE(good.check(made, keys_[1].signing.public_key(), std::nullopt).ok());
  EXPECT_THAT(said(good, made, 2), HasSubstr("node 1: it did not sign this deal"));
  EXPECT_THAT(said(good, plan(0, 7, 3), 1), HasSubstr("node 1: its deal is of another plan")) << "another session";

  // Node 9 is no member of the plan.
  std::vector<Deal> deals = generation(made);
  deals.push_back(deal(made, 9, Scalar::random(random_)));
  EXPECT_THAT(Outcome::generate(made, deals).error().text(), HasSubstr("node 9: it deals and is no member"));
  deals.pop_back();
  deals.push_back(deals.front());
  EXPECT_EQ(Outcome::generate(made, deals).error().code, Code::usage) << "one dealer twice";
}

// One who commits to the negative of what the others share, without knowing it, would choose the sum.
TEST_F(Epochs, WhoeverDealsMustKnowWhatItDeals) {
  const Plan made = plan(0, 7, 3);
  const Deal other = deal(made, 1, Scalar::random(random_));
  base::Bytes bytes = other.bytes();
  // tag ‖ plan ‖ dealer ‖ u16: then the constant. The sign bit makes the negative point.
  const std::size_t constant = 4 + 25 + 32 + 4 + 2;
  bytes[constant] ^= 0x20;
  bytes[constant - 3] = 2;  // dealer 2
  const std::size_t body = bytes.size() - 64;
  const auto signature = keys_[2].signing.sign(base::ByteView{bytes}.first(body));
  std::ranges::copy(signature, bytes.begin() + static_cast<std::ptrdiff_t>(body));
  const auto negated = Deal::parse(bytes);
  ASSERT_TRUE(negated.ok()) << negated.error().text();
  EXPECT_EQ(negated->dealer(), 2);
  EXPECT_THAT(negated->check(made, keys_[2].signing.public_key(), std::nullopt).error().text(),
              HasSubstr("node 2: it does not prove that it knows what it deals"));
}

// With another deal's R and rubbish for values, the complaints of honest nodes would open that deal's values.
TEST_F(Epochs, ADealIsEncryptedWithAKeyOfItsDealer) {
  const Plan made = plan(0, 7, 3);
  const Deal victim = deal(made, 1, Scalar::random(random_));
  const Deal own = deal(made, 2, Scalar::random(random_));
  base::Bytes bytes = own.bytes();
  const std::size_t ephemeral = 4 + 25 + 32 + 4 + 2 + 3 * 96 + 3 * 32;
  const base::ByteView theirs = base::ByteView{victim.bytes()}.subspan(ephemeral, 48);
  std::ranges::copy(theirs, bytes.begin() + static_cast<std::ptrdiff_t>(ephemeral));
  const std::size_t body = bytes.size() - 64;
  const auto signature = keys_[2].signing.sign(base::ByteView{bytes}.first(body));
  std::ranges::copy(signature, bytes.begin() + static_cast<std::ptrdiff_t>(body));
  const auto copied = Deal::parse(bytes);
  ASSERT_TRUE(copied.ok());
  EXPECT_THAT(copied->check(made, keys_[2].signing.public_key(), std::nullopt).error().text(),
              HasSubstr("node 2: it does not prove that it knows what it deals and encrypts with"));
}

class Complaints : public Epochs {
 protected:
  Plan made_ = plan(0, 7, 3);
  Deal good_ = deal(made_, 1, Scalar::random(random_));

  /// A deal of node 1 whose value for node 4 is another than committed to, or no value at all.
  Deal bad() {
    base::Bytes bytes = good_.bytes();
    const std::size_t value = bytes.size() - 64 - 2 * 52 - 48 + 5;  // inside of member 4's, the third from the end
    bytes[value] ^= 1;
    const std::size_t body = bytes.size() - 64;
    const auto signature = keys_[1].signing.sign(base::ByteView{bytes}.first(body));
    std::ranges::copy(signature, bytes.begin() + static_cast<std::ptrdiff_t>(body));
    return *Deal::parse(bytes);
  }
  base::Result<Complaint> complain(const Deal& deal, std::uint32_t receiver) {
    return Complaint::make(made_, deal, receiver, keys_[receiver].box, keys_[receiver].signing, random_);
  }
};

TEST_F(Complaints, AWrongValueIsProvedToEverybody) {
  const Deal deal = bad();
  EXPECT_TRUE(deal.check(made_, keys_[1].signing.public_key(), std::nullopt).ok()) << "nobody else can see it";
  EXPECT_THAT(deal.open(made_, 4, keys_[4].box).error().text(), HasSubstr("node 1: its value for node 4"));
  EXPECT_TRUE(deal.open(made_, 3, keys_[3].box).ok());
  const auto complaint = complain(deal, 4);
  ASSERT_TRUE(complaint.ok());
  const auto parsed = Complaint::parse(complaint->bytes());
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(*parsed->judge(made_, deal), Complaint::Fault::dealer);
}

TEST_F(Complaints, NobodyComplainsAboutARightValue) {
  EXPECT_EQ(complain(good_, 4).error().code, Code::usage);
  EXPECT_EQ(complain(bad(), 3).error().code, Code::usage) << "node 3's is right";
}

// A liar takes the proof of a wrong value to the right deal, signs something, or opens with another point.
TEST_F(Complaints, WhoeverComplainsWithoutReasonIsAtFault) {
  const Deal deal = bad();
  const auto complaint = complain(deal, 4);
  EXPECT_FALSE(complaint->judge(made_, good_).ok()) << "about another deal";

  base::Bytes bytes = complaint->bytes();
  const auto sign = [&](std::uint32_t as) {
    const std::size_t body = bytes.size() - 64;
    const auto signature = keys_[as].signing.sign(base::ByteView{bytes}.first(body));
    std::ranges::copy(signature, bytes.begin() + static_cast<std::ptrdiff_t>(body));
    return *Complaint::parse(bytes);
  };
  // Another common point: then the deal opens for nobody, but the proof does not hold.
  const auto other = G1::times_generator(Scalar::random(random_)).encode();
  std::ranges::copy(other, bytes.end() - 64 - 64 - 48);
  EXPECT_EQ(*sign(4).judge(made_, deal), Complaint::Fault::receiver);
  // Signed by somebody else in node 4's name.
  EXPECT_THAT(sign(3).judge(made_, deal).error().text(), HasSubstr("node 4: it did not sign this complaint"));
}

TEST_F(Complaints, WithoutTheGuiltyDealerTheEpochGoesOn) {
  std::vector<Deal> deals = generation(made_);
  deals[1] = bad();
  const auto with = Outcome::generate(made_, deals);
  ASSERT_TRUE(with.ok());
  EXPECT_THAT(with->share(made_, deals, 4, keys_[4].box).error().text(), HasSubstr("node 1: its value for node 4"));
  deals.erase(deals.begin() + 1);
  const auto without = Outcome::generate(made_, deals);
  ASSERT_TRUE(without.ok());
  EXPECT_TRUE(opens(secret_of(shares(made_, *without, deals), {1, 4, 6}), *without));
}

TEST_F(Epochs, BytesComeBackAndOthersAreRefused) {
  const Running one = first();
  const Deal made = deal(one.plan, 2, Scalar::random(random_));
  EXPECT_EQ(Deal::parse(made.bytes())->bytes(), made.bytes());
  EXPECT_EQ(Outcome::parse(one.outcome.bytes())->digest(), one.outcome.digest());
  EXPECT_EQ(Plan::parse(one.plan.bytes())->digest(), one.plan.digest());
  const auto cut = [](const base::Bytes& bytes) { return base::ByteView{bytes}.first(bytes.size() - 1); };
  const auto more = [](base::Bytes bytes) {
    bytes.push_back(0);
    return bytes;
  };
  EXPECT_FALSE(Deal::parse(cut(made.bytes())).ok() || Deal::parse(more(made.bytes())).ok());
  EXPECT_FALSE(Outcome::parse(cut(one.outcome.bytes())).ok() || Outcome::parse(more(one.outcome.bytes())).ok());
  EXPECT_FALSE(Plan::parse(cut(one.plan.bytes())).ok() || Plan::parse(more(one.plan.bytes())).ok());
}

TEST_F(Epochs, PlansThatMakeNoSense) {
  const auto said = [](const Plan& plan) { return plan.check().error().text(); };
  Plan bad = plan(0, 7, 3);
  bad.members[2].signing_key = {};
  EXPECT_THAT(said(bad), HasSubstr("expected a signing key; found zeros")) << "for which anybody can sign";
  bad = plan(0, 7, 3);
  EXPECT_TRUE(bad.check().ok());
  bad.threshold = 8;
  EXPECT_THAT(said(bad), HasSubstr("threshold"));
  bad.threshold = 1;
  EXPECT_THAT(said(bad), HasSubstr("threshold"));
  bad = plan(0, 7, 3);
  std::swap(bad.members[2], bad.members[3]);
  EXPECT_THAT(said(bad), HasSubstr("ids ascending"));
  bad = plan(0, 7, 3);
  bad.members[4].box_key = bad.members[3].box_key;
  EXPECT_THAT(said(bad), HasSubstr("node 4: the key that shares are encrypted to"));
  bad.members[4].offer = Offer::sign(bad.cluster, bad.session, 4, bad.members[4].box_key, keys_[4].signing).signature;
  EXPECT_THAT(said(bad), HasSubstr("member 4; expected keys of its own"));
  bad = plan(0, 7, 3);
  bad.session.fill(1);
  EXPECT_THAT(said(bad), HasSubstr("node 0: the key that shares are encrypted to")) << "offered for another session";
  bad = plan(0, 7, 3);
  bad.members[4].box_key = G1{}.encode();
  EXPECT_THAT(said(bad), HasSubstr("the identity"));
  bad = plan(0, 7, 3);
  bad.epoch = 2;
  EXPECT_THAT(said(bad), HasSubstr("previous outcome"));
  bad = plan(0, 7, 3);
  bad.members[0].address = "two words";
  EXPECT_THAT(said(bad), HasSubstr("member 0; expected an address"));
}

TEST_F(Epochs, AResharingFollowsTheEpochInForce) {
  const Running one = first();
  const Plan next = after(one.plan, one.outcome, 0, 7, 3);
  const std::vector<Deal> deals = resharing(next, one.shares, {0, 1, 2});
  Plan skipping = next;
  skipping.epoch = 3;
  EXPECT_EQ(Outcome::reshare(skipping, one.plan, one.outcome, deals).error().code, Code::conflict);
  const Running other = first();
  EXPECT_EQ(Outcome::reshare(next, other.plan, other.outcome, deals).error().code, Code::conflict);
}

TEST(Quorum, AThresholdOfHonestNodesIsAmongThem) {
  for (std::size_t members = 2; members <= 40; ++members) {
    for (std::size_t threshold = 2; threshold <= members; ++threshold) {
      const std::size_t quorum = quorum_of(members, threshold);
      ASSERT_TRUE(quorum == members || quorum - (threshold - 1) >= threshold) << members << " " << threshold;
      ASSERT_LE(quorum, members);
    }
  }
  EXPECT_EQ(quorum_of(7, 3), 5);
}

}  // namespace
}  // namespace attestry::cluster
