#include "governance/measurement_sets.h"

#include <gmock/gmock.h>

#include "governance/instance_record.h"
#include "governance/measurement_record.h"
#include "governance/revocation.h"
#include "governance/testing/support.h"
#include "state/keys.h"

namespace attestry::governance {
namespace {

using base::Code;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::House;
using ::testing::IsEmpty;
using testing::key_named;
using testing::kOrigin;
using testing::patient;

const base::AppRef kWeb = testing::app_named("name:web");
const base::Tenant kTenant = base::Tenant::standard();
constexpr std::string_view kPolicy = R"({"format":1,"name":"from the set","identities_from":["set:front"]})";

template <class T>
void refused(const base::Result<T>& result, Code code, std::string_view reason) {
  ASSERT_FALSE(result.ok()) << "expected: " << reason;
  EXPECT_EQ(result.error().code, code) << result.error().text();
  EXPECT_THAT(result.error().text(), HasSubstr(std::string{reason}));
}

std::string document(char digit, const std::string& more = "") {
  return R"({"format":1,"set":"front","platform":"tdx","role":"web front end",)" + more +
         R"("identities":[{"name":"web )" + std::string(1, digit) + R"(","claims":{"mrtd":")" + std::string(96, digit) +
         R"("}}]})";
}

/// alice, bob and carol are operators; name:web has a policy that takes its identities from the set "front".
class MeasurementSetsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"alice", "bob", "carol"}) house.add_operator(name);
    house.approve(kWeb, Action::app_create, kWeb.text());
    house.approve(kWeb, Action::policy_approve, house.blob(kPolicy));
  }

  base::Digest32 stored(const std::string& text) {
    return *house.registry->put_blob(kTenant, base::as_bytes(text), patient());
  }

  MeasurementAction next(MeasurementVerb verb, const base::Digest32& id) const {
    MeasurementAction action{.audience = kOrigin,
                             .realm = house.realm,
                             .set = "front",
                             .verb = verb,
                             .subject = id,
                             .preview = {},
                             .seq = 1,
                             .prev = {},
                             .expires = house.clock.now() + 3600};
    if (const auto set = sets.set(kTenant, "front")) {
      action.seq = set->seq + 1;
      action.prev = set->prev;
    }
    return action;
  }

  static Envelope signed_by(const MeasurementAction& action, const std::vector<std::string>& operators) {
    Envelope envelope{
        .payload_type = std::string{kMeasurementPayloadType}, .payload = action.payload(), .signatures = {}};
    for (const auto& name : operators) envelope.sign(key_named(name));
    return envelope;
  }

  base::Result<AcceptedMeasurement> submit(const MeasurementAction& action, const std::vector<std::string>& operators) {
    return sets.submit(signed_by(action, operators), house.clock.now(), patient());
  }
  base::Result<AcceptedMeasurement> change(MeasurementVerb verb, const base::Digest32& id,
                                           const std::string& who = "alice") {
    return submit(next(verb, id), {who});
  }

  /// Names of the identities that may register now.
  std::vector<std::string> admitted() const {
    std::vector<std::string> out;
    const auto app = house.registry->policy_of(kTenant, kWeb, house.clock.now());
    EXPECT_TRUE(app.ok()) << app.error().text();
    for (const auto& rule : app->policy().identities()) out.push_back(rule.name);
    return out;
  }

  void register_instance(const std::string& name, const std::string& source) {
    ASSERT_TRUE(house.store
                    ->write_and_wait(
                        [&](state::WriteTxn& txn) {
                          return put_instance(txn, kTenant, kWeb, name,
                                              {.appraisal = std::string(64, 'a'),
                                               .leaf_index = house.log->head().size - 1,
                                               .expires = house.clock.now() + 3600,
                                               .source = source});
                        },
                        patient())
                    .ok());
  }

  /// "live", "ended", …
  std::string state_of(const std::string& instance) const {
    const auto all = sets.instances(kTenant, kWeb, house.clock.now());
    EXPECT_TRUE(all.ok()) << all.error().text();
    for (const auto& one : *all) {
      if (one.instance == instance) return one.state;
    }
    return "absent";
  }

  House house;
  MeasurementSets sets{*house.store, *house.log, *house.registry};
};

