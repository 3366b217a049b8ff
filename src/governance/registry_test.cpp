#include "governance/registry.h"

#include <gmock/gmock.h>

#include <thread>
#include <type_traits>

#include "governance/app_state.h"
#include "governance/testing/support.h"

namespace attestry::governance {
namespace {

using base::Code;
using ::testing::HasSubstr;
using testing::House;
using testing::key_named;
using testing::kOrigin;
using testing::patient;

// An app's policy comes only from the registry: who holds one did not write it himself.
static_assert(!std::is_default_constructible_v<AppPolicy>);
static_assert(!std::is_constructible_v<AppPolicy, AppState, attestation::Policy>);

const base::AppRef kWeb = testing::app_named("name:web");
const base::AppRef kOther = testing::app_named("name:other");

template <class T>
void refused(const base::Result<T>& result, Code code, std::string_view reason) {
  ASSERT_FALSE(result.ok()) << "expected: " << reason;
  EXPECT_EQ(result.error().code, code) << result.error().text();
  EXPECT_THAT(result.error().text(), HasSubstr(std::string{reason}));
}

/// alice may approve, and name:web exists.
class RegistryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    house.add_operator("alice");
    house.approve(kWeb, Action::app_create, kWeb.text());
  }
  AppState web() const { return *house.registry->app(base::Tenant::standard(), kWeb); }
  std::uint64_t leaves() const { return house.log->head().size; }

  House house;
};

TEST_F(RegistryTest, EveryKindOfApprovalAddsUpToTheState) {
  const auto policy = house.blob(attestation::Policy::standard().document());
  const auto identity = house.blob(testing::identity_document('a'));
  const auto configuration = house.blob("listen = 1");
  house.approve(kWeb, Action::policy_approve, policy);
  house.approve(kWeb, Action::identity_approve, identity);
  house.approve(kWeb, Action::configuration_approve, configuration);
  house.approve(kWeb, Action::secret_approve, house.stored_secret(kWeb, 0xee));
  house.approve(kWeb, Action::threshold_set, "1");
  const AppState state = house.approve(kWeb, Action::epoch_advance, "1");
  EXPECT_EQ(state.seq, 7u);
  EXPECT_EQ(state.version, 7u);
  EXPECT_EQ(state.epoch, 1u);
  EXPECT_EQ(base::hex(*state.policy), policy);
  ASSERT_EQ(state.identities.size(), 1u);
  EXPECT_EQ(base::hex(state.identities[0]), identity);
  EXPECT_EQ(base::hex(*state.configuration), configuration);
  ASSERT_EQ(state.secrets.size(), 1u);
  const auto envelopes = house.registry->approvals(base::Tenant::standard(), kWeb);
  ASSERT_EQ(envelopes->size(), 7u);
  EXPECT_EQ(Envelope::parse(envelopes->front())->count_valid({key_named("alice").public_key()}), 1u);
  EXPECT_EQ(house.registry->apps(base::Tenant::standard())->size(), 1u);
}

TEST_F(RegistryTest, EveryChangeIsALeafInItsTransaction) {
  const auto before = leaves();
  house.add_operator("bob");
  const auto accepted = house.submit(house.next(kWeb, Action::epoch_advance, "1"));
  ASSERT_TRUE(accepted.ok());
  EXPECT_TRUE(
      house.registry
          ->remove_operator(base::Tenant::standard(), key_named("bob").public_key(), house.store->now(), patient())
          .ok());
  EXPECT_EQ(leaves(), before + 3);
  const auto leaf = audit::Leaf::parse(house.log->leaf(accepted->leaf_index).value());
  ASSERT_TRUE(leaf.ok());
  EXPECT_EQ(leaf->type, "approval.epoch.advance");
  EXPECT_EQ(leaf->app, "name:web");
  EXPECT_EQ(leaf->reply, accepted->payload_sha256);
  EXPECT_EQ(audit::Leaf::parse(house.log->leaf(before).value())->type, "operator.set");
  EXPECT_EQ(audit::Leaf::parse(house.log->leaf(before + 2).value())->type, "operator.remove");
}

TEST_F(RegistryTest, ARefusedApprovalChangesNothing) {
  const auto before = leaves();
  const auto state = web();
  EXPECT_FALSE(house.submit(house.next(kWeb, Action::epoch_advance, "5")).ok());
  EXPECT_EQ(leaves(), before);
  EXPECT_EQ(encode_app_state(web()), encode_app_state(state));
  EXPECT_EQ(house.registry->approvals(base::Tenant::standard(), kWeb)->size(), 1u);
}

