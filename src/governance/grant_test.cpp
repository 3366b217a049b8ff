#include "governance/grant.h"

#include <gmock/gmock.h>

#include <type_traits>

#include "governance/testing/support.h"

namespace attestry::governance {
namespace {

using base::Code;
using ::testing::HasSubstr;
using testing::House;
using testing::kOrigin;

// Proofs are made by the one function that checks them, and neither by hand nor by copying (FORMATS 4).
static_assert(!std::is_default_constructible_v<Grant>);
static_assert(!std::is_constructible_v<Grant, AppState, base::Purpose, base::Realm>);
static_assert(!std::is_copy_constructible_v<Grant> && !std::is_copy_assignable_v<Grant>);
static_assert(std::is_nothrow_move_constructible_v<Grant>);
static_assert(!std::is_default_constructible_v<attestation::Bound>);
static_assert(!std::is_constructible_v<attestation::Bound, attestation::Verdict, attestation::BindingStatement,
                                       base::FixedBytes<64>>);
static_assert(!std::is_default_constructible_v<attestation::Verified>);
static_assert(
    !std::is_constructible_v<attestation::Verified, attestation::Bound, attestation::Verdict, base::Digest32>);
static_assert(!std::is_constructible_v<attestation::Verified, attestation::Bound>);

const base::AppRef kWeb = testing::app_named("name:web");

struct Request {
  base::Purpose purpose = base::Purpose::instance_release;
  base::Tenant tenant = base::Tenant::standard();
  base::AppRef app = kWeb;
  bool simulated = true;
  bool own_policy = false;
  std::int64_t valid_seconds = 3600;
};

class AuthorizeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    house.add_operator("alice");
    make_app(kWeb, base::Tenant::standard());
  }

  void make_app(const base::AppRef& app, const base::Tenant& tenant) {
    house.approve(app, Action::app_create, app.text(), tenant);
    house.approve(app, Action::policy_approve, house.blob(attestation::Policy::standard().document(), tenant), tenant);
    house.approve(app, Action::identity_approve, house.blob(testing::identity_document('a'), tenant), tenant);
  }

  AppPolicy policy_of(const base::AppRef& app, const base::Tenant& tenant = base::Tenant::standard()) const {
    return *house.registry->policy_of(tenant, app, house.clock.now());
  }

  appraisal::Fresh fresh(base::Purpose purpose = base::Purpose::instance_release) {
    const auto issued = challenges.issue(purpose, house.clock.now());
    return *challenges.check(issued.nonce, purpose, base::as_bytes("{}"), house.clock.now());
  }

  attestation::Verified verified(const appraisal::Fresh& made_for, const Request& request) {
    attestation::BindingStatement statement{.purpose = request.purpose,
                                            .audience = kOrigin,
                                            .nonce = made_for.nonce(),
                                            .tenant = request.tenant,
                                            .app = request.app,
                                            .csr_spki = base::Bytes(91, 5),
                                            .recipient = base::Bytes(34, 6)};
    attestation::Verdict verdict;
    verdict.evidence = attestation::Genuineness::genuine;
    verdict.platform = attestation::Platform::tdx;
    verdict.simulated = request.simulated;
    verdict.report_data = base::to_bytes(base::ByteView{statement.binding()});
    verdict.tcb = attestation::TcbSummary{.status = "UpToDate"};
    verdict.claims = {{.name = "mrtd", .value = std::string(96, 'a')},
                      {.name = "td_attributes", .value = "0000001000000000"}};
    verdict.valid_until = house.clock.now() + request.valid_seconds;
    auto bound = attestation::bind(verdict, std::move(statement));
    EXPECT_TRUE(bound.ok()) << bound.error().text();
    attestation::Verdict judged;
    auto done = attestation::appraise(request.own_policy ? attestation::Policy::genuine() : policy_of(kWeb).policy(),
                                      std::move(*bound), judged);
    EXPECT_TRUE(done.ok()) << done.error().text();
    return std::move(*done);
  }

  base::Result<Grant> ask(const Request& request, const AppPolicy& app) {
    const auto proof = fresh(request.purpose);
    return authorize(verified(proof, request), proof, app, house.realm, house.clock.now());
  }

  House house;
  crypto::SeededRandom random{base::as_bytes("grants")};
  appraisal::Challenges challenges{crypto::Secret::copy_of(base::Bytes(32, 1)), random};
};