TEST_F(MeasurementSetsTest, ProposedThenApprovedThenRemoved) {
  const auto id = stored(document('a'));
  const auto before = house.log->head().size;
  const auto added = change(MeasurementVerb::add, id);
  ASSERT_TRUE(added.ok()) << added.error().text();
  EXPECT_EQ(added->entry.state, MeasurementState::proposed);
  EXPECT_THAT(admitted(), IsEmpty()) << "a proposal lets nobody in";
  const auto approved = change(MeasurementVerb::approve, id, "bob");
  ASSERT_TRUE(approved.ok()) << approved.error().text();
  EXPECT_EQ(approved->entry.state, MeasurementState::approved);
  EXPECT_EQ(approved->entry.voices.size(), 2u);
  EXPECT_THAT(admitted(), ElementsAre("web a"));
  ASSERT_TRUE(change(MeasurementVerb::remove, id, "carol").ok());
  EXPECT_THAT(admitted(), IsEmpty());
  EXPECT_EQ(house.log->head().size, before + 3) << "each change is a leaf";
  EXPECT_EQ(sets.changes(kTenant, "front")->size(), 3u);
  EXPECT_EQ(sets.set(kTenant, "front")->entries.front().state, MeasurementState::removed);
}

TEST_F(MeasurementSetsTest, OfTwoPersonsTheProposerIsNotTheSecond) {
  house.approve(kWeb, Action::threshold_set, "2");
  const auto id = stored(document('a'));
  ASSERT_TRUE(change(MeasurementVerb::add, id, "alice").ok());
  refused(change(MeasurementVerb::approve, id, "alice"), Code::denied, "cannot be the next person");
  EXPECT_THAT(admitted(), IsEmpty());
  const auto approved = change(MeasurementVerb::approve, id, "bob");
  ASSERT_TRUE(approved.ok());
  EXPECT_EQ(approved->required, 2u);
  EXPECT_EQ(approved->entry.state, MeasurementState::approved);
  EXPECT_THAT(admitted(), ElementsAre("web a"));
}

TEST_F(MeasurementSetsTest, WhoIsNoOperatorAnyMoreIsNotTheFirstOfTwo) {
  house.approve(kWeb, Action::threshold_set, "2");
  const auto id = stored(document('a'));
  ASSERT_TRUE(change(MeasurementVerb::add, id, "alice").ok());
  const auto alice = key_named("alice").public_key();
  ASSERT_TRUE(house.registry->remove_operator(kTenant, alice, house.clock.now(), patient()).ok());
  EXPECT_EQ(change(MeasurementVerb::approve, id, "bob")->entry.state, MeasurementState::proposed);
  EXPECT_THAT(admitted(), IsEmpty());
  EXPECT_EQ(change(MeasurementVerb::approve, id, "carol")->entry.state, MeasurementState::approved);
  EXPECT_THAT(admitted(), ElementsAre("web a"));
}

TEST_F(MeasurementSetsTest, AnAppThatAsksForMoreVoicesThanAnEntryHasDoesNotSeeIt) {
  const auto id = stored(document('a'));
  ASSERT_TRUE(change(MeasurementVerb::add, id).ok());
  ASSERT_TRUE(change(MeasurementVerb::approve, id).ok());  // one person: nothing asks for two yet
  EXPECT_THAT(admitted(), ElementsAre("web a"));
  house.approve(kWeb, Action::threshold_set, "2");
  EXPECT_THAT(admitted(), IsEmpty());
  refused(change(MeasurementVerb::approve, id), Code::conflict, "approved already");
  ASSERT_TRUE(change(MeasurementVerb::approve, id, "bob").ok());
  EXPECT_THAT(admitted(), ElementsAre("web a"));
}

TEST_F(MeasurementSetsTest, APolicyMayAskForMoreApprovalsThanItsApp) {
  house.approve(kWeb, Action::policy_approve,
                house.blob(R"({"format":1,"identities_from":[{"set":"front","approvals":3}]})"));
  const auto id = stored(document('a'));
  ASSERT_TRUE(change(MeasurementVerb::add, id, "alice").ok());
  EXPECT_EQ(change(MeasurementVerb::approve, id, "bob")->entry.state, MeasurementState::proposed);
  EXPECT_THAT(admitted(), IsEmpty());
  refused(change(MeasurementVerb::approve, id, "bob"), Code::denied, "3 distinct operators");
  EXPECT_EQ(change(MeasurementVerb::approve, id, "carol")->entry.state, MeasurementState::approved);
  EXPECT_THAT(admitted(), ElementsAre("web a"));
}