TEST_F(RegistryTest, AReplayedApprovalIsAConflict) {
  const auto approval = house.next(kWeb, Action::epoch_advance, "1");
  ASSERT_TRUE(house.submit(approval).ok());
  refused(house.submit(approval), Code::conflict, "out of order or was sent before");
  refused(house.submit(house.next(kWeb, Action::app_create, kWeb.text())), Code::conflict, "exists already");
}

TEST_F(RegistryTest, OrderAndChainAreChecked) {
  auto gap = house.next(kWeb, Action::epoch_advance, "1");
  ++gap.seq;
  refused(house.submit(gap), Code::conflict, "out of order");
  auto other_chain = house.next(kWeb, Action::epoch_advance, "1");
  other_chain.prev[0] = other_chain.prev[0] == 'a' ? 'b' : 'a';
  refused(house.submit(other_chain), Code::conflict, "does not follow the last one");
  auto no_chain = house.next(kWeb, Action::epoch_advance, "1");
  no_chain.prev.clear();
  refused(house.submit(no_chain), Code::conflict, "does not follow the last one");
}

TEST_F(RegistryTest, AnOperatorWhoSawAnotherPolicyIsRefused) {
  auto approval = house.next(kWeb, Action::epoch_advance, "1");
  approval.policy_sha256 = std::string(64, 'a');
  refused(house.submit(approval), Code::conflict, "saw another policy");
}

TEST_F(RegistryTest, OnlyApprovalsForThisServerRealmTenantAndTimeCount) {
  auto audience = house.next(kWeb, Action::epoch_advance, "1");
  audience.audience = "log.example/other";
  refused(house.submit(audience), Code::denied, "for another server");
  auto realm = house.next(kWeb, Action::epoch_advance, "1");
  realm.realm = base::Realm::production;
  refused(house.submit(realm), Code::denied, "for another realm");
  auto expired = house.next(kWeb, Action::epoch_advance, "1");
  expired.expires = house.clock.now() - 1;
  refused(house.submit(expired), Code::denied, "has expired");
  auto tenant = house.next(kWeb, Action::epoch_advance, "1");
  tenant.tenant = *base::Tenant::parse("other");
  refused(house.submit(tenant), Code::denied, "too few operators signed");
  auto app = house.next(kWeb, Action::epoch_advance, "1");
  app.app = kOther;
  refused(house.submit(app), Code::not_found, "no app name:other");
  auto just_in_time = house.next(kWeb, Action::epoch_advance, "1");
  just_in_time.expires = house.clock.now();
  EXPECT_TRUE(house.submit(just_in_time).ok());
}

TEST_F(RegistryTest, OnlyOperatorsOfTheTenantCount) {
  const auto approval = house.next(kWeb, Action::epoch_advance, "1");
  refused(house.submit(approval, {"mallory"}), Code::denied, "too few operators signed");
  house.add_operator("mallory", *base::Tenant::parse("other"));
  refused(house.submit(approval, {"mallory"}), Code::denied, "too few operators signed");
  auto wrong_type = House::signed_by(approval, {"alice"});
  wrong_type.payload_type = "application/json";
  refused(house.registry->submit(wrong_type, house.store->now(), patient()), Code::malformed, "payloadType");
  auto altered = House::signed_by(approval, {"alice"});
  altered.payload.insert(1, " ");
  refused(house.registry->submit(altered, house.store->now(), patient()), Code::denied, "too few operators signed");
  ASSERT_TRUE(
      house.registry
          ->remove_operator(base::Tenant::standard(), key_named("alice").public_key(), house.store->now(), patient())
          .ok());
  refused(house.submit(approval), Code::denied, "too few operators signed");
}

