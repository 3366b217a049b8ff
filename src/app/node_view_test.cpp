#include "app/node_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/encoding.h"
#include "base/json_writer.h"
#include "cluster/testing/nodes.h"

namespace attestry::app {
namespace {

using base::Code;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using ::testing::HasSubstr;
using ::testing::Not;

class NodeViewTest : public ::testing::Test {
 protected:
  NodeViewTest() {
    auto begun = machines.generate(machines.intent(0, 3, 2));
    EXPECT_TRUE(begun.ok()) << begun.error().text();
    epoch.emplace(std::move(begun->epoch));
  }
  /// What a node says that shows this as the epoch in force, and whose other words are as it likes.
  base::Result<NodeView> said(const cluster::CertifiedEpoch& in_force) const {
    const base::FixedBytes<32> key = machines.the_operator().public_key();
    JsonOutObject out{{"id", 0},
                      {"signing_key", std::string(64, 'a')},
                      {"address", "node0:1"},
                      {"operators", JsonOutArray{base::hex(key)}},
                      {"operators_needed", 1},
                      {"holds_share", true},
                      {"epoch", 1},
                      {"threshold", 9},
                      {"members", JsonOutArray{JsonOutObject{
                                      {"id", 0}, {"address", "liar:1"}, {"signing_key", std::string(64, 'b')}}}},
                      {"certified_epoch", base::base64url(in_force.bytes())}};
    return NodeView::parse(JsonOut{std::move(out)}.compact());
  }
  static std::string printed(const NodeView& now, const cluster::Plan& plan,
                             const std::vector<base::FixedBytes<32>>& mine) {
    std::ostringstream out;
    print_plan(out, now, plan, mine);
    return out.str();
  }

  crypto::Random& random = crypto::system_random();
  cluster::testing::Machines machines{4, random};
  std::optional<cluster::Epoch> epoch;
};

TEST_F(NodeViewTest, MembersAreThoseThatAreCertified) {
  const auto now = said(cluster::CertifiedEpoch::of(*epoch));
  ASSERT_TRUE(now.ok()) << now.error().text();
  EXPECT_EQ(now->threshold, 2);
  ASSERT_EQ(now->members.size(), 3u);
  EXPECT_EQ(now->members[0].address, "node0:1");
  EXPECT_EQ(now->outcome, base::hex(epoch->outcome.digest()));

  auto forged = cluster::CertifiedEpoch::of(*epoch);
  forged.certificate.stored[1].signature[5] ^= 1;
  EXPECT_THAT(said(forged).error().text(), HasSubstr("node 1: its word"));
}

TEST_F(NodeViewTest, AsBeforeIsSaidOfWhatOnesOwnKeySigned) {
  const auto mine = std::vector{machines.the_operator().public_key()};
  const auto now = said(cluster::CertifiedEpoch::of(*epoch));
  ASSERT_TRUE(now.ok()) << now.error().text();
  const cluster::Plan same = machines.intent(0, 3, 2, &*epoch);
  const std::string good = printed(*now, same, mine);
  EXPECT_THAT(good, HasSubstr("epoch 1, in force, is signed by you"));
  EXPECT_THAT(good, HasSubstr("as before node 2"));

  // Members of a cluster that somebody else has made, all of whom say that they are in.
  auto others = cluster::CertifiedEpoch::of(*epoch);
  const auto stranger = crypto::Ed25519PrivateKey::generate(random);
  others.approval = {{cluster::Approval::sign(epoch->plan, stranger)}};
  // A signature of the right name, and not of this plan.
  others.approval.signatures.push_back(epoch->approval.signatures.front());
  others.approval.signatures.back().signature[3] ^= 1;
  const auto foreign = said(others);
  ASSERT_TRUE(foreign.ok()) << foreign.error().text();
  const std::string bad = printed(*foreign, same, mine);
  EXPECT_THAT(bad, HasSubstr("epoch 1, in force, is NOT signed by any key you gave"));
  EXPECT_THAT(bad, HasSubstr("UNSIGNED  node 2"));
  EXPECT_THAT(bad, Not(HasSubstr("as before")));
  EXPECT_THAT(printed(*now, same, {}), HasSubstr("NOT signed by you: no --key was given"));

  // What would only be warned of is not sent, unless there is no epoch yet whose members could be other ones.
  EXPECT_TRUE(check_signed(*now, mine).ok());
  const auto refused = check_signed(*foreign, mine);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::denied);
  EXPECT_EQ(refused.error().found, "signatures of " + base::hex(stranger.public_key()))
      << "the other signature is none";
  EXPECT_THAT(refused.error().text(), HasSubstr("none of the keys you gave"));
  EXPECT_THAT(check_signed(*now, {}).error().text(), HasSubstr("none was given"));
  NodeView none = *now;
  none.epoch = 0;
  none.in_force.reset();
  EXPECT_TRUE(check_signed(none, mine).ok());