TEST_F(MeasurementSetsTest, ValidityBoundsWhatCounts) {
  const auto id = stored(document('a', R"("not_before":")" + base::to_rfc3339(house.clock.now() + 60) +
                                           R"(","not_after":")" + base::to_rfc3339(house.clock.now() + 120) + R"(",)"));
  ASSERT_TRUE(change(MeasurementVerb::add, id).ok());
  ASSERT_TRUE(change(MeasurementVerb::approve, id).ok());
  EXPECT_THAT(admitted(), IsEmpty());
  house.clock.pass(60);
  EXPECT_THAT(admitted(), ElementsAre("web a"));
  house.clock.pass(61);
  EXPECT_THAT(admitted(), IsEmpty());
}

TEST_F(MeasurementSetsTest, RemovingEndsWhatRestsOnItAtOnceAndOnlyThat) {
  const auto a = stored(document('a')), b = stored(document('b'));
  for (const auto& id : {a, b}) {
    ASSERT_TRUE(change(MeasurementVerb::add, id).ok());
    ASSERT_TRUE(change(MeasurementVerb::approve, id).ok());
  }
  register_instance("one", source_of("front", a));
  register_instance("two", source_of("front", b));
  register_instance("three", "");
  const auto impact = sets.impact(kTenant, "front", a, house.clock.now());
  ASSERT_TRUE(impact.ok()) << impact.error().text();
  ASSERT_EQ(impact->instances.size(), 1u);
  EXPECT_EQ(impact->instances.front().instance, "one");
  ASSERT_EQ(impact->apps.size(), 1u);
  EXPECT_EQ(impact->apps.front().identities_left, 1u);

  auto action = next(MeasurementVerb::remove, a);
  action.preview = impact->sha256;
  const auto removed = submit(action, {"bob"});
  ASSERT_TRUE(removed.ok()) << removed.error().text();
  EXPECT_EQ(removed->ended->instances.size(), 1u);
  EXPECT_EQ(state_of("one"), "ended");
  EXPECT_EQ(state_of("two"), "live");
  EXPECT_EQ(state_of("three"), "live");

  // Approved once more, it lets new instances in and wakes none of the old ones.
  ASSERT_TRUE(change(MeasurementVerb::add, a).ok());
  ASSERT_TRUE(change(MeasurementVerb::approve, a).ok());
  EXPECT_EQ(state_of("one"), "ended");
  register_instance("four", source_of("front", a));
  EXPECT_EQ(state_of("four"), "live");
  EXPECT_THAT(sets.impact(kTenant, "front", a, house.clock.now())->instances.size(), 1u);
}

/// Source of the identity of that name, as a verdict has it.
std::string source_in(const House& house, std::string_view name) {
  const auto app = house.registry->policy_of(kTenant, kWeb, house.clock.now());
  EXPECT_TRUE(app.ok()) << app.error().text();
  for (const auto& rule : app->policy().identities()) {
    if (rule.name == name) return rule.source;
  }
  return "none of that name";
}

std::string own_identity(char digit, const std::string& more = "") {
  return R"({"name":"own )" + std::string(1, digit) + "\"," + more + R"("claims":{"mrtd":")" + std::string(96, digit) +
         R"("}})";
}

base::Digest32 digest(const std::string& hex) {
  base::Digest32 out{};
  EXPECT_TRUE(base::hex_decode_into(hex, out).ok());
  return out;
}

