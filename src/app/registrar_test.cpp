// The main job end to end in one process, with forged evidence: provision itself may not use the forge.
#include "provision/registrar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <barrier>
#include <future>
#include <thread>

#include "appraisal/replay.h"
#include "attestation/sealed_reply.h"
#include "attestation/verifier.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "client/registration.h"
#include "cluster/testing/nodes.h"
#include "collateral/bundle.h"
#include "collateral/fixed_source.h"
#include "crypto/hpke.h"
#include "crypto/x509.h"
#include "forge/attester.h"
#include "forge/event_log.h"
#include "forge/scenario.h"
#include "governance/testing/support.h"
#include "keys/threshold_root.h"

namespace attestry::provision {
namespace {

using base::Code;
using governance::Action;
using governance::testing::kOrigin;
using governance::testing::kTime;
using governance::testing::patient;
using ::testing::HasSubstr;

const base::AppRef kWeb = governance::testing::app_named("name:web");

/// The workload's side of one registration.
struct Workload {
  crypto::EcPrivateKey signing_key;
  crypto::HpkeKeyPair recipient_key;
  attestation::BindingStatement statement;
};

/// Runs `before` between the decision's reading of the state and the transaction.
class HookedRoots final : public keys::AppRootSource {
 public:
  base::Result<crypto::Secret> app_root(const governance::Grant& grant, std::uint32_t epoch,
                                        base::Deadline deadline) const override {
    if (before) before();
    return other == nullptr ? local.app_root(grant, epoch, deadline) : other->app_root(grant, epoch, deadline);
  }
  bool waits() const noexcept override { return other != nullptr && other->waits(); }
  std::function<void()> before;
  keys::LocalRoot local{crypto::Secret::copy_of(base::Bytes(32, 7))};
  const keys::AppRootSource* other = nullptr;  ///< in the place of the local one
};

/// Nodes in this process, in the epoch that stands here.
class Cluster final : public keys::CkdSource {
 public:
  explicit Cluster(std::uint32_t count) : machines{count, crypto::system_random()} {}
  base::Result<crypto::Secret> derive(base::ByteView app_id, base::ByteView, base::Deadline) override {
    const keys::ckd::MasterPublicKey master{epoch->outcome.commitments().constant()};
    const auto blinding = keys::ckd::Blinding::random(crypto::system_random());
    TRY(const auto got, cluster::derive(*epoch, master, app_id, {blinding.public_key(), std::nullopt}, {},
                                        [this](const cluster::Member& member) { return machines.find(member); }));
    return blinding.open(got.answer, master, keys::ckd::hash_point(master, app_id));
  }
  cluster::testing::Machines machines;
  std::optional<cluster::Epoch> epoch;
};

/// Collateral that can be away.
class Source final : public collateral::CollateralSource {
 public:
  base::Result<std::shared_ptr<const attestation::Collateral>> collateral_for(const attestation::Evidence&,
                                                                              base::UtcTime, base::Deadline) override {
    if (away) return base::Error{Code::unavailable, "the PCS is away"};
    return collateral;
  }
  bool away = false;
  std::shared_ptr<const attestation::Collateral> collateral;
};

class RegistrarTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto forged = forge::make_collateral(pki, forge::default_collateral(true, kTime));
    ASSERT_TRUE(forged.ok()) << forged.error().text();
    source.collateral = collateral::read_bundle(base::as_bytes(forged->json()), "forge").collateral();
    house.add_operator("alice");
    house.approve(kWeb, Action::app_create, kWeb.text());
    house.approve(kWeb, Action::policy_approve, house.blob(attestation::Policy::standard().document()));
    identity = house.blob(R"({"name":"web","claims":{"mrtd":")" + base::hex(quote.td.mr_td) + R"("}})");
    house.approve(kWeb, Action::identity_approve, identity);
  }

