// Changes of a threshold root over real sessions between nodes, with forged evidence, and somebody who spoils them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "attestation/verifier.h"
#include "base/encoding.h"
#include "channel/server.h"
#include "cluster/authority.h"
#include "cluster/channel_peers.h"
#include "cluster/node_server.h"
#include "cluster/testing/nodes.h"
#include "cluster/vouch.h"
#include "collateral/bundle.h"
#include "forge/attester.h"
#include "forge/scenario.h"
#include "governance/testing/support.h"

namespace attestry::cluster {
namespace {

using base::Code;
using governance::Action;
using governance::testing::kTime;
using governance::testing::patient;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const base::AppRef kNodes = governance::testing::app_named("name:nodes");

class Source final : public collateral::CollateralSource {
 public:
  base::Result<std::shared_ptr<const attestation::Collateral>> collateral_for(const attestation::Evidence&,
                                                                              base::UtcTime, base::Deadline) override {
    return collateral;
  }
  std::shared_ptr<const attestation::Collateral> collateral;
};

/// What all nodes of a test share: one vendor, and what its machines show.
struct Vendor {
  Vendor() {
    const auto forged = forge::make_collateral(pki, forge::default_collateral(true, kTime));
    EXPECT_TRUE(forged.ok()) << forged.error().text();
    source.collateral = collateral::read_bundle(base::as_bytes(forged->json()), "forge").collateral();
  }
  forge::ForgePki pki = *forge::ForgePki::make(base::as_bytes("change test"));
  forge::QuoteSpec quote = forge::default_quote(pki, forge::QuoteKind::tdx_v4);
  forge::ForgeAttester attester = *forge::ForgeAttester::make(pki, quote);
  attestation::Verifier verifier{
      attestation::TrustAnchors::simulated({*attestation::TestRoot::from_certificate(pki.root().der)})};
  Source source;
  appraisal::Appraiser appraiser{verifier, source};
};

class NobodysAuthority final : public Authoriser {
  base::Result<answer::Nonce> challenge() override { return none(); }
  base::Result<Allowed> authorise(base::ByteView, base::Deadline) override { return none(); }
  base::Status note_server(const Node::Request&, const ServersKey&, const attestation::VerifiedReport&,
                           base::Deadline) override {
    return none();
  }
  static base::Error none() { return {Code::unavailable, "no workloads here"}; }
};

/// A node that others reach over sessions, and that calls them.
class Reachable {
 public:
  Reachable(Vendor& vendor, testing::Machine& machine) : machine_(machine), id_(machine.node().id()) {
    house_.add_operator("alice");
    house_.approve(kNodes, Action::app_create, kNodes.text());
    house_.approve(kNodes, Action::policy_approve, house_.blob(attestation::Policy::standard().document()));
    house_.approve(kNodes, Action::identity_approve,
                   house_.blob(R"({"name":"node","claims":{"mrtd":")" + base::hex(vendor.quote.td.mr_td) + R"("}})"));
    const auto hello = [this](const base::FixedBytes<64>& data) { return Hello::sign(id_, data, machine_.signing()); };
    serving_ = std::make_unique<NodeServer>(
        NodeServerParts{.node = machine.node(),
                        .authoriser = authority_,
                        .hello = hello,
                        .appraiser = vendor.appraiser,
                        .attester = vendor.attester,
                        .registry = *house_.registry,
                        .random = crypto::system_random(),
                        .clock = house_.clock,
                        .nodes = kNodes,
                        .vouch = [this](const Plan& plan) { return cluster::vouch(plan, id_, *peers_); }});
    auto peers = ChannelPeers::make({.end = [this] { return serving_->end(); },
                                     .hello = hello,
                                     .judge = [this](const auto& session) { return serving_->judge(session); }},
                                    id_, &machine);
    EXPECT_TRUE(peers.ok());
    peers_ = *std::move(peers);
    auto server = channel::Server::start(
        {.address = "127.0.0.1:0",
         .sessions = 16,
         .end = [this] { return serving_->listening_end(); },
         .serve_guests = [this](channel::Session session, base::Deadline until,
                                channel::Seat& seat) { serving_->serve(std::move(session), until, seat); }});
    EXPECT_TRUE(server.ok()) << server.error().text();
    server_ = *std::move(server);
  }
  std::string address() const { return server_->address(); }
  ChannelPeers& peers() { return *peers_; }
  NodeServer& serving() { return *serving_; }

