// For tests: nodes of a threshold root deciding about workloads, with forged evidence: cluster itself may not use the
// forge.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "appraisal/replay.h"
#include "attestation/verifier.h"
#include "base/encoding.h"
#include "cluster/authority.h"
#include "cluster/node_server.h"
#include "cluster/testing/nodes.h"
#include "collateral/bundle.h"
#include "forge/attester.h"
#include "forge/scenario.h"
#include "governance/testing/support.h"

namespace attestry::cluster::testing {

using base::Code;
using base::Purpose;
using curves::bls::G2;
using governance::Action;
using governance::testing::kTime;
using governance::testing::patient;
using ::testing::HasSubstr;

inline const base::AppRef kWeb = governance::testing::app_named("name:web");
inline const base::AppRef kOther = governance::testing::app_named("name:other");
inline const base::AppRef kNodes = governance::testing::app_named("name:nodes");
inline const base::AppRef kServers = governance::testing::app_named("name:servers");
inline const base::AppRef kNear = governance::testing::app_named("near:alice.near");

/// Collateral that can be away.
class Source final : public collateral::CollateralSource {
 public:
  base::Result<std::shared_ptr<const attestation::Collateral>> collateral_for(const attestation::Evidence&,
                                                                              base::UtcTime, base::Deadline) override {
    if (before) before();
    if (away) return base::Error{Code::unavailable, "the PCS is away"};
    return collateral;
  }
  std::function<void()> before;  ///< after a decision has read the approvals
  bool away = false;
  std::shared_ptr<const attestation::Collateral> collateral;
};

struct TestNode {
  TestNode(std::uint32_t node, const appraisal::Appraiser& appraiser, const G2::Encoded& master,
           base::Realm realm = base::Realm::simulated)
      : id(node),
        house(realm),
        random(base::as_bytes("node " + std::to_string(node))),
        challenges(crypto::Secret::copy_of(base::Bytes(32, static_cast<std::uint8_t>(node + 1))), random),
        appraisals(*house.store),
        authority(
            {.node = node,
             .store = *house.store,
             .log = *house.log,
             .challenges = challenges,
             .appraiser = appraiser,
             .registry = *house.registry,
             .appraisals = appraisals,
             .master = [this, key = std::make_shared<const keys::ckd::MasterPublicKey>(
                                  *keys::ckd::MasterPublicKey::decode(master))] { return begun ? key : nullptr; }}) {
    house.add_operator("alice");
  }

  void approve(const base::AppRef& app, const forge::QuoteSpec& quote, const std::string& name = "web") {
    house.approve(app, Action::app_create, app.text());
    house.approve(app, Action::policy_approve, house.blob(attestation::Policy::standard().document()));
    identity = house.blob(R"({"name":")" + name + R"(","claims":{"mrtd":")" + base::hex(quote.td.mr_td) + R"("}})");
    house.approve(app, Action::identity_approve, identity);
  }
  base::Result<base::Bytes> ask(const Application& what) { return authority.authorise(what, patient()); }
  std::size_t leaves(std::string_view type) const {
    std::size_t found = 0;
    for (std::uint64_t i = 0; i < house.log->head().size; ++i) found += leaf(i).type == type ? 1u : 0u;
    return found;
  }
  audit::Leaf leaf(std::uint64_t index) const { return *audit::Leaf::parse(house.log->leaf(index).value()); }
  audit::Leaf last() const { return leaf(house.log->head().size - 1); }