  Workload workload(const base::AppRef& app = kWeb) {
    auto signing_key = crypto::EcPrivateKey::generate(crypto::Curve::p256, random);
    auto recipient_key = crypto::hpke_generate(random);
    base::LpWriter recipient;
    recipient.u16(crypto::kHpkeKemX25519).raw(recipient_key.public_key);
    const auto nonce = challenges.issue(base::Purpose::instance_release, house.store->now()).nonce;
    attestation::BindingStatement statement{.purpose = base::Purpose::instance_release,
                                            .audience = kOrigin,
                                            .nonce = base::to_bytes(base::ByteView{nonce}),
                                            .tenant = base::Tenant::standard(),
                                            .app = app,
                                            .csr_spki = signing_key.public_key().spki(),
                                            .recipient = std::move(recipient).take()};
    return {std::move(signing_key), std::move(recipient_key), std::move(statement)};
  }

  /// `body_more` makes another body of the same request.
  InstanceRequest request(const Workload& from, const std::string& body_more = {}) {
    auto attester = *forge::ForgeAttester::make(pki, quote);
    const auto& s = from.statement;
    const auto evidence = attester.attest(s.binding()).value();
    const auto csr = crypto::make_csr(from.signing_key, "web").value();
    base::JsonOutObject members{{"evidence", base::base64url(evidence.bytes)},
                                {"csr", base::base64url(csr)},
                                {"recipient", base::base64url(s.recipient)},
                                {"nonce", base::base64url(s.nonce)},
                                {"app", s.app.text()}};
    if (!event_log.empty()) members.emplace_back("event_logs", base::JsonOutArray{base::base64url(event_log)});
    const std::string body = base::JsonOut{std::move(members)}.compact();
    auto parsed = InstanceRequest::parse(base::to_bytes(body + body_more));
    EXPECT_TRUE(parsed.ok()) << parsed.error().text();
    return std::move(*parsed);
  }

  InstanceOutcome go(const InstanceRequest& what) {
    std::promise<InstanceOutcome> promise;
    auto outcome = promise.get_future();
    registrar.register_instance(what, patient(),
                                [&promise](InstanceOutcome made) { promise.set_value(std::move(made)); });
    return outcome.get();
  }

  bool consumed(const InstanceRequest& what) {
    const auto fresh = challenges.check(what.nonce, base::Purpose::instance_release, what.body, house.store->now());
    const auto answered = appraisal::Challenges::answered(*house.store, fresh.value());
    return !answered.ok() || answered->has_value();
  }

  std::size_t leaves(std::string_view type) const {
    std::size_t found = 0;
    for (std::uint64_t i = 0; i < house.log->head().size; ++i) {
      if (audit::Leaf::parse(house.log->leaf(i).value())->type == type) ++found;
    }
    return found;
  }

  client::Trust trust() const {
    return {.log = audit::testing::trust_in(audit::testing::log_key()), .allow_simulated = true};
  }

  forge::ForgePki pki = *forge::ForgePki::make(base::as_bytes("registrar test"));
  forge::QuoteSpec quote = forge::default_quote(pki, forge::QuoteKind::tdx_v4);
  base::Bytes event_log;  ///< beside the quote; empty: none
  crypto::SeededRandom random{base::as_bytes("registrar")};
  governance::testing::House house;
  std::string identity;
  attestation::Verifier verifier{
      attestation::TrustAnchors::simulated({*attestation::TestRoot::from_certificate(pki.root().der)})};
  Source source;
  appraisal::Appraiser appraiser{verifier, source};
  appraisal::Challenges challenges{crypto::Secret::copy_of(base::Bytes(32, 1)), random};
  HookedRoots roots;
  secrets::SecretStore secrets{*house.store, crypto::Secret::copy_of(base::Bytes(32, 2)), random};
  appraisal::AppraisalStore appraisals{*house.store};
  Registrar registrar{{*house.store, *house.log, challenges, appraiser, *house.registry, roots, secrets, random,
                       house.clock, appraisals, [this](std::move_only_function<void()>& task) {
                         if (lane_is_full) return false;
                         lane.emplace_back(std::move(task));
                         return true;
                       }}};
  bool lane_is_full = false;
  std::vector<std::jthread> lane;