TEST_F(RegistryTest, TheThresholdCountsDistinctOperators) {
  const Operator starter{.address = curves::Address{1}, .name = "deploy", .since = {}, .right = OperatorRight::start};
  ASSERT_TRUE(house.registry->set_operator(base::Tenant::standard(), starter, house.store->now(), patient()).ok());
  refused(house.submit(house.next(kWeb, Action::threshold_set, "2")), Code::malformed, "above the number of operators");
  for (const char* bad : {"0", "65", "-1", "two", "1 ", "", "4294967297"})
    refused(house.submit(house.next(kWeb, Action::threshold_set, bad)), Code::malformed, "threshold");
  house.add_operator("bob");
  EXPECT_EQ(house.approve(kWeb, Action::threshold_set, "2").threshold, 2u);
  const auto approval = house.next(kWeb, Action::epoch_advance, "1");
  refused(house.submit(approval, {"alice"}), Code::denied, "too few operators signed");
  refused(house.submit(approval, {"alice", "alice"}), Code::denied, "too few operators signed");
  refused(house.submit(approval, {"alice", "mallory"}), Code::denied, "too few operators signed");
  // One operator alone can neither lower the threshold again nor revoke.
  refused(house.submit(house.next(kWeb, Action::threshold_set, "1"), {"bob"}), Code::denied, "too few operators");
  refused(house.submit(house.next(kWeb, Action::revoke, std::string(64, 'a')), {"bob"}), Code::denied, "too few");
  EXPECT_TRUE(house.submit(approval, {"bob", "alice"}).ok());
}

TEST_F(RegistryTest, SubjectsMustExistAndBeWhatTheyAreApprovedAs) {
  const std::string missing(64, 'a');
  refused(house.submit(house.next(kWeb, Action::policy_approve, missing)), Code::not_found, "no blob");
  refused(house.submit(house.next(kWeb, Action::identity_approve, missing)), Code::not_found, "no blob");
  refused(house.submit(house.next(kWeb, Action::configuration_approve, missing)), Code::not_found, "no blob");
  const auto text = house.blob("no policy at all");
  refused(house.submit(house.next(kWeb, Action::policy_approve, text)), Code::malformed, "policy document");
  refused(house.submit(house.next(kWeb, Action::identity_approve, text)), Code::malformed, "identity document");
  // Two identities in one document would escape revocation one by one; an injected member would change the policy.
  const auto two = house.blob(testing::identity_document('a') + "," + testing::identity_document('b'));
  refused(house.submit(house.next(kWeb, Action::identity_approve, two)), Code::malformed, "identity document");
  const auto injected = house.blob(testing::identity_document('a') + R"(],"debug":true,"x":[)");
  refused(house.submit(house.next(kWeb, Action::identity_approve, injected)), Code::malformed, "identity document");
  const auto empty = house.blob(R"({"name":"anything","claims":{}})");
  refused(house.submit(house.next(kWeb, Action::identity_approve, empty)), Code::malformed, "measures no code");
  refused(house.submit(house.next(kWeb, Action::secret_approve, "abc")), Code::malformed, "subject");
  const auto not_stored = house.submit(house.next(kWeb, Action::secret_approve, std::string(64, 'e')));
  refused(not_stored, Code::not_found, "no stored secret");
  EXPECT_THAT(not_stored.error().remedy, HasSubstr("attestry secret put"));
  const auto of_another_app = house.stored_secret(kOther, 0xee);
  refused(house.submit(house.next(kWeb, Action::secret_approve, of_another_app)), Code::not_found, "no stored secret");
  refused(house.submit(house.next(kOther, Action::app_create, "name:third")), Code::malformed, "app itself");
  // A blob of another tenant is not this one's.
  const auto foreign = house.blob("text", *base::Tenant::parse("other"));
  refused(house.submit(house.next(kWeb, Action::configuration_approve, foreign)), Code::not_found, "no blob");
}

TEST_F(RegistryTest, TheEpochAdvancesByOne) {
  refused(house.submit(house.next(kWeb, Action::epoch_advance, "0")), Code::conflict, "advances by one");
  refused(house.submit(house.next(kWeb, Action::epoch_advance, "2")), Code::conflict, "advances by one");
  EXPECT_EQ(house.approve(kWeb, Action::epoch_advance, "1").epoch, 1u);
}