  const std::uint32_t id;
  bool begun = true;
  governance::testing::House house;
  std::string identity;
  crypto::SeededRandom random;
  appraisal::Challenges challenges;
  appraisal::AppraisalStore appraisals;
  Authority authority;
};

class ThresholdAuthorityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto forged = forge::make_collateral(pki, forge::default_collateral(true, kTime));
    ASSERT_TRUE(forged.ok()) << forged.error().text();
    source.collateral = collateral::read_bundle(base::as_bytes(forged->json()), "forge").collateral();
    for (TestNode* one : {&a, &b, &c}) {
      for (const auto& app : {kWeb, kOther, kNear}) one->approve(app, quote);
    }
  }

  /// Without evidence: a nonce of every node that is asked for one.
  Application asking(const base::AppRef& app = kWeb, bool checkable = false) {
    const auto blinding = keys::ckd::Blinding::random(random);
    Application out{.nonces = {}, .evidence = {}, .key = {.pk1 = blinding.public_key().encode()}, .app = app};
    if (checkable) out.key.pk2 = blinding.public_key2().encode();
    for (TestNode* one : {&a, &b, &c}) out.nonces.push_back({one->id, one->authority.challenge().value()});
    return out;
  }
  attestation::Evidence evidence(const attestation::BindingStatement& statement) {
    return forge::ForgeAttester::make(pki, quote)->attest(statement.binding()).value();
  }
  /// asking(), and what its workload shows for it.
  Application request(const base::AppRef& app = kWeb, bool checkable = false) {
    Application out = asking(app, checkable);
    out.evidence = evidence(*out.statement(master));
    return out;
  }
  Application with(Application from, const std::function<void(Application&)>& change) {
    change(from);
    return from;
  }
  void nothing_spent(TestNode& node, const Application& what) {
    EXPECT_EQ(node.leaves("threshold.derivation") + node.leaves("refusal"), 0u);
    EXPECT_TRUE(node.ask(what).ok()) << "the nonce is still good";
  }

  crypto::SeededRandom random{base::as_bytes("workload")};
  G2::Encoded master = G2::times_generator(curves::bls::Scalar::random(random)).encode();
  forge::ForgePki pki = *forge::ForgePki::make(base::as_bytes("authority test"));
  forge::QuoteSpec quote = forge::default_quote(pki, forge::QuoteKind::tdx_v4);
  attestation::Verifier verifier{
      attestation::TrustAnchors::simulated({*attestation::TestRoot::from_certificate(pki.root().der)})};
  Source source;
  appraisal::Appraiser appraiser{verifier, source};
  TestNode a{0, appraiser, master};
  TestNode b{2, appraiser, master};
  TestNode c{6, appraiser, master};
};

template <class T>
void refused(const base::Result<T>& result, Code code, std::string_view reason) {
  ASSERT_FALSE(result.ok()) << "expected: " << reason;
  EXPECT_EQ(result.error().code, code) << result.error().text();
  EXPECT_THAT(result.error().text(), HasSubstr(std::string{reason}));
}

/// Nodes with shares of a master, each behind what it answers others with. Whoever coordinates says what it likes.
class ThresholdCoordinatorTest : public ThresholdAuthorityTest {
 protected:
  void SetUp() override {
    ThresholdAuthorityTest::SetUp();
    const auto made = machines.generate(machines.intent(0, 3, 2));
    ASSERT_TRUE(made.ok()) << made.error().text();
    epoch = made->epoch;
    public_key.emplace(epoch->outcome.commitments().constant());
    for (std::uint32_t id = 0; id < 3; ++id) {
      auto& node = *nodes.emplace_back(std::make_unique<TestNode>(id, appraiser, public_key->encoded()));
      for (const auto& app : {kWeb, kOther, kNear}) node.approve(app, quote);
      servers.push_back(
          std::make_unique<NodeServer>(NodeServerParts{.node = machines[id].node(),
                                                       .authoriser = node.authority,
                                                       .hello = {},
                                                       .appraiser = appraiser,
                                                       .attester = attester,
                                                       .registry = *node.house.registry,
                                                       .random = random,
                                                       .clock = node.house.clock,
                                                       .nodes = governance::testing::app_named("name:nodes")}));
    }
    asked.key.pk1 = blinding.public_key().encode();
    for (const auto& node : nodes) asked.nonces.push_back({node->id, node->authority.challenge().value()});
    asked.evidence = evidence(*asked.statement(*public_key));
    right = {.epoch = 1,
             .outcome = epoch->outcome.digest(),
             .app_id = *asked.app_id(base::Realm::simulated),
             .app_key = asked.key.pk1,
             .participants = {0, 1}};
  }

  base::Result<keys::ckd::Ciphertext> derive(std::uint32_t id, const Node::Request& request,
                                             const base::Bytes& application) {
    const Answer said = servers[id]->answer(Question{ask::Derive{request, application}}, nullptr, patient());
    if (const auto* share = std::get_if<keys::ckd::Ciphertext>(&said)) return *share;
    return std::get<base::Error>(said);
  }
  Node::Request changed(const std::function<void(Node::Request&)>& change) {
    Node::Request out = right;
    change(out);
    return out;
  }

  Machines machines{3, random};
  std::optional<Epoch> epoch;
  std::optional<keys::ckd::MasterPublicKey> public_key;
  forge::ForgeAttester attester = *forge::ForgeAttester::make(pki, quote);
  std::vector<std::unique_ptr<TestNode>> nodes;
  std::vector<std::unique_ptr<NodeServer>> servers;
  keys::ckd::Blinding blinding = keys::ckd::Blinding::random(random);
  Application asked{.nonces = {}, .evidence = {}, .key = {}, .app = kNear};
  Node::Request right;
};

}  // namespace attestry::cluster::testing