  struct Got {
    client::ReceivedRelease release;
    std::string same;  ///< everything that is the app's and not this one instance's
  };
  Got registered() {
    const auto from = workload();
    const auto outcome = go(request(from));
    EXPECT_TRUE(outcome.has_value()) << outcome.error().error.text();
    const auto plain =
        attestation::open_reply(outcome->sealed, from.recipient_key.private_key, from.statement.binding());
    auto release = client::ReceivedRelease::parse(plain->reveal());
    EXPECT_TRUE(release.ok()) << release.error().text();
    std::string same{base::as_text(release->configuration.reveal())};
    for (const auto& key : release->keys) same += "\n" + key.algorithm + " " + base::hex(key.private_key.reveal());
    for (const auto& former : release->former_keys) {
      same += "\n" + std::to_string(former.epoch) + " " + base::hex(former.key.private_key.reveal());
    }
    const auto chain = base::pem_decode(release->certificate_chain_pem);
    same += "\n" + base::hex((*chain)[1].der);
    return {std::move(*release), std::move(same)};
  }
};

void refused(const InstanceOutcome& outcome, Code code, std::string_view reason) {
  ASSERT_FALSE(outcome.has_value()) << "expected: " << reason;
  EXPECT_EQ(outcome.error().error.code, code) << outcome.error().error.text();
  EXPECT_THAT(outcome.error().error.text(), HasSubstr(std::string{reason}));
}

TEST_F(RegistrarTest, AnApprovedWorkloadGetsEverythingThatIsItsOwn) {
  const auto password = secrets.put(base::Tenant::standard(), kWeb, "password",
                                    crypto::Secret::copy_of(base::as_bytes("hunter2")), kTime, patient());
  ASSERT_TRUE(password.ok());
  house.approve(kWeb, Action::secret_approve, base::hex(password->id));
  const auto configuration = house.blob("app=${app} password=${secret:password} key=${key:session:aes256:v1} $${x}");
  house.approve(kWeb, Action::configuration_approve, configuration);

  const auto from = workload();
  const auto outcome = go(request(from));
  ASSERT_TRUE(outcome.has_value()) << outcome.error().error.text();
  const auto receipt = client::check_reply(outcome->receipt, outcome->sealed, trust(), from.statement);
  ASSERT_TRUE(receipt.ok()) << receipt.error().text();
  EXPECT_EQ(receipt->leaf.type, "release");
  EXPECT_EQ(receipt->leaf.realm, base::Realm::simulated);
  EXPECT_EQ(receipt->leaf.policy,
            base::hex(house.registry->policy_of(base::Tenant::standard(), kWeb, house.clock.now())->policy().sha256()));
  const auto plain = attestation::open_reply(outcome->sealed, from.recipient_key.private_key, from.statement.binding());
  ASSERT_TRUE(plain.ok()) << plain.error().text();
  const auto release = client::ReceivedRelease::parse(plain->reveal());
  ASSERT_TRUE(release.ok()) << release.error().text();

  const auto root = keys::derive_app_root(crypto::Secret::copy_of(base::Bytes(32, 7)), base::Realm::simulated,
                                          base::Tenant::standard(), kWeb, 0);
  const auto session = keys::derive_key(root, "session", keys::Algorithm::aes256, "v1");
  EXPECT_EQ(base::as_text(release->configuration.reveal()),
            "app=name:web password=hunter2 key=" + base::hex(session->private_key.reveal()) + " ${x}");
  EXPECT_EQ(release->configuration_id, configuration);
  ASSERT_EQ(release->keys.size(), 5u);
  for (const auto& key : release->keys) {
    const auto expected = keys::derive_key(root, "app", *keys::algorithm_from(key.algorithm), "");
    EXPECT_EQ(base::hex(key.private_key.reveal()), base::hex(expected->private_key.reveal())) << key.algorithm;
  }
  ASSERT_EQ(release->secrets.size(), 1u);
  EXPECT_EQ(base::as_text(release->secrets[0].second.reveal()), "hunter2");

  // The certificate is for the key that the evidence binds, and the leaf commits to what was handed out.
  const auto chain = base::pem_decode(release->certificate_chain_pem);
  ASSERT_EQ(chain->size(), 2u);
  const auto leaf = crypto::Certificate::parse((*chain)[0].der);
  const auto ca = crypto::Certificate::parse((*chain)[1].der);
  EXPECT_EQ(base::to_bytes(leaf->spki()), from.statement.csr_spki);
  EXPECT_TRUE(leaf->signed_by(*ca->ec_key()));
  EXPECT_EQ(leaf->not_after(), release->expires);
  const auto doc = base::JsonDocument::parse(std::string{base::as_text(plain->reveal())});
  const auto k = crypto::Secret::copy_of(
      base::base64url_decode((*doc)->root().get("leaf_key")->string("leaf_key").value()).value());
  EXPECT_EQ(receipt->leaf.outputs.at("secret/password"),
            audit::commitment(k, "secret/password", base::as_bytes("hunter2")));
}