 private:
  testing::Machine& machine_;
  const std::uint32_t id_;
  governance::testing::House house_{base::Realm::simulated};
  NobodysAuthority authority_;
  std::unique_ptr<NodeServer> serving_;
  std::unique_ptr<ChannelPeers> peers_;
  std::unique_ptr<channel::Server> server_;
};

class ThresholdChangeTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kCount = 4;

  void SetUp() override {
    for (std::uint32_t id = 0; id < kCount; ++id) {
      nodes.push_back(std::make_unique<Reachable>(vendor, machines[id]));
    }
    auto begun = lead(intent(0, 3));
    ASSERT_TRUE(begun.ok()) << begun.error().text();
    ASSERT_THAT(begun->not_told, IsEmpty());
    first.emplace(std::move(begun->epoch));
  }
  /// Of nodes `from` to `from + count - 1`, any two of which derive.
  Plan intent(std::uint32_t from, std::uint32_t count) {
    Plan out = machines.intent(from, count, 2, first ? &*first : nullptr);
    for (Member& one : out.members) one.address = nodes[one.id]->address();
    return out;
  }
  /// Node 0 leads, and all operators agree.
  base::Result<Changed> lead(const Plan& plan, const ChangeOptions& options = {}) {
    return lead(plan, nodes[0]->peers(), options);
  }
  base::Result<Changed> lead(const Plan& plan, Peers& peers, const ChangeOptions& options = {}) {
    if (!first) return cluster::generate(plan, machines.approve(plan), peers, options);
    return cluster::reshare(*first, plan, machines.approve(plan), peers, random, options);
  }

  crypto::Random& random = crypto::system_random();
  Vendor vendor;
  testing::Machines machines{kCount, random};
  std::vector<std::unique_ptr<Reachable>> nodes;
  std::optional<Epoch> first;
};

/// In the place of a member: whoever leads, with a signing key that it has made itself, or has from a stolen disk.
class Puppet final : public Peer {
 public:
  Puppet(std::uint32_t id, crypto::Random& random) : Puppet(id, random, crypto::Ed25519PrivateKey::generate(random)) {}
  Puppet(std::uint32_t id, crypto::Random& random, crypto::Ed25519PrivateKey stolen)
      : id_(id), signing_(std::move(stolen)), box_(curves::bls::Scalar::random(random)) {}
  base::FixedBytes<32> signing_key() const { return signing_.public_key(); }
  base::Result<Offer> offer(const base::FixedBytes<32>& cluster, const base::FixedBytes<32>& session) override {
    return Offer::sign(cluster, session, id_, curves::bls::G1::times_generator(box_).encode(), signing_);
  }
  base::Result<Deal> propose(const Plan&, const Approval&) override { return nothing(); }
  base::Result<std::optional<Complaint>> check(const Plan&, const Approval&, std::span<const Deal>) override {
    return std::optional<Complaint>{};
  }
  base::Result<std::variant<Stored, Complaint>> prepare(const Plan& plan, const Approval&,
                                                        std::span<const Deal> deals) override {
    for (const Deal& deal : deals) {
      if (deal.open(plan, id_, box_)) ++opened;
    }
    return nothing();
  }
  base::Status activate(const Epoch&) override { return base::done(); }
  base::Result<keys::ckd::Ciphertext> derive(const Node::Request&, const Patience&) override { return nothing(); }
  base::Result<keys::ckd::ShareProof> prove(const Node::Request&, const Patience&) override { return nothing(); }
  std::atomic<std::size_t> opened = 0;  ///< values of honest dealers that it can read