TEST_F(MeasurementSetsTest, RevokingAnAppsOwnIdentityEndsWhatRestsOnItAtOnceAndOnlyThat) {
  const std::string a = house.blob(own_identity('a')), b = house.blob(own_identity('b', R"("source":"release 1",)"));
  house.approve(kWeb, Action::identity_approve, a);
  house.approve(kWeb, Action::identity_approve, b);
  EXPECT_EQ(source_in(house, "own a"), "identity:" + a);
  EXPECT_EQ(source_in(house, "own b"), "identity:" + b + " (release 1)");
  register_instance("one", source_in(house, "own a"));
  register_instance("two", source_in(house, "own b"));
  const auto entry = stored(document('c'));
  ASSERT_TRUE(change(MeasurementVerb::add, entry).ok());
  ASSERT_TRUE(change(MeasurementVerb::approve, entry).ok());
  register_instance("set", source_of("front", entry));

  const auto impact = [&](const std::string& id) {
    return revocation_impact(*house.store, *house.registry, kTenant, kWeb, Action::revoke, digest(id),
                             house.clock.now());
  };
  const auto before = impact(a);
  ASSERT_TRUE(before.ok()) << before.error().text();
  ASSERT_EQ(before->instances.size(), 1u);
  EXPECT_EQ(before->instances.front().instance, "one");
  EXPECT_EQ(before->identities_left, 2u) << "the other one, and that of the set";
  EXPECT_EQ(state_of("one"), "live") << "a preview changes nothing";

  house.approve(kWeb, Action::revoke, a);
  EXPECT_EQ(state_of("one"), "ended");
  EXPECT_EQ(state_of("two"), "live");
  EXPECT_EQ(state_of("set"), "live");
  EXPECT_THAT(impact(a)->instances, IsEmpty());

  // Approved once more, it lets new instances in and wakes none of the old ones.
  house.approve(kWeb, Action::identity_approve, a);
  EXPECT_EQ(state_of("one"), "ended");
  register_instance("three", source_in(house, "own a"));
  EXPECT_EQ(state_of("three"), "live");
  EXPECT_EQ(impact(a)->instances.size(), 1u);
  house.clock.pass(3601);
  EXPECT_THAT(impact(a)->instances, IsEmpty()) << "what has expired is hit by nothing";
}

TEST_F(MeasurementSetsTest, AnotherPolicyEndsWhatRestsOnWhatItLeavesOut) {
  const auto policy = [&](const std::string& identities, const std::string& more = "") {
    return house.blob(R"({"format":1,)" + more + R"("identities":[)" + identities + "]}");
  };
  const std::string both = policy(own_identity('a') + "," + own_identity('b'), R"("identities_from":["set:front"],)");
  house.approve(kWeb, Action::policy_approve, both);
  EXPECT_THAT(source_in(house, "own a"), ::testing::StartsWith("policy:"));
  register_instance("a", source_in(house, "own a"));
  register_instance("b", source_in(house, "own b"));
  const auto entry = stored(document('c'));
  ASSERT_TRUE(change(MeasurementVerb::add, entry).ok());
  ASSERT_TRUE(change(MeasurementVerb::approve, entry).ok());
  register_instance("set", source_of("front", entry));

  const std::string one = policy(own_identity('b'));
  const auto impact = revocation_impact(*house.store, *house.registry, kTenant, kWeb, Action::policy_approve,
                                        digest(one), house.clock.now());
  ASSERT_TRUE(impact.ok()) << impact.error().text();
  std::vector<std::string> hit;
  for (const auto& instance : impact->instances) hit.push_back(instance.instance);
  EXPECT_THAT(hit, ElementsAre("a", "set"));
  EXPECT_EQ(impact->identities_left, 1u);

  house.approve(kWeb, Action::policy_approve, one);
  EXPECT_EQ(state_of("a"), "ended");
  EXPECT_EQ(state_of("b"), "live") << "the new policy names it, too";
  EXPECT_EQ(state_of("set"), "ended") << "the new policy does not name the set";
  house.approve(kWeb, Action::revoke, one);
  EXPECT_EQ(state_of("b"), "ended");
}

TEST_F(MeasurementSetsTest, NobodySaysForHimselfWhereAnIdentityCameFrom) {
  for (const char* source : {"identity:x", "policy:x", "set:x"}) {
    const std::string identity = own_identity('a', R"("source":")" + std::string{source} + R"(",)");
    refused(house.submit(house.next(kWeb, Action::identity_approve, house.blob(identity))), Code::malformed,
            "came from a measurement set, or from governance");
  }
}

TEST_F(MeasurementSetsTest, APreviewThatIsNoLongerTrueStopsTheRemoval) {
  const auto id = stored(document('a'));
  ASSERT_TRUE(change(MeasurementVerb::add, id).ok());
  ASSERT_TRUE(change(MeasurementVerb::approve, id).ok());
  auto action = next(MeasurementVerb::remove, id);
  action.preview = sets.impact(kTenant, "front", id, house.clock.now())->sha256;
  register_instance("late", source_of("front", id));
  refused(submit(action, {"alice"}), Code::conflict, "others than the operator was shown");
  EXPECT_THAT(admitted(), ElementsAre("web a"));
}