TEST_F(RegistrarTest, AnUnapprovedIdentityIsRefusedLoggedAndCostsTheNonce) {
  quote.td.mr_td[0] ^= 1;
  const auto asked = request(workload());
  const auto outcome = go(asked);
  refused(outcome, Code::denied, "policy");
  EXPECT_THAT(outcome.error().verdict_json, HasSubstr("policy."));
  EXPECT_EQ(leaves("refusal"), 1u);
  EXPECT_EQ(leaves("release"), 0u);
  EXPECT_TRUE(consumed(asked));
  // Asked again, the same answer and no second leaf; not even an approval that came meanwhile changes it.
  house.approve(kWeb, Action::identity_approve,
                house.blob(R"({"claims":{"mrtd":")" + base::hex(quote.td.mr_td) + R"("}})"));
  const auto again = go(asked);
  ASSERT_FALSE(again.has_value());
  refused(again, Code::denied, "policy");
  EXPECT_EQ(again.error().error.text(), outcome.error().error.text());
  EXPECT_EQ(again.error().verdict_json, outcome.error().verdict_json);
  EXPECT_EQ(leaves("refusal"), 1u);
  EXPECT_TRUE(go(request(workload())).has_value());
}

TEST_F(RegistrarTest, FalseEvidenceCostsNothing) {
  quote.break_quote_signature = true;
  const auto from = workload();
  const auto forged = request(from);
  refused(go(forged), Code::evidence_false, "not genuine");
  EXPECT_FALSE(consumed(forged));
  quote.break_quote_signature = false;
  EXPECT_TRUE(go(request(from)).has_value()) << "the nonce is still good";
}

TEST_F(RegistrarTest, EvidenceForAnotherRequestCostsNothing) {
  const auto victim = workload();
  auto stolen = request(victim);
  // Whoever copies the evidence cannot exchange the key that the reply is sealed to.
  stolen.recipient[2] ^= 1;
  refused(go(stolen), Code::evidence_false, "not made for this request");
  auto other_key = request(victim);
  other_key.csr = crypto::make_csr(crypto::EcPrivateKey::generate(crypto::Curve::p256, random), "web").value();
  refused(go(other_key), Code::evidence_false, "not made for this request");
  EXPECT_FALSE(consumed(request(victim)));
  EXPECT_EQ(leaves("release") + leaves("refusal"), 0u);
  EXPECT_TRUE(go(request(victim)).has_value());
}