TEST_F(RegistryTest, EpochsAreRetiredForGoodAndNeverThePresentOne) {
  refused(house.submit(house.next(kWeb, Action::epoch_retire, "1")), Code::conflict, "only the present epoch is left");
  for (const char* epoch : {"1", "2", "3"}) house.approve(kWeb, Action::epoch_advance, epoch);
  EXPECT_EQ(web().oldest_epoch, 0u);
  for (const char* wrong : {"0", "4"})
    refused(house.submit(house.next(kWeb, Action::epoch_retire, wrong)), Code::conflict, "a number from 1 to 3");
  for (const char* wrong : {"", "02", "-1", "two", "4294967297"})
    refused(house.submit(house.next(kWeb, Action::epoch_retire, wrong)), Code::malformed, "decimal");
  EXPECT_EQ(house.approve(kWeb, Action::epoch_retire, "2").oldest_epoch, 2u);
  refused(house.submit(house.next(kWeb, Action::epoch_retire, "1")), Code::conflict, "a number from 3 to 3");
}

TEST_F(RegistryTest, SoManyEpochsAreKeptAtOnce) {
  for (int epoch = 1; epoch <= 32; ++epoch) house.approve(kWeb, Action::epoch_advance, std::to_string(epoch));
  refused(house.submit(house.next(kWeb, Action::epoch_advance, "33")), Code::conflict, "not retired");
  house.approve(kWeb, Action::epoch_retire, "1");
  EXPECT_EQ(house.approve(kWeb, Action::epoch_advance, "33").epoch, 33u);
}

class RevocationTest : public RegistryTest {
 protected:
  void SetUp() override {
    RegistryTest::SetUp();
    policy = house.blob(attestation::Policy::standard().document());
    identity = house.blob(testing::identity_document('a'));
    house.approve(kWeb, Action::policy_approve, policy);
    house.approve(kWeb, Action::identity_approve, identity);
  }
  std::string policy, identity;
};

TEST_F(RevocationTest, IsAcceptedAtAnySeq) {
  auto revocation = house.next(kWeb, Action::revoke, identity);
  revocation.seq = 1;
  revocation.prev = std::string(64, 'f');
  revocation.policy_sha256.clear();
  const auto accepted = house.submit(revocation);
  ASSERT_TRUE(accepted.ok()) << accepted.error().text();
  EXPECT_TRUE(accepted->state.identities.empty());
  EXPECT_EQ(accepted->state.prev, accepted->payload_sha256);
}

TEST_F(RevocationTest, IsIdempotent) {
  const auto revocation = house.next(kWeb, Action::revoke, identity);
  const auto first = house.submit(revocation);
  ASSERT_TRUE(first.ok());
  const auto before = leaves();
  const auto again = house.submit(revocation);
  ASSERT_TRUE(again.ok()) << again.error().text();
  EXPECT_EQ(again->leaf_index, first->leaf_index);
  EXPECT_EQ(encode_app_state(again->state), encode_app_state(first->state));
  EXPECT_EQ(leaves(), before);
}

TEST_F(RevocationTest, BarsItsSubjectUntilAnApprovalThatFollowsIt) {
  const auto signed_before = house.next(kWeb, Action::identity_approve, identity);
  auto far_ahead = signed_before;
  const auto revocation = house.next(kWeb, Action::revoke, identity);
  ASSERT_TRUE(house.submit(revocation).ok());
  refused(house.submit(signed_before), Code::conflict, "");
  ++far_ahead.seq;  // the right number, but its chain does not hold the revocation
  refused(house.submit(far_ahead), Code::conflict, "does not follow the last one");
  EXPECT_TRUE(web().identities.empty());
  EXPECT_EQ(house.approve(kWeb, Action::identity_approve, identity).identities.size(), 1u);
  // The old revocation, sent again by whoever kept it, does not take the new approval away.
  ASSERT_TRUE(house.submit(revocation).ok());
  EXPECT_EQ(web().identities.size(), 1u);
}

TEST_F(RevocationTest, ReachesEverythingThatWasApproved) {
  const auto configuration = house.blob("a = 1");
  house.approve(kWeb, Action::configuration_approve, configuration);
  house.approve(kWeb, Action::secret_approve, house.stored_secret(kWeb, 0xee));
  for (const auto& subject : {policy, configuration, std::string(64, 'e')})
    house.approve(kWeb, Action::revoke, subject);
  const auto state = web();
  EXPECT_FALSE(state.policy);
  EXPECT_FALSE(state.configuration);
  EXPECT_TRUE(state.secrets.empty());
  EXPECT_EQ(state.identities.size(), 1u);
  refused(house.registry->effective_policy(state, house.clock.now()), Code::denied, "no policy is approved");
  refused(house.registry->policy_of(base::Tenant::standard(), kWeb, house.clock.now()), Code::denied,
          "no policy is approved");
}

