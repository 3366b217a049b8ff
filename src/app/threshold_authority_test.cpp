// Nodes of a threshold root deciding about workloads, with forged evidence: cluster itself may not use the forge.
#include "cluster/authority.h"

#include <barrier>
#include <future>

#include "app/testing/threshold.h"
#include "forge/event_log.h"

namespace attestry::cluster {
namespace {

using base::Code;
using base::Purpose;
using curves::bls::G1;
using curves::bls::G2;
using governance::Action;
using governance::testing::kTime;
using governance::testing::patient;
using ::testing::HasSubstr;
using testing::kNear;
using testing::kNodes;
using testing::kOther;
using testing::kWeb;
using testing::refused;
using testing::TestNode;
using testing::ThresholdAuthorityTest;
using testing::ThresholdCoordinatorTest;

TEST_F(ThresholdAuthorityTest, EveryNodeMapsAnApprovedWorkloadToItsKeyAndSaysSoInItsLog) {
  for (const auto& app : {kWeb, kNear}) {
    const auto asked = request(app);
    for (TestNode* node : {&a, &b, &c}) {
      const auto id = node->authority.authorise(asked.bytes(), patient());
      ASSERT_TRUE(id.ok()) << id.error().text();
      EXPECT_EQ(id->app_id, *app_id_of(base::Realm::simulated, base::Tenant::standard(), app, 0, ""));
      EXPECT_EQ(id->app_key, asked.key.pk1);
      const auto leaf = node->last();
      EXPECT_EQ(leaf.type, "threshold.derivation");
      EXPECT_EQ(leaf.app, app.text());
      EXPECT_EQ(leaf.binding, base::hex(asked.statement(master)->binding()));
      EXPECT_EQ(leaf.outputs.at("app-id"), audit::commitment(asked.leaf_key(), "app-id", id->app_id));
      base::Digest32 appraisal{};
      ASSERT_TRUE(base::hex_decode_into(leaf.appraisal, appraisal).ok());
      const auto stored = node->appraisals.load(base::Tenant::standard(), appraisal);
      ASSERT_TRUE(stored.ok()) << stored.error().text();
      EXPECT_TRUE(appraisal::replay(*stored)->same);
    }
  }
}

TEST_F(ThresholdAuthorityTest, ASwappedKeyIsNotThatOfTheEvidence) {
  const auto asked = request();
  const auto other = asking();
  refused(a.ask(with(asked, [&](auto& x) { x.key = other.key; })), Code::evidence_false, "not made for this request");
  // A key that anybody can check instead of one that only the workload can, and the other way round.
  const auto checkable = request(kWeb, true);
  refused(b.ask(with(checkable, [](auto& x) { x.key.pk2.reset(); })), Code::evidence_false, "not made for");
  nothing_spent(a, asked);
  nothing_spent(b, checkable);
}

TEST_F(ThresholdAuthorityTest, AnotherAppsIdIsNotThatOfTheEvidence) {
  const auto asked = request();
  refused(a.ask(with(asked, [](auto& x) { x.app = kOther; })), Code::evidence_false, "not made for this request");
  refused(a.ask(with(asked, [](auto& x) { x.app = kNear; })), Code::evidence_false, "not made for this request");
  refused(a.ask(with(asked, [](auto& x) { x.app = governance::testing::app_named("name:unknown"); })), Code::not_found,
          "");
  nothing_spent(a, asked);
}

TEST_F(ThresholdAuthorityTest, StaleEvidenceIsRefused) {
  const auto asked = request();
  a.house.clock.pass(301);
  refused(a.ask(asked), Code::challenge_expired, "has expired");
  ASSERT_TRUE(b.ask(asked).ok());
  b.house.clock.pass(301);
  refused(b.ask(asked), Code::challenge_expired, "has expired");
  EXPECT_EQ(a.leaves("threshold.derivation"), 0u);
}

TEST_F(ThresholdAuthorityTest, ANonceThatExpiresWhileItIsDecidedIsRefused) {
  const auto asked = request();
  source.before = [&] { a.house.clock.pass(301); };
  refused(a.ask(asked), Code::challenge_expired, "has expired");
  EXPECT_EQ(a.leaves("threshold.derivation"), 0u);
}

TEST_F(ThresholdAuthorityTest, ASpentNonceIsForOneRequestAndForNoOther) {
  const auto asked = request(kNear);
  ASSERT_TRUE(a.ask(asked).ok());
  // Everything that is asked, also what evidence does not cover.
  refused(a.ask(with(asked, [](auto& x) { x.path = "other"; })), Code::replayed, "another request body");
  refused(a.ask(with(asked, [](auto& x) { x.app = kWeb; })), Code::replayed, "another request body");
  refused(a.ask(with(asked, [&](auto& x) { x.key = asking().key; })), Code::replayed, "another request body");
  refused(a.ask(with(asked, [](auto& x) { x.nonces.pop_back(); })), Code::replayed, "another request body");
  refused(a.ask(with(asked, [](auto& x) { x.evidence.bytes.push_back(0); })), Code::replayed, "another request body");
  // New evidence for new nonces of the others does not make this one's new.
  auto renewed = asking(kNear);
  renewed.nonces[0] = asked.nonces[0];
  renewed.evidence = evidence(*renewed.statement(master));
  refused(a.ask(renewed), Code::replayed, "another request body");
  EXPECT_TRUE(b.ask(renewed).ok());
  EXPECT_EQ(a.leaves("threshold.derivation"), 1u);
}

TEST_F(ThresholdAuthorityTest, TheSameRequestAgainHasTheSameAnswerAndNoOtherLeaf) {
  const auto asked = request();
  const auto first = a.ask(asked);
  ASSERT_TRUE(first.ok()) << first.error().text();
  source.away = true;  // nothing is judged anew
  a.house.clock.pass(300);
  const auto again = a.ask(asked);
  ASSERT_TRUE(again.ok()) << again.error().text();
  EXPECT_EQ(*again, *first);
  EXPECT_EQ(a.leaves("threshold.derivation"), 1u);
}

TEST_F(ThresholdAuthorityTest, TheSameRequestTwiceAtOnceIsOneLeaf) {
  const auto asked = request();
  std::barrier both{2};
  source.before = [&] { both.arrive_and_wait(); };  // neither is committed before both are decided
  auto first = std::async(std::launch::async, [&] { return a.ask(asked); });
  const auto second = a.ask(asked);
  const auto one = first.get();
  ASSERT_TRUE(one.ok()) << one.error().text();
  ASSERT_TRUE(second.ok()) << second.error().text();
  EXPECT_EQ(*one, *second);
  EXPECT_EQ(a.leaves("threshold.derivation"), 1u);
}

TEST_F(ThresholdAuthorityTest, TwoRequestsForOneNonceAtOnceAreOne) {
  const auto one = request(kNear);
  const auto other = with(one, [](auto& x) { x.path = "other"; });
  std::barrier both{2};
  source.before = [&] { both.arrive_and_wait(); };
  auto first = std::async(std::launch::async, [&] { return a.ask(one); });
  const auto second = a.ask(other);
  const auto outcome = first.get();
  EXPECT_NE(outcome.ok(), second.ok());
  refused(outcome.ok() ? second : outcome, Code::replayed, "another request body");
  EXPECT_EQ(a.leaves("threshold.derivation"), 1u);
}

TEST_F(ThresholdAuthorityTest, ACoordinatorCannotTakeNoncesAwayOrExchangeThem) {
  const auto asked = request();
  const auto others = asking();
  // Its own is not there.
  refused(a.ask(with(asked, [](auto& x) { x.nonces.erase(x.nonces.begin()); })), Code::denied,
          "without a challenge of this node");
  // Another's is not there, is another one, or has moved to another node.
  refused(a.ask(with(asked, [](auto& x) { x.nonces.pop_back(); })), Code::evidence_false, "not made for this request");
  refused(a.ask(with(asked, [&](auto& x) { x.nonces[1] = others.nonces[1]; })), Code::evidence_false, "not made for");
  refused(a.ask(with(asked, [](auto& x) { x.nonces[2].id = 5; })), Code::evidence_false, "not made for");
  // One of another node in this one's place, and none of ours.
  refused(a.ask(with(asked, [](auto& x) { x.nonces[0].nonce = x.nonces[1].nonce; })), Code::denied,
          "not one of this server's challenges");
  refused(b.ask(with(asked, [](auto& x) { x.nonces[0].id = 2; })), Code::malformed, "each node once");
  refused(a.ask(with(asked, [](auto& x) { std::swap(x.nonces[0], x.nonces[1]); })), Code::malformed, "ids ascending");
  refused(a.ask(with(asked, [](auto& x) { x.nonces.clear(); })), Code::malformed, "nonces");
  nothing_spent(a, asked);
  nothing_spent(b, asked);
}

TEST_F(ThresholdAuthorityTest, EvidenceThatWasMadeForSomethingElseIsRefused) {
  auto asked = asking();
  const auto statement = *asked.statement(master);
  const auto shown = [&](const std::function<void(attestation::BindingStatement&)>& change) {
    auto other = statement;
    change(other);
    return with(asked, [&](auto& x) { x.evidence = evidence(other); });
  };
  refused(a.ask(shown([](auto& s) { s.purpose = Purpose::instance_release; })), Code::evidence_false, "not made for");
  // The evidence of a release, with its own nonce.
  refused(a.ask(shown([&](auto& s) { s.nonce = base::to_bytes(asked.nonces[0].nonce); })), Code::evidence_false,
          "not made for");
  const auto of_another_cluster =
      with(asked, [&](auto& x) { x.evidence = evidence(*x.statement(G2::generator().encode())); });
  refused(a.ask(of_another_cluster), Code::evidence_false, "not made for");
  refused(a.ask(shown([&](auto& s) { s.audience = a.house.log->origin(); })), Code::evidence_false, "not made for");
  refused(a.ask(shown([](auto& s) { s.csr_spki = {1}; })), Code::evidence_false, "not made for");
  // Nonces that this node gave for another purpose.
  const auto released = with(asked, [&](auto& x) {
    x.nonces[0].nonce = a.challenges.issue(Purpose::instance_release, a.house.store->now()).nonce;
    x.evidence = evidence(*x.statement(master));
  });
  refused(a.ask(released), Code::denied, "another purpose");
  nothing_spent(a, with(asked, [&](auto& x) { x.evidence = evidence(statement); }));
}

TEST_F(ThresholdAuthorityTest, FalseEvidenceCostsNothing) {
  auto asked = asking();
  quote.break_quote_signature = true;
  asked.evidence = evidence(*asked.statement(master));
  refused(a.ask(asked), Code::evidence_false, "not genuine");
  quote.break_quote_signature = false;
  asked.evidence = evidence(*asked.statement(master));
  nothing_spent(a, asked);
}

TEST_F(ThresholdAuthorityTest, KeysThatAreNoneAreRefused) {
  const auto changed = [&](const std::function<void(AppKey&)>& change) {
    auto out = asking(kWeb, true);
    change(out.key);
    out.evidence = evidence(*out.statement(master));
    return out;
  };
  refused(a.ask(changed([](auto& k) { k.pk2 = G2::generator().encode(); })), Code::malformed,
          "app public key check failed");
  refused(a.ask(changed([](auto& k) {
    k.pk1 = G1{}.encode();
    k.pk2 = G2{}.encode();
  })),
          Code::malformed, "the identity");
  refused(a.ask(changed([](auto& k) { k = {.pk1 = G1{}.encode()}; })), Code::malformed, "the identity");
  refused(a.ask(changed([](auto& k) { k = {}; })), Code::malformed, "app public key");
  nothing_spent(a, request(kWeb, true));
}

TEST_F(ThresholdAuthorityTest, ARefusalByPolicyIsALeafAndCostsTheNonce) {
  quote.td.mr_td[0] ^= 1;
  const auto asked = request();
  const auto first = a.ask(asked);
  refused(first, Code::denied, "policy");
  EXPECT_EQ(a.leaves("refusal"), 1u);
  EXPECT_EQ(a.last().binding, base::hex(asked.statement(master)->binding()));
  // Asked again, the same answer and no second leaf; not even an approval that came meanwhile changes it.
  a.house.approve(kWeb, Action::identity_approve,
                  a.house.blob(R"({"claims":{"mrtd":")" + base::hex(quote.td.mr_td) + R"("}})"));
  const auto again = a.ask(asked);
  refused(again, Code::denied, "policy");
  EXPECT_EQ(again.error().text(), first.error().text());
  EXPECT_EQ(a.leaves("refusal"), 1u);
  refused(a.ask(with(asked, [](auto& x) { x.epoch = 1; })), Code::replayed, "another request body");
  EXPECT_TRUE(a.ask(request()).ok());
  // What one node's operators approved is nothing to another one.
  refused(b.ask(asked), Code::denied, "policy");
}

TEST_F(ThresholdAuthorityTest, AnOutageIsNoDenialAndCostsNothing) {
  const auto asked = request();
  source.away = true;
  refused(a.ask(asked), Code::unavailable, "the PCS is away");
  source.away = false;
  const auto held = std::exchange(source.collateral, attestation::Collateral::none());
  refused(a.ask(asked), Code::collateral_missing, "cannot be decided");
  source.collateral = held;
  nothing_spent(a, asked);
}

TEST_F(ThresholdAuthorityTest, NothingIsGivenUnderApprovalsThatHaveChanged) {
  const auto asked = request();
  source.before = [&] {
    source.before = nullptr;
    a.house.approve(kWeb, Action::revoke, a.identity);
  };
  refused(a.ask(asked), Code::conflict, "approvals changed while this was decided");
  EXPECT_EQ(a.leaves("threshold.derivation"), 0u);
  refused(a.ask(asked), Code::denied, "policy");
  // Nor again: shares that have not left yet stay.
  ASSERT_TRUE(b.ask(asked).ok());
  b.house.approve(kWeb, Action::revoke, b.identity);
  refused(b.ask(asked), Code::conflict, "has changed since");
}

TEST_F(ThresholdAuthorityTest, EpochsThatAreRetiredOrNotThereYetAreRefused) {
  a.house.approve(kWeb, Action::epoch_advance, "1");
  a.house.approve(kWeb, Action::epoch_advance, "2");
  a.house.approve(kWeb, Action::epoch_retire, "1");
  for (const std::uint32_t epoch : {0u, 1u, 2u, 3u}) {
    const auto asked = with(request(), [&](auto& x) { x.epoch = epoch; });
    const auto id = a.ask(asked);
    if (epoch == 1 || epoch == 2) {
      ASSERT_TRUE(id.ok()) << id.error().text();
      EXPECT_EQ(*id, *app_id_of(base::Realm::simulated, base::Tenant::standard(), kWeb, epoch, ""));
      EXPECT_EQ(a.last().epoch, epoch);
    } else {
      refused(id, Code::denied, "keys of this epoch are not given out; expected 1 to 2");
      EXPECT_EQ(a.last().type, "refusal");
    }
  }
}

TEST_F(ThresholdAuthorityTest, KeysOfNearAccountsAreOfOneTenant) {
  const auto tenant = *base::Tenant::parse("other");
  a.house.add_operator("alice", tenant);
  a.house.approve(kNear, Action::app_create, kNear.text(), tenant);
  auto asked = asking(kNear);
  asked.tenant = tenant;
  asked.evidence = evidence(*asked.statement(master));
  refused(a.ask(asked), Code::denied, "for one alone");
}

TEST_F(ThresholdAuthorityTest, EventLogsLeadToTheEvidence) {
  const auto logs = forge::make_event_logs({.seed = "threshold"});
  quote.td.rtmr = logs.rtmr;
  const auto asked = request();
  const auto beside = [&](const base::Bytes& log) {
    return with(asked, [&](auto& x) { x.evidence.supplements = {{attestation::SupplementKind::tcg_event_log, log}}; });
  };
  refused(a.ask(beside(forge::make_event_logs({.seed = "another boot"}).ccel)), Code::evidence_false, "not genuine");
  nothing_spent(a, beside(logs.ccel));
}

TEST_F(ThresholdAuthorityTest, SimulatedEvidenceIsForSimulatedClusters) {
  TestNode real{0, appraiser, master, base::Realm::production};
  real.approve(kWeb, quote);
  auto asked = asking();
  asked.nonces[0].nonce = real.authority.challenge().value();
  asked.evidence = evidence(*asked.statement(master));
  refused(real.ask(asked), Code::realm_mismatch, "");
  EXPECT_EQ(real.leaves("threshold.derivation") + real.leaves("refusal"), 0u);
}

TEST_F(ThresholdAuthorityTest, BeforeTheFirstEpochThereIsNothingToAskFor) {
  const auto asked = request();
  a.begun = false;
  refused(a.authority.challenge(), Code::unavailable, "no epoch");
  refused(a.ask(asked), Code::unavailable, "no epoch");
  a.begun = true;
  nothing_spent(a, asked);
}

TEST_F(ThresholdAuthorityTest, AServerThatDerivesForItselfIsInTheLogOnce) {
  base::FixedBytes<64> data{};
  data[0] = 7;
  const auto app = b.house.registry->policy_of(base::Tenant::standard(), kWeb, kTime);
  auto verdict =
      *verifier.verify(forge::ForgeAttester::make(pki, quote)->attest(data).value(), *source.collateral, kTime);
  const auto server = attestation::appraise_report_data(app->policy(), verdict, data);
  ASSERT_TRUE(server.ok()) << server.error().text();
  Node::Request asked{
      .epoch = 1, .outcome = {}, .app_id = base::to_bytes("app"), .app_key = asking().key.pk1, .participants = {0, 2}};
  ASSERT_TRUE(b.authority.note_server(asked, {.app = "name:web", .epoch = 1}, *server, patient()).ok());
  EXPECT_EQ(b.last().type, "threshold.server");
  EXPECT_EQ(b.last().app, "name:web");
  EXPECT_EQ(b.last().epoch, 1u);
  EXPECT_EQ(b.last().binding, base::hex(data));
  asked.participants = {2, 6};
  ASSERT_TRUE(b.authority.note_server(asked, {.app = "name:web", .epoch = 1}, *server, patient()).ok());
  EXPECT_EQ(b.leaves("threshold.server"), 1u);
  asked.app_id = base::to_bytes("other");
  ASSERT_TRUE(b.authority.note_server(asked, {.app = "name:web", .epoch = 1}, *server, patient()).ok());
  asked.app_key = asking().key.pk1;
  ASSERT_TRUE(b.authority.note_server(asked, {.app = "name:web", .epoch = 1}, *server, patient()).ok());
  EXPECT_EQ(b.leaves("threshold.server"), 3u);
}

TEST_F(ThresholdCoordinatorTest, AWorkloadOpensItsKeyAlsoWhenANodeWentAwayInBetween) {
  const auto point = keys::ckd::hash_point(*public_key, right.app_id);
  std::vector<std::string> opened;
  for (const std::vector<std::uint32_t>& ids : {std::vector<std::uint32_t>{0, 1}, {0, 2}}) {
    std::vector<keys::ckd::Ciphertext> shares;
    for (const std::uint32_t id : ids) {
      const auto share = derive(id, changed([&](auto& r) { r.participants = ids; }), asked.bytes());
      ASSERT_TRUE(share.ok()) << share.error().text();
      shares.push_back(*share);
    }
    const auto key = blinding.open(*keys::ckd::combine(shares), *public_key, point);
    ASSERT_TRUE(key.ok()) << key.error().text();
    opened.emplace_back(base::as_text(key->reveal()));
  }
  EXPECT_EQ(opened[0], opened[1]);
  for (const auto& node : nodes) EXPECT_EQ(node->leaves("threshold.derivation"), 1u);
}

TEST_F(ThresholdCoordinatorTest, ALyingCoordinatorGetsNoShareOfAnythingElse) {
  const auto bytes = asked.bytes();
  const auto mine = keys::ckd::Blinding::random(random).public_key().encode();
  // The workload's request, and a share of another app, for another path, or that the coordinator itself can open.
  refused(derive(0, changed([](auto& r) { r.app_id = base::to_bytes(keys::ckd::app_id("bob.near", "")); }), bytes),
          Code::denied, "the app and the key that the workload's evidence is for");
  refused(derive(0, changed([](auto& r) { r.app_id = base::to_bytes(keys::ckd::app_id("alice.near", "x")); }), bytes),
          Code::denied, "the app and the key");
  refused(derive(0, changed([&](auto& r) { r.app_key = mine; }), bytes), Code::denied, "the app and the key");
  // Its own key in both places.
  refused(
      derive(1, changed([&](auto& r) { r.app_key = mine; }), with(asked, [&](auto& x) { x.key.pk1 = mine; }).bytes()),
      Code::evidence_false, "not made for this request");
  // No request at all, one that is cut off, or with other nonces.
  refused(derive(1, right, {}), Code::denied, "a derivation");
  refused(derive(1, right, base::Bytes{bytes.begin(), bytes.end() - 1}), Code::malformed, "");
  refused(derive(1, right, with(asked, [](auto& x) { x.nonces.pop_back(); }).bytes()), Code::evidence_false,
          "not made for this request");
  // Other participants than can be, and another epoch.
  refused(derive(1, changed([](auto& r) { r.participants = {0, 2}; }), bytes), Code::malformed, "MissingParticipant");
  refused(derive(1, changed([](auto& r) { r.participants = {1}; }), bytes), Code::malformed, "2 or more");
  refused(derive(1, changed([](auto& r) { r.epoch = 2; }), bytes), Code::conflict, "");
  EXPECT_TRUE(derive(1, right, bytes).ok()) << "what the workload asked for is still answered";
}

TEST_F(ThresholdCoordinatorTest, AFreshNodeTakesNoEpochInWhichItHasNoPlace) {
  testing::Machine fresh{0, {machines.the_operator().public_key()}, random};
  const auto follow = [&](Node& node) {
    NodeServer server{NodeServerParts{.node = node,
                                      .authoriser = nodes[0]->authority,
                                      .hello = {},
                                      .appraiser = appraiser,
                                      .attester = attester,
                                      .registry = *nodes[0]->house.registry,
                                      .random = random,
                                      .clock = nodes[0]->house.clock,
                                      .nodes = kNodes}};
    return server.answer(Question{ask::Activate{*epoch}}, nullptr, patient());
  };
  const auto said = follow(fresh.node());
  ASSERT_TRUE(std::holds_alternative<base::Error>(said));
  EXPECT_EQ(std::get<base::Error>(said).code, Code::denied);
  EXPECT_EQ(fresh.node().current(), nullptr);
  EXPECT_TRUE(std::holds_alternative<answer::Nothing>(follow(machines[0].node())));
}

TEST_F(ThresholdCoordinatorTest, AnEpochThatTheCallerKnowsIsNotSentAgain) {
  const auto ask = [&](std::optional<base::Digest32> known) {
    return servers[0]->answer(Question{ask::Current{known}}, nullptr, patient());
  };
  EXPECT_TRUE(std::holds_alternative<Epoch>(ask({})));
  EXPECT_TRUE(std::holds_alternative<Epoch>(ask(base::Digest32{})));
  EXPECT_TRUE(std::holds_alternative<answer::Known>(ask(epoch->outcome.digest())));
}

}  // namespace
}  // namespace attestry::cluster