TEST_F(RegistrarTest, EveryVerdictIsKeptUnderTheIdThatIsAnsweredAndReplaysByteForByte) {
  const auto kept = [&](const std::string& id) {
    base::Digest32 digest{};
    EXPECT_TRUE(base::hex_decode_into(id, digest).ok()) << id;
    const auto found = appraisals.get(base::Tenant::standard(), digest);
    EXPECT_TRUE(found.ok()) << found.error().text();
    const auto whole = appraisals.load(base::Tenant::standard(), digest);
    EXPECT_TRUE(whole.ok()) << whole.error().text();
    EXPECT_TRUE(appraisal::replay(*whole)->same) << id;
    // On another machine, with nothing of this one's.
    const auto elsewhere = appraisal::read_export(appraisal::write_export(*whole));
    EXPECT_TRUE(elsewhere.ok() && appraisal::replay(*elsewhere)->same) << id;
    return found->entry;
  };
  const auto from = workload();
  const auto released = go(request(from));
  ASSERT_TRUE(released.has_value()) << released.error().error.text();
  const auto receipt = client::check_reply(released->receipt, released->sealed, trust(), from.statement);
  const auto entry = kept(receipt->leaf.appraisal);
  EXPECT_EQ(entry.origin, appraisal::Origin::release);
  EXPECT_TRUE(entry.leaf_index.has_value());
  EXPECT_EQ(entry.app, "name:web");
  EXPECT_EQ(entry.summary.verdict, "accepted");

  quote.td.mr_td[0] ^= 1;
  const auto asked = request(workload());
  const auto denied = go(asked);
  ASSERT_FALSE(denied.has_value());
  EXPECT_EQ(kept(denied.error().appraisal).origin, appraisal::Origin::refusal);
  EXPECT_EQ(go(asked).error().appraisal, denied.error().appraisal) << "asked again, the same id";

  quote.break_quote_signature = true;
  const auto forged = go(request(workload()));
  ASSERT_FALSE(forged.has_value());
  const auto attempt = kept(forged.error().appraisal);
  EXPECT_EQ(attempt.origin, appraisal::Origin::attempt);
  EXPECT_FALSE(attempt.leaf_index.has_value());
  EXPECT_EQ(attempt.summary.root_cause, "dcap.quote.signature");
  EXPECT_THAT(attempt.refusal_json, HasSubstr("evidence-false"));

  source.away = true;
  EXPECT_TRUE(go(request(workload())).error().appraisal.empty()) << "an outage is no verdict";
}

TEST_F(RegistrarTest, APolicyThatAsksForTheBootHoldsOnTheLogThatLeadsToTheQuote) {
  house.approve(kWeb, Action::policy_approve,
                house.blob(R"({"format":1,"name":"booted","require":{"event_log":true}})"));
  const auto kept = [&](const std::string& id) {
    base::Digest32 digest{};
    EXPECT_TRUE(base::hex_decode_into(id, digest).ok()) << id;
    auto whole = appraisals.load(base::Tenant::standard(), digest);
    EXPECT_TRUE(whole.ok()) << whole.error().text();
    EXPECT_TRUE(appraisal::replay(*whole)->same) << id;
    return std::move(*whole);
  };
  const auto logs = forge::make_event_logs({.seed = "registrar"});
  quote.td.rtmr = logs.rtmr;
  const auto without = go(request(workload()));
  refused(without, Code::denied, "policy.event_log; expected for rtmr0, rtmr1, rtmr2; found not given");
  EXPECT_TRUE(kept(without.error().appraisal).inputs().evidence.supplements.empty());
  EXPECT_EQ(leaves("refusal"), 1u);

  event_log = logs.ccel;
  const auto from = workload();
  const auto asked = request(from);
  const auto released = go(asked);
  ASSERT_TRUE(released.has_value()) << released.error().error.text();
  const auto receipt = client::check_reply(released->receipt, released->sealed, trust(), from.statement);
  ASSERT_TRUE(receipt.ok()) << receipt.error().text();
  const auto appraisal = kept(receipt->leaf.appraisal);
  ASSERT_EQ(appraisal.inputs().evidence.supplements.size(), 1u);
  EXPECT_EQ(appraisal.inputs().evidence.supplements[0].bytes, logs.ccel);
  // The log is part of the body that the nonce stands for.
  EXPECT_EQ(go(asked)->sealed, released->sealed);
  event_log = base::to_bytes(logs.dstack);
  refused(go(request(from)), Code::replayed, "");

  event_log = forge::make_event_logs({.seed = "another boot"}).ccel;
  const auto other = request(workload());
  const auto false_log = go(other);
  refused(false_log, Code::evidence_false, "not genuine");
  EXPECT_THAT(kept(false_log.error().appraisal).verdict_json(), HasSubstr("eventlog.replay"));
  EXPECT_FALSE(consumed(other));
}

TEST_F(RegistrarTest, AnOutageIsNoRefusalAndCostsNothing) {
  const auto asked = request(workload());
  source.away = true;
  refused(go(asked), Code::unavailable, "the PCS is away");
  source.away = false;
  const auto held = std::exchange(source.collateral, attestation::Collateral::none());
  refused(go(asked), Code::collateral_missing, "cannot be decided");
  source.collateral = held;
  EXPECT_FALSE(consumed(asked));
  EXPECT_EQ(leaves("release") + leaves("refusal"), 0u);
  EXPECT_TRUE(go(asked).has_value());
}