attestation::Verdict genuine(char mrtd) {
  attestation::Verdict verdict;
  verdict.evidence = attestation::Genuineness::genuine;
  verdict.platform = attestation::Platform::tdx;
  verdict.tcb = attestation::TcbSummary{.status = "UpToDate"};
  verdict.claims = {{.name = "mrtd", .value = std::string(96, mrtd)},
                    {.name = "td_attributes", .value = "0000001000000000"}};
  return verdict;
}

TEST_F(RevocationTest, WithoutIdentitiesTheEffectivePolicyAcceptsNobody) {
  const auto one = house.registry->policy_of(base::Tenant::standard(), kWeb, house.clock.now());
  ASSERT_TRUE(one.ok()) << one.error().text();
  auto good = genuine('a');
  attestation::evaluate(one->policy(), good);
  EXPECT_EQ(good.outcome, attestation::Outcome::accepted);
  auto stranger = genuine('b');
  attestation::evaluate(one->policy(), stranger);
  EXPECT_EQ(stranger.outcome, attestation::Outcome::refused);

  house.approve(kWeb, Action::revoke, identity);
  const auto none = house.registry->policy_of(base::Tenant::standard(), kWeb, house.clock.now());
  ASSERT_TRUE(none.ok()) << none.error().text();
  EXPECT_NE(none->policy().sha256(), one->policy().sha256());
  auto revoked = genuine('a');
  attestation::evaluate(none->policy(), revoked);
  EXPECT_EQ(revoked.outcome, attestation::Outcome::refused);
  ASSERT_NE(revoked.root_cause(), nullptr);
  EXPECT_THAT(std::string{attestation::info(revoked.root_cause()->check).id}, HasSubstr("policy."));
}

TEST_F(RegistryTest, VersionsAreRequiredInsideTheTransaction) {
  const auto require = [&](std::uint64_t version, const base::AppRef& app) {
    return house.store->write_and_wait(
        [&](state::WriteTxn& txn) { return Registry::require_version(txn, base::Tenant::standard(), app, version); },
        patient());
  };
  EXPECT_TRUE(require(1, kWeb).ok());
  refused(require(2, kWeb), Code::conflict, "approvals changed while this was decided");
  refused(require(1, kOther), Code::conflict, "approvals changed");
  house.approve(kWeb, Action::epoch_advance, "1");
  refused(require(1, kWeb), Code::conflict, "approvals changed");
}

TEST_F(RegistryTest, OperatorsCanBeRenamedAndAreBounded) {
  const base::Tenant crowded = *base::Tenant::parse("crowded");
  std::vector<std::thread> threads;  // together, so that they share the store's batches
  for (int t = 0; t < 32; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 8; ++i) house.add_operator("operator " + std::to_string(8 * t + i), crowded);
    });
  }
  for (auto& thread : threads) thread.join();
  const Operator more{.public_key = key_named("one more").public_key(), .name = "one more", .since = {}};
  refused(house.registry->set_operator(crowded, more, house.store->now(), patient()), Code::too_large, "too many");
  const Operator renamed{.public_key = key_named("operator 7").public_key(), .name = "seven", .since = {}};
  EXPECT_TRUE(house.registry->set_operator(crowded, renamed, house.store->now(), patient()).ok());
  EXPECT_EQ(house.registry->operators(crowded)->size(), 256u);
  const Operator nameless{.public_key = {}, .name = "", .since = {}};
  refused(house.registry->set_operator(crowded, nameless, house.store->now(), patient()), Code::malformed, "name");
  refused(house.registry->remove_operator(crowded, base::Bytes(32, 9), house.store->now(), patient()), Code::not_found,
          "no operator");
}

TEST_F(RegistryTest, BlobsAreAddressedByTheirContentAndBounded) {
  const auto id = house.registry->put_blob(base::Tenant::standard(), base::as_bytes("hello"), patient());
  EXPECT_EQ(base::hex(*id), "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
  EXPECT_EQ(house.registry->blob(base::Tenant::standard(), *id).value(), base::to_bytes("hello"));
  refused(house.registry->blob(*base::Tenant::parse("other"), *id), Code::not_found, "no blob");
  refused(house.registry->put_blob(base::Tenant::standard(), base::Bytes((1u << 20) + 1), patient()), Code::too_large,
          "blob");
}

}  // namespace
}  // namespace attestry::governance
