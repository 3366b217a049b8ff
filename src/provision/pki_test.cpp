#include "provision/pki.h"

#include <gmock/gmock.h>

#include "base/encoding.h"
#include "crypto/x509.h"
#include "governance/testing/support.h"
#include "keys/threshold_root.h"
#include "provision/release.h"

namespace attestry::provision {
namespace {

using governance::Action;
using governance::testing::House;
using governance::testing::kOrigin;
using governance::testing::kTime;

// Only a grant that is given away can be sealed, and nothing but seal() takes one away.
static_assert(std::is_invocable_v<decltype(seal), governance::Grant&&, const Release&>);
static_assert(!std::is_invocable_v<decltype(seal), const governance::Grant&, const Release&>);

class PkiTest : public ::testing::Test {
 protected:
  void SetUp() override {
    house.add_operator("alice");
    for (const char* name : {"name:web", "name:other"}) {
      const auto app = governance::testing::app_named(name);
      house.approve(app, Action::app_create, app.text());
      house.approve(app, Action::policy_approve, house.blob(attestation::Policy::standard().document()));
      house.approve(app, Action::identity_approve, house.blob(governance::testing::identity_document('a')));
    }
  }

  governance::Grant grant(std::int64_t valid_seconds, std::string_view app_name = "name:web") {
    const auto app = governance::testing::app_named(app_name);
    const auto issued = challenges.issue(base::Purpose::instance_release, kTime);
    const auto fresh = challenges.check(issued.nonce, base::Purpose::instance_release, {}, kTime);
    attestation::BindingStatement statement{.audience = kOrigin,
                                            .nonce = fresh->nonce(),
                                            .app = app,
                                            .csr_spki = workload.public_key().spki(),
                                            .recipient = base::Bytes(34, 6)};
    attestation::Verdict verdict;
    verdict.evidence = attestation::Genuineness::genuine;
    verdict.platform = attestation::Platform::tdx;
    verdict.simulated = true;
    verdict.report_data = base::to_bytes(base::ByteView{statement.binding()});
    verdict.tcb = attestation::TcbSummary{.status = "UpToDate"};
    verdict.claims = {{.name = "mrtd", .value = std::string(96, 'a')},
                      {.name = "td_attributes", .value = "0000001000000000"}};
    verdict.valid_until = kTime + valid_seconds;
    auto bound = attestation::bind(verdict, std::move(statement));
    const auto policy = house.registry->policy_of(base::Tenant::standard(), app, house.clock.now());
    attestation::Verdict judged;
    const auto verified = attestation::appraise(policy->policy(), std::move(*bound), judged);
    return std::move(*governance::authorize(verified.value(), *fresh, *policy, base::Realm::simulated, kTime));
  }
  crypto::Secret root_of(const governance::Grant& to) const {
    return std::move(*roots.app_root(to, base::Deadline::max()));
  }