TEST_F(RegistrarTest, AChangeOfGovernanceBeforeTheCommitIsAConflict) {
  const auto asked = request(workload());
  roots.before = [&] { house.approve(kWeb, Action::revoke, identity); };
  refused(go(asked), Code::conflict, "approvals changed while this was decided");
  roots.before = nullptr;
  EXPECT_EQ(leaves("release"), 0u);
  EXPECT_FALSE(consumed(asked));
  refused(go(asked), Code::denied, "policy");
}

TEST_F(RegistrarTest, ANonceThatExpiresBeforeTheCommitIsRefused) {
  const auto asked = request(workload());
  roots.before = [&] { house.clock.pass(301); };
  refused(go(asked), Code::challenge_expired, "has expired");
  EXPECT_EQ(leaves("release"), 0u);
}

TEST_F(RegistrarTest, TheSameRequestTwiceAtOnceIsOneRelease) {
  const auto asked = request(workload());
  std::barrier both{2};
  roots.before = [&] { both.arrive_and_wait(); };  // neither is committed before both are decided
  auto first = std::async(std::launch::async, [&] { return go(asked); });
  const auto second = go(asked);
  const auto one = first.get();
  ASSERT_TRUE(one.has_value()) << one.error().error.text();
  ASSERT_TRUE(second.has_value()) << second.error().error.text();
  EXPECT_EQ(one->sealed, second->sealed);
  EXPECT_EQ(leaves("release"), 1u);
  // The stored answer is given again whatever happened since: nothing is judged anew.
  roots.before = nullptr;
  source.away = true;
  house.approve(kWeb, Action::revoke, identity);
  const auto later = go(asked);
  ASSERT_TRUE(later.has_value()) << later.error().error.text();
  EXPECT_EQ(later->sealed, one->sealed);
}

TEST_F(RegistrarTest, TheSameNonceWithAnotherBodyIsReplayed) {
  const auto from = workload();
  const auto one = request(from);
  const auto other = request(from, "\n");
  std::barrier both{2};
  roots.before = [&] { both.arrive_and_wait(); };
  auto first = std::async(std::launch::async, [&] { return go(one); });
  const auto second = go(other);
  const auto outcome = first.get();
  roots.before = nullptr;
  EXPECT_NE(outcome.has_value(), second.has_value());
  refused(outcome.has_value() ? second : outcome, Code::replayed, "another request body");
  EXPECT_EQ(leaves("release"), 1u);
  // And so it stays, for as long as the nonce lasts.
  refused(go(outcome.has_value() ? other : one), Code::replayed, "another request body");
  const auto repeated = go(outcome.has_value() ? one : other);
  ASSERT_TRUE(repeated.has_value());
  EXPECT_EQ(repeated->sealed, outcome.has_value() ? outcome->sealed : second->sealed);
}

TEST_F(RegistrarTest, NoncesAndAppsMustBeKnown) {
  auto unknown = request(workload());
  unknown.nonce[30] ^= 1;
  refused(go(unknown), Code::denied, "not one of this server's challenges");
  auto late = request(workload());
  house.clock.pass(301);
  refused(go(late), Code::challenge_expired, "has expired");
  refused(go(request(workload(governance::testing::app_named("name:nobody")))), Code::not_found, "no app");
  auto no_csr = request(workload());
  no_csr.csr = base::to_bytes("nonsense");
  refused(go(no_csr), Code::malformed, "csr");
  auto kem = request(workload());
  kem.recipient[1] = 0x10;
  refused(go(kem), Code::malformed, "recipient");
}