 private:
  static base::Error nothing() { return {Code::unavailable, "a puppet"}; }
  const std::uint32_t id_;
  const crypto::Ed25519PrivateKey signing_;
  const curves::bls::Scalar box_;
};

class WithPuppet final : public Peers {
 public:
  WithPuppet(Peers& others, std::uint32_t id, Puppet& puppet) : others_(others), id_(id), puppet_(puppet) {}
  Peer* find(const Member& member) override {
    if (member.id == id_ && member.signing_key == puppet_.signing_key()) return &puppet_;
    return others_.find(member);
  }

 private:
  Peers& others_;
  const std::uint32_t id_;
  Puppet& puppet_;
};

// Operators sign what the node that leads shows them: an id and an address that they know, and a key.
TEST_F(ThresholdChangeTest, ALeaderThatPutsItsOwnKeyInAMembersPlaceGetsNoDeal) {
  Puppet puppet{2, random};
  WithPuppet peers{nodes[0]->peers(), 2, puppet};
  Plan swapped = intent(0, 3);
  swapped.members[2].signing_key = puppet.signing_key();
  const auto changed = lead(swapped, peers);
  EXPECT_EQ(puppet.opened, 0u);
  ASSERT_FALSE(changed.ok());
  EXPECT_THAT(changed.error().text(), HasSubstr("node 1 asks node 2 itself before it deals"));
  EXPECT_THAT(changed.error().text(), HasSubstr("node 2 (deal): plan of an epoch: node 2")) << "it is not its key";
  EXPECT_EQ(machines[1].node().current()->plan.epoch, 1u);

  // The same with a node that is new to all, and an address where nobody is.
  Puppet stranger{3, random};
  WithPuppet others{nodes[0]->peers(), 3, stranger};
  Plan added = intent(0, 4);
  added.members[3].signing_key = stranger.signing_key();
  added.members[3].address = "127.0.0.1:1";
  ASSERT_FALSE(lead(added, others).ok());
  EXPECT_EQ(stranger.opened, 0u);
}

// Disks of all but a threshold of nodes were stolen once, and their shares renewed since.
TEST_F(ThresholdChangeTest, ALeaderWithAMembersStolenSigningKeyGetsNoDeal) {
  Puppet puppet{2, random, machines[2].signing()};
  WithPuppet peers{nodes[0]->peers(), 2, puppet};
  const auto changed = lead(intent(0, 3), peers);
  EXPECT_EQ(puppet.opened, 0u);
  ASSERT_FALSE(changed.ok());
  EXPECT_THAT(changed.error().text(), HasSubstr("node 1 asks node 2 itself before it deals"));
  EXPECT_THAT(changed.error().text(), HasSubstr("box key of node 2"));
  EXPECT_EQ(machines[1].node().current()->plan.epoch, 1u);
}

TEST_F(ThresholdChangeTest, ANewNodeThatShowsItsEvidenceToTheDealersGetsAShare) {
  const auto changed = lead(intent(0, 4));
  ASSERT_TRUE(changed.ok()) << changed.error().text();
  EXPECT_THAT(changed->not_told, IsEmpty());
  EXPECT_TRUE(machines[3].node().holds_share());
}

// A node that was let in, and then asks a member for keys all the time.
TEST_F(ThresholdChangeTest, WhoeverFloodsAMemberWithOffersStopsNoChange) {
  const Plan next = intent(0, 3);
  auto flooding = nodes[3]->peers().channel(next.members[1]);
  std::size_t asked = 0;
  const auto flood = [&](const std::string&) {
    for (std::size_t i = 0; i < 3 * Node::kMostOffersOfOthers; ++i) {
      if (flooding->offer(next.cluster, random.bytes<32>())) ++asked;
    }
  };
  const auto changed = lead(next, ChangeOptions{.say = flood});
  ASSERT_TRUE(changed.ok()) << changed.error().text();
  EXPECT_GE(asked, 3 * 3 * Node::kMostOffersOfOthers) << "before each step";
  EXPECT_THAT(changed->failing, IsEmpty()) << "node 1 still had the key that it was asked for first";
  EXPECT_TRUE(machines[1].node().holds_share());
}

}  // namespace
}  // namespace attestry::cluster