TEST_F(MeasurementSetsTest, ARemovalIsIdempotentAndBarsWhatWasSignedBeforeIt) {
  const auto id = stored(document('a'));
  ASSERT_TRUE(change(MeasurementVerb::add, id).ok());
  const auto early = next(MeasurementVerb::approve, id);
  auto removal = next(MeasurementVerb::remove, id);
  removal.seq = 1;  // accepted at any
  const auto first = submit(removal, {"alice"});
  ASSERT_TRUE(first.ok()) << first.error().text();
  const auto size = house.log->head().size;
  EXPECT_EQ(submit(removal, {"alice"})->leaf_index, first->leaf_index);
  EXPECT_EQ(house.log->head().size, size);
  refused(submit(early, {"bob"}), Code::conflict, "out of order");
  refused(change(MeasurementVerb::remove, id), Code::conflict, "removed already");
  refused(change(MeasurementVerb::approve, id), Code::conflict, "was removed: add it again");
  ASSERT_TRUE(change(MeasurementVerb::add, id).ok());
  ASSERT_TRUE(change(MeasurementVerb::approve, id).ok());
  ASSERT_TRUE(submit(removal, {"alice"}).ok());
  EXPECT_THAT(admitted(), ElementsAre("web a")) << "the old removal, sent again, takes nothing away";
}

TEST_F(MeasurementSetsTest, ChangesAreSignedOrderedAndAddressed) {
  const auto id = stored(document('a'));
  const auto good = next(MeasurementVerb::add, id);
  const auto size = house.log->head().size;
  refused(submit(good, {"eve"}), Code::denied, "no operator of this tenant signed");
  auto other = good;
  other.audience = "elsewhere.example";
  refused(submit(other, {"alice"}), Code::denied, "another server");
  other = good;
  other.realm = base::Realm::production;
  refused(submit(other, {"alice"}), Code::denied, "another realm");
  other = good;
  other.expires = house.clock.now() + -1;
  refused(submit(other, {"alice"}), Code::denied, "expired");
  other = good;
  other.seq = 2;
  refused(submit(other, {"alice"}), Code::conflict, "out of order");
  other = good;
  other.set = "back";
  refused(submit(other, {"alice"}), Code::malformed, "of another set");
  other = good;
  other.subject.fill(7);
  refused(submit(other, {"alice"}), Code::not_found, "no blob");
  refused(change(MeasurementVerb::approve, id), Code::not_found, "no such entry");
  auto envelope = signed_by(good, {"alice"});
  envelope.payload_type = std::string{kApprovalPayloadType};
  refused(sets.submit(envelope, house.clock.now(), patient()), Code::malformed, "payloadType");
  EXPECT_EQ(house.log->head().size, size);
  ASSERT_TRUE(submit(good, {"alice"}).ok());
  refused(submit(good, {"alice"}), Code::conflict, "out of order");
  refused(change(MeasurementVerb::add, id), Code::conflict, "already");
}

TEST_F(MeasurementSetsTest, AReleaseAbortsWhenASetChangedMeanwhile) {
  const auto decided = *house.registry->policy_of(kTenant, kWeb, house.clock.now());
  ASSERT_TRUE(decided.state().references.has_value());
  const auto still = [&] {
    return house.store->write_and_wait(
        [&](state::WriteTxn& txn) {
          return Registry::require_version(txn, kTenant, kWeb, decided.state().version, decided.state().references);
        },
        patient());
  };
  EXPECT_TRUE(still().ok());
  ASSERT_TRUE(change(MeasurementVerb::add, stored(document('a'))).ok());
  refused(still(), Code::conflict, "a measurement set or a list changed");

  house.approve(kWeb, Action::policy_approve, house.blob(attestation::Policy::standard().document()));
  EXPECT_FALSE(house.registry->policy_of(kTenant, kWeb, house.clock.now())->state().references.has_value())
      << "whose policy names no set is not disturbed by them";
}

TEST_F(MeasurementSetsTest, NobodyElseSaysThatAnIdentityCameFromASet) {
  const std::string identity = R"({"source":"set:front/x","claims":{"mrtd":")" + std::string(96, 'a') + R"("}})";
  refused(house.submit(house.next(kWeb, Action::identity_approve, house.blob(identity))), Code::malformed,
          "came from a measurement set");
  refused(house.submit(
              house.next(kWeb, Action::policy_approve, house.blob(R"({"format":1,"identities":[)" + identity + "]}"))),
          Code::malformed, "came from a measurement set");
}