TEST_F(RegistrarTest, NobodyStartsOnHalfAConfiguration) {
  house.approve(kWeb, Action::configuration_approve, house.blob("password=${secret:password}"));
  const auto asked = request(workload());
  refused(go(asked), Code::configuration, "no approved secret");
  EXPECT_FALSE(consumed(asked));
  house.approve(kWeb, Action::configuration_approve, house.blob("x=${hostname}"));
  refused(go(asked), Code::configuration, "unknown reference");
  house.approve(kWeb, Action::configuration_approve, house.blob("x=${key:a:rsa:}"));
  refused(go(asked), Code::configuration, "unknown key algorithm");
  const auto bytes = secrets.put(base::Tenant::standard(), kWeb, "bytes",
                                 crypto::Secret::copy_of(base::Bytes{0xff, 0x00}), kTime, patient());
  house.approve(kWeb, Action::secret_approve, base::hex(bytes->id));
  house.approve(kWeb, Action::configuration_approve, house.blob("x=${secret:bytes}"));
  refused(go(asked), Code::configuration, "the secret is no text");
  EXPECT_EQ(leaves("release"), 0u);
}

TEST_F(RegistrarTest, OldNoncesAreCollectedByTheWay) {
  const auto asked = request(workload());
  ASSERT_TRUE(go(asked).has_value());
  house.clock.pass(301);
  ASSERT_TRUE(go(request(workload())).has_value());
  const auto fresh = challenges.check(asked.nonce, base::Purpose::instance_release, asked.body, kTime);
  EXPECT_FALSE(appraisal::Challenges::answered(*house.store, *fresh)->has_value());
}

TEST_F(RegistrarTest, WhatAThresholdRootReleasesStaysThroughAResharing) {
  house.approve(kWeb, Action::configuration_approve, house.blob("key=${key:session:aes256:v1}"));
  Cluster nodes{9};
  auto first = nodes.machines.generate(nodes.machines.intent(0, 5, 3));
  ASSERT_TRUE(first.ok()) << first.error().text();
  nodes.epoch.emplace(std::move(first->epoch));
  const auto& clock = base::system_clock();
  const keys::ThresholdRoot root{nodes, clock};
  roots.other = &root;
  const auto before = registered();
  EXPECT_EQ(before.release.keys.size(), 5u);
  house.approve(kWeb, Action::epoch_advance, "1");
  const auto bumped = registered();
  EXPECT_EQ(bumped.release.former_keys.size(), 5u);
  EXPECT_EQ(base::hex(bumped.release.former_keys[0].key.private_key.reveal()),
            base::hex(before.release.keys[0].private_key.reveal()));
  EXPECT_NE(base::hex(bumped.release.keys[0].private_key.reveal()),
            base::hex(before.release.keys[0].private_key.reveal()));

  auto second = nodes.machines.reshare(*nodes.epoch, nodes.machines.intent(4, 5, 4, &*nodes.epoch));
  ASSERT_TRUE(second.ok()) << second.error().text();
  for (const std::uint32_t id : {0U, 1U, 2U, 3U, 5U}) nodes.machines[id].kill();
  nodes.epoch.emplace(std::move(second->epoch));
  const keys::ThresholdRoot forgetful{nodes, clock};
  roots.other = &forgetful;
  EXPECT_EQ(registered().same, bumped.same);
}

TEST_F(RegistrarTest, NodesThatAreAwayAreAnOutageAndNotARefusal) {
  Cluster nodes{4};
  auto made = nodes.machines.generate(nodes.machines.intent(0, 4, 3));
  ASSERT_TRUE(made.ok()) << made.error().text();
  nodes.epoch.emplace(std::move(made->epoch));
  const keys::ThresholdRoot root{nodes, base::system_clock(), {.rest = std::chrono::milliseconds{0}}};
  roots.other = &root;
  for (const std::uint32_t id : {1U, 2U}) nodes.machines[id].kill();
  const auto asked = request(workload());
  refused(go(asked), Code::unavailable, "3 nodes");
  lane_is_full = true;
  refused(go(asked), Code::unavailable, "too many registrations wait");
  lane_is_full = false;
  EXPECT_FALSE(consumed(asked));
  EXPECT_EQ(leaves("release") + leaves("refusal"), 0u);
  nodes.machines[1].start();
  EXPECT_TRUE(go(asked).has_value());
  // What was derived once is still given when all are away.
  for (const std::uint32_t id : {0U, 1U, 3U}) nodes.machines[id].kill();
  EXPECT_TRUE(go(request(workload())).has_value());
}

}  // namespace
}  // namespace attestry::provision