  cluster::Plan next = machines.intent(1, 3, 2, &*epoch);
  next.members[0].signing_key.fill(7);
  next.members[1].address = "elsewhere:1";
  const std::string changed = printed(*now, next, mine);
  EXPECT_THAT(changed, HasSubstr("NEW KEY   node 1"));
  EXPECT_THAT(changed, HasSubstr("moved     node 2"));
  EXPECT_THAT(changed, HasSubstr("new       node 3"));
  EXPECT_THAT(changed, HasSubstr("goes      node 0"));
}

// A node that is behind, or lies, shows an older epoch that the operator has once signed: its members say nothing of
// a plan that follows a newer one.
TEST_F(NodeViewTest, APlanThatFollowsAnotherEpochIsRefused) {
  const auto now = said(cluster::CertifiedEpoch::of(*epoch));
  ASSERT_TRUE(now.ok()) << now.error().text();
  const cluster::Plan good = machines.intent(0, 3, 2, &*epoch);
  EXPECT_TRUE(check_follows(*now, good).ok());

  cluster::Plan other = good;
  other.previous[7] ^= 1;
  const auto refused = check_follows(*now, other);
  EXPECT_EQ(refused.error().code, Code::conflict);
  EXPECT_THAT(refused.error().text(), HasSubstr("epoch 1 with the outcome " + now->outcome));
  EXPECT_THAT(refused.error().text(), HasSubstr("one that follows the outcome " + base::hex(other.previous)));
  other = good;
  other.cluster[0] ^= 1;
  EXPECT_EQ(check_follows(*now, other).error().code, Code::conflict);
  other = good;
  other.epoch = 3;
  EXPECT_EQ(check_follows(*now, other).error().code, Code::conflict);
  other = good;
  other.realm = base::Realm::production;
  EXPECT_EQ(check_follows(*now, other).error().code, Code::conflict);
  EXPECT_EQ(check_follows(*now, machines.intent(0, 3, 2)).error().code, Code::conflict);

  NodeView none = *now;
  none.epoch = 0;
  none.in_force.reset();
  EXPECT_TRUE(check_follows(none, machines.intent(0, 3, 2)).ok());
  EXPECT_EQ(check_follows(none, good).error().code, Code::conflict);
}

TEST_F(NodeViewTest, SignaturesOfOthersThanItsOperatorsAreNamed) {
  const auto now = said(cluster::CertifiedEpoch::of(*epoch));
  ASSERT_TRUE(now.ok()) << now.error().text();
  const auto stranger = crypto::Ed25519PrivateKey::generate(random);
  cluster::Approval both = machines.approve(epoch->plan);
  EXPECT_TRUE(check_signers(*now, both).ok());
  both.signatures.push_back(cluster::Approval::sign(epoch->plan, stranger));
  EXPECT_EQ(strangers(*now, both), std::vector{stranger.public_key()});
  const auto refused = check_signers(*now, both);
  EXPECT_EQ(refused.error().code, Code::usage);
  EXPECT_THAT(refused.error().text(), HasSubstr(base::hex(stranger.public_key())));
}

}  // namespace
}  // namespace attestry::app