TEST(MeasurementDocument, IsReadStrictly) {
  EXPECT_TRUE(Measurement::parse(document('a')).ok());
  const auto whole = Measurement::parse(document(
      'a', R"("not_before":"2026-01-01T00:00:00Z","not_after":"2027-01-01T00:00:00Z","provenance":{"source":"git:x",)"
           R"("commit":"abc","statement_sha256":")" +
               std::string(64, 'b') + R"(","by":"CI"},)"));
  ASSERT_TRUE(whole.ok()) << whole.error().text();
  EXPECT_EQ(whole->commit, "abc");
  const auto refusal = [](std::string text, std::string_view what, std::string_view by) {
    text.replace(text.find(what), what.size(), by);
    const auto parsed = Measurement::parse(text);
    return parsed.ok() ? "accepted" : parsed.error().text();
  };
  const std::string good = document('a');
  EXPECT_THAT(refusal(good, R"("set":"front")", R"("set":"Front")"), HasSubstr("set"));
  EXPECT_THAT(refusal(good, R"("tdx")", R"("snp")"), HasSubstr("another platform"));
  EXPECT_THAT(refusal(good, R"("tdx")", R"("tpm")"), HasSubstr("platform"));
  EXPECT_THAT(refusal(good, R"("role":"web front end",)", ""), HasSubstr("role"));
  EXPECT_THAT(refusal(good, R"("role")", R"("rule")"), HasSubstr("role"));
  EXPECT_THAT(refusal(good, "mrtd", "rtmr0"), HasSubstr("measures no code"));
  EXPECT_THAT(refusal(good, R"("name":"web a")", R"("name":"web a","source":"x")"), HasSubstr("source"));
  EXPECT_THAT(refusal(good, R"("format":1)", R"("format":2)"), HasSubstr("format"));
  EXPECT_FALSE(Measurement::parse(document('a', R"("provenance":{"statement_sha256":"aa"},)")).ok());
  EXPECT_FALSE(
      Measurement::parse(document('a', R"("not_before":"2027-01-01T00:00:00Z","not_after":"2026-01-01T00:00:00Z",)"))
          .ok());
}