void refused(const base::Result<Grant>& result, Code code, std::string_view reason) {
  ASSERT_FALSE(result.ok()) << "expected: " << reason;
  EXPECT_EQ(result.error().code, code) << result.error().text();
  EXPECT_THAT(result.error().text(), HasSubstr(std::string{reason}));
}

TEST_F(AuthorizeTest, TheGrantSaysWhatTheProofsSay) {
  const auto proof = fresh();
  const auto evidence = verified(proof, {});
  const auto app = policy_of(kWeb);
  const auto grant = authorize(evidence, proof, app, house.realm, house.clock.now());
  ASSERT_TRUE(grant.ok()) << grant.error().text();
  EXPECT_EQ(grant->tenant(), base::Tenant::standard());
  EXPECT_EQ(grant->app(), kWeb);
  EXPECT_EQ(grant->purpose(), base::Purpose::instance_release);
  EXPECT_EQ(grant->policy_sha256(), app.policy().sha256());
  EXPECT_EQ(grant->epoch(), 0u);
  EXPECT_EQ(grant->expires(), house.clock.now() + 3600);
  EXPECT_EQ(grant->governance().version, 3u);
  EXPECT_EQ(grant->binding(), evidence.statement().binding());
  EXPECT_EQ(grant->recipient(), base::Bytes(34, 6));
  EXPECT_EQ(grant->spki(), base::Bytes(91, 5));
  EXPECT_EQ(grant->realm(), base::Realm::simulated);
}

TEST_F(AuthorizeTest, EvidenceForAnotherAppOrTenantIsRefused) {
  const auto other = testing::app_named("name:other");
  const auto tenant = *base::Tenant::parse("acme");
  house.add_operator("alice", tenant);
  make_app(other, base::Tenant::standard());
  make_app(kWeb, tenant);
  // All three apps have the same policy, so nothing but the names tells them apart.
  refused(ask({}, policy_of(other)), Code::denied, "made for another app");
  refused(ask({}, policy_of(kWeb, tenant)), Code::denied, "made for another app");
  EXPECT_TRUE(ask({}, policy_of(kWeb)).ok());
}

TEST_F(AuthorizeTest, EvidenceForAnotherChallengeOrPurposeIsRefused) {
  const auto app = policy_of(kWeb);
  const auto one = fresh();
  const auto two = fresh();
  refused(authorize(verified(one, {}), two, app, house.realm, house.clock.now()), Code::denied, "another challenge");
  // The nonce is the same, only the purpose that the evidence binds is not the challenge's.
  refused(authorize(verified(one, {.purpose = base::Purpose::token}), one, app, house.realm, house.clock.now()),
          Code::denied, "another challenge");
}

TEST_F(AuthorizeTest, EvidenceAppraisedByAnotherPolicyIsRefused) {
  refused(ask({.own_policy = true}, policy_of(kWeb)), Code::denied, "appraised by another policy");
  // A change of the approved identities is a change of the policy.
  const auto before = policy_of(kWeb);
  const auto proof = fresh();
  const auto evidence = verified(proof, {});
  house.approve(kWeb, Action::revoke, house.blob(testing::identity_document('a')));
  refused(authorize(evidence, proof, policy_of(kWeb), house.realm, house.clock.now()), Code::denied,
          "appraised by another policy");
  EXPECT_TRUE(authorize(evidence, proof, before, house.realm, house.clock.now()).ok());
}

TEST_F(AuthorizeTest, RealmsNeverMix) {
  refused(ask({.simulated = false}, policy_of(kWeb)), Code::realm_mismatch, "evidence of another realm");
  const auto proof = fresh();
  refused(authorize(verified(proof, {}), proof, policy_of(kWeb), base::Realm::production, house.clock.now()),
          Code::realm_mismatch, "evidence of another realm");
}

TEST_F(AuthorizeTest, NothingIsGrantedBeyondTheAttestation) {
  refused(ask({.valid_seconds = 0}, policy_of(kWeb)), Code::denied, "no longer valid");
  refused(ask({.valid_seconds = -5}, policy_of(kWeb)), Code::denied, "no longer valid");
  EXPECT_EQ(ask({.valid_seconds = 1}, policy_of(kWeb))->expires(), house.clock.now() + 1);
}

}  // namespace
}  // namespace attestry::governance