  House house;
  crypto::SeededRandom random{base::as_bytes("pki")};
  appraisal::Challenges challenges{crypto::Secret::copy_of(base::Bytes(32, 1)), random};
  crypto::EcPrivateKey workload = crypto::EcPrivateKey::generate(crypto::Curve::p256, random);
  keys::LocalRoot roots{crypto::Secret::copy_of(base::Bytes(32, 7))};
  Issuer issuer{1};
};

TEST_F(PkiTest, NoSourceGivesRootsOfEpochsThatTheGrantDoesNotCover) {
  struct Nodes final : keys::CkdSource {
    base::Result<crypto::Secret> derive(base::ByteView, base::ByteView, base::Deadline) override {
      ++asked;
      return crypto::Secret::copy_of(base::Bytes(48, 9));
    }
    int asked = 0;
  } nodes;
  const keys::ThresholdRoot threshold{nodes, base::system_clock()};
  const auto web = governance::testing::app_named("name:web");
  house.approve(web, Action::epoch_advance, "1");
  house.approve(web, Action::epoch_advance, "2");
  house.approve(web, Action::epoch_retire, "1");
  const auto to = grant(3600);
  for (const keys::AppRootSource* source : std::initializer_list<const keys::AppRootSource*>{&roots, &threshold}) {
    for (const std::uint32_t epoch : {0U, 3U}) {
      const auto refused = source->app_root(to, epoch, base::Deadline::max());
      ASSERT_FALSE(refused.ok()) << epoch;
      EXPECT_EQ(refused.error().code, base::Code::denied);
      EXPECT_EQ(refused.error().expected, "1 to 2");
    }
    EXPECT_NE(base::hex(source->app_root(to, 1, base::Deadline::max())->reveal()),
              base::hex(source->app_root(to, base::Deadline::max())->reveal()));
  }
  EXPECT_EQ(nodes.asked, 2);
}

TEST_F(PkiTest, AKeptCaIsTheOneThatWouldBeMadeAnew) {
  const Issuer forgetful{0};
  for (const char* app : {"name:web", "name:other", "name:web", "name:web"}) {
    const auto to = grant(3600, app);
    EXPECT_EQ(issuer.app_ca_certificate(to, root_of(to), kOrigin).value(),
              forgetful.app_ca_certificate(to, root_of(to), kOrigin).value());
  }
  const auto to = grant(3600);
  const auto other_root = crypto::Secret::copy_of(base::Bytes(32, 8));
  EXPECT_NE(issuer.app_ca_certificate(to, other_root, kOrigin).value(),
            issuer.app_ca_certificate(to, root_of(to), kOrigin).value());
}

TEST_F(PkiTest, TheCaIsTheSameOnEveryReplicaAndAnotherForEveryApp) {
  const auto one = grant(3600);
  const auto again = grant(60);
  const auto other = grant(3600, "name:other");
  const auto ca = issuer.app_ca_certificate(one, root_of(one), kOrigin);
  ASSERT_TRUE(ca.ok()) << ca.error().text();
  EXPECT_EQ(issuer.app_ca_certificate(again, root_of(again), kOrigin).value(), *ca);
  const auto other_ca = issuer.app_ca_certificate(other, root_of(other), kOrigin);
  EXPECT_NE(*other_ca, *ca);
  const auto parsed = crypto::Certificate::parse(*ca);
  EXPECT_TRUE(parsed->is_ca());
  EXPECT_EQ(parsed->path_length(), 0u);
  EXPECT_TRUE(parsed->key_usage_cert_sign());
  EXPECT_TRUE(parsed->signed_by(*parsed->ec_key()));
  EXPECT_NE(base::to_bytes(crypto::Certificate::parse(*other_ca)->spki()), base::to_bytes(parsed->spki()));
}

TEST_F(PkiTest, TheInstanceCertificateIsForTheBoundKeyAndChainsToTheCa) {
  const auto to = grant(3600);
  const auto issued = issuer.issue(to, root_of(to), kOrigin, "0123", kTime, random);
  ASSERT_TRUE(issued.ok()) << issued.error().text();
  const auto chain = base::pem_decode(issued->chain_pem);
  ASSERT_EQ(chain->size(), 2u);
  EXPECT_EQ((*chain)[0].der, issued->leaf_der);
  EXPECT_EQ((*chain)[1].der, issuer.app_ca_certificate(to, root_of(to), kOrigin).value());
  const auto leaf = crypto::Certificate::parse((*chain)[0].der);
  const auto ca = crypto::Certificate::parse((*chain)[1].der);
  EXPECT_TRUE(leaf->signed_by(*ca->ec_key()));
  EXPECT_EQ(base::to_bytes(leaf->issuer_der()), base::to_bytes(ca->subject_der()));
  EXPECT_EQ(base::to_bytes(leaf->spki()), workload.public_key().spki());
  EXPECT_FALSE(leaf->is_ca());
  EXPECT_TRUE(leaf->key_usage_digital_signature());
  EXPECT_FALSE(leaf->key_usage_cert_sign());
  const auto names = leaf->extension("2.5.29.17");
  ASSERT_TRUE(names.has_value());
  EXPECT_NE(base::as_text(*names).find("attestry://log.example/attestry/default/name:web/0123"), std::string::npos);
  // Another app's CA did not sign it.
  const auto other = grant(3600, "name:other");
  const auto other_ca = crypto::Certificate::parse(issuer.app_ca_certificate(other, root_of(other), kOrigin).value());
  EXPECT_FALSE(leaf->signed_by(*other_ca->ec_key()));
}

TEST_F(PkiTest, NoCertificateOutlivesItsAttestationOrADay) {
  for (const auto& [valid, expected] :
       {std::pair<std::int64_t, std::int64_t>{90, 90}, {24 * 3600, 24 * 3600}, {30 * 24 * 3600, 24 * 3600}}) {
    const auto to = grant(valid);
    const auto issued = issuer.issue(to, root_of(to), kOrigin, "0123", kTime, random);
    ASSERT_TRUE(issued.ok()) << issued.error().text();
    const auto leaf = crypto::Certificate::parse(issued->leaf_der);
    EXPECT_EQ(issued->not_after, kTime + expected);
    EXPECT_EQ(leaf->not_after(), kTime + expected);
    EXPECT_EQ(leaf->not_before(), kTime - 60);
  }
}

TEST_F(PkiTest, SerialNumbersDiffer) {
  const auto to = grant(3600);
  const auto serial = [&] {
    const auto issued = issuer.issue(to, root_of(to), kOrigin, "0123", kTime, random);
    return base::to_bytes(crypto::Certificate::parse(issued->leaf_der)->serial());
  };
  const auto one = serial();
  EXPECT_NE(one, serial());
  EXPECT_EQ(one.size(), 16u);
  EXPECT_EQ(one[0] & 0x80, 0);
}

}  // namespace
}  // namespace attestry::provision