TEST(MeasurementActionPayload, RoundTripsAndIsReadStrictly) {
  MeasurementAction action{.audience = kOrigin,
                           .realm = base::Realm::simulated,
                           .set = "front",
                           .verb = MeasurementVerb::remove,
                           .subject = {},
                           .preview = std::string(64, 'a'),
                           .seq = 7,
                           .prev = std::string(64, 'b'),
                           .expires = {1'790'000'000}};
  const auto again = MeasurementAction::parse(action.payload());
  ASSERT_TRUE(again.ok()) << again.error().text();
  EXPECT_EQ(again->payload(), action.payload());
  action.verb = MeasurementVerb::approve;
  EXPECT_FALSE(MeasurementAction::parse(action.payload()).ok()) << "only a removal has a preview";
  const auto refusal = [](std::string text, std::string_view what, std::string_view by) {
    text.replace(text.find(what), what.size(), by);
    return !MeasurementAction::parse(text).ok();
  };
  action.preview.clear();
  const std::string good = action.payload();
  ASSERT_TRUE(MeasurementAction::parse(good).ok());
  EXPECT_TRUE(refusal(good, "measurement.approve", "measurement.improve"));
  EXPECT_TRUE(refusal(good, R"("v":1)", R"("v":2)"));
  EXPECT_TRUE(refusal(good, R"("set":"front")", R"("app":"front")"));
  EXPECT_TRUE(refusal(good, R"("seq":7)", R"("seq":0)"));
  EXPECT_TRUE(refusal(good, R"("subject":"00)", R"("subject":"0)"));
}

std::string list_document(int version, const std::string& chip) {
  return R"({"format":1,"name":"berlin","version":)" + std::to_string(version) +
         R"(,"not_after":"2100-01-01T00:00:00Z","claims":{"chip_id":[")" + chip + R"("]}})";
}

attestation::SignedList signed_list(int version, const std::vector<std::string>& by, char chip = 'a',
                                    const std::string& name = "berlin") {
  std::string text = list_document(version, std::string(128, chip));
  text.replace(text.find("berlin"), 6, name);
  Envelope envelope{
      .payload_type = std::string{attestation::kSignedListPayloadType}, .payload = std::move(text), .signatures = {}};
  for (const auto& one : by) envelope.sign(key_named(one));
  return *attestation::SignedList::from_envelope(std::move(envelope));
}

TEST_F(MeasurementSetsTest, ListsNeverGoBackToAnOlderVersion) {
  const auto put = [&](const attestation::SignedList& list) {
    return house.registry->put_list(kTenant, list, house.clock.now(), patient());
  };
  ASSERT_TRUE(put(signed_list(2, {"alice"})).ok());
  const auto size = house.log->head().size;
  EXPECT_TRUE(put(signed_list(2, {"alice"})).ok()) << "the same again changes nothing";
  EXPECT_EQ(house.log->head().size, size);
  EXPECT_TRUE(put(signed_list(2, {"alice", "bob"})).ok()) << "one more signature";
  refused(put(signed_list(2, {"alice"}, 'b')), Code::conflict, "this or a higher version");
  refused(put(signed_list(1, {"alice"})), Code::conflict, "this or a higher version");
  ASSERT_TRUE(put(signed_list(3, {"alice"})).ok());
  EXPECT_EQ(house.registry->list(kTenant, "berlin")->version(), 3u);
  ASSERT_TRUE(house.registry->remove_list(kTenant, "berlin", house.clock.now(), patient()).ok());
  refused(house.registry->list(kTenant, "berlin"), Code::not_found, "no list");
  refused(house.registry->remove_list(kTenant, "berlin", house.clock.now(), patient()), Code::not_found, "no list");
  refused(put(signed_list(3, {"alice"})), Code::conflict, "this or a higher version");
  EXPECT_THAT(*house.registry->lists(kTenant), IsEmpty());
  ASSERT_TRUE(put(signed_list(4, {"alice"})).ok());
  EXPECT_EQ(house.registry->lists(kTenant)->size(), 1u);
}

TEST_F(MeasurementSetsTest, AListThatWouldNotBeSeenIsNotTaken) {
  const auto put = [&](const std::string& name) {
    return house.registry->put_list(kTenant, signed_list(1, {"alice"}, 'a', name), house.clock.now(), patient());
  };
  ASSERT_TRUE(put("first").ok());
  // 998 more in one transaction: each by itself would wait for the disk.
  const auto filled = house.store->write_and_wait(
      [&](state::WriteTxn& txn) -> base::Status {
        const auto key = [](const std::string& name) { return state::Key(state::Space::lists, kTenant).lp(name); };
        TRY(const auto row, txn.get(key("first")));
        for (int i = 0; i < 998; ++i) TRY_OK(txn.put(key("list-" + std::to_string(i)), *row));
        return base::done();
      },
      patient());
  ASSERT_TRUE(filled.ok()) << filled.error().text();
  EXPECT_TRUE(put("last").ok());
  refused(put("one-more"), Code::too_large, "too many lists");
  EXPECT_TRUE(put("first").ok()) << "the same again";
  EXPECT_EQ(house.registry->lists(kTenant)->size(), 1000u);
}

TEST_F(MeasurementSetsTest, AnAppsPolicyIsJudgedWithTheStoredListsThatItNames) {
  const std::string key = base::hex(key_named("alice").public_key());
  house.approve(
      kWeb, Action::policy_approve,
      house.blob(R"({"format":1,"lists":[{"name":"berlin","keys":[")" + key + R"("]},{"name":"paris","keys":[")" + key +
                 R"("]}],"conditions":[{"claim":"chip_id","in_list":"berlin"}]})"));
  EXPECT_EQ(house.registry->policy_of(kTenant, kWeb, house.clock.now())->lists().size(), 0u);
  ASSERT_TRUE(house.registry->put_list(kTenant, signed_list(1, {"alice"}), house.clock.now(), patient()).ok());
  const auto app = house.registry->policy_of(kTenant, kWeb, house.clock.now());
  ASSERT_EQ(app->lists().size(), 1u);
  EXPECT_EQ(app->lists().front().name(), "berlin");
  EXPECT_TRUE(app->state().references.has_value());
}

}  // namespace
}  // namespace attestry::governance
