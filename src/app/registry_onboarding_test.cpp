// The giving side of an onboarding against a contract that changes its word between two questions, with forged
// evidence: provision itself may not use the forge.
#include "provision/registry_onboarding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "attestation/verifier.h"
#include "base/encoding.h"
#include "collateral/bundle.h"
#include "collateral/fixed_source.h"
#include "crypto/key_pem.h"
#include "curves/ecies.h"
#include "forge/attester.h"
#include "forge/scenario.h"
#include "governance/testing/kms_chain.h"
#include "governance/testing/support.h"
#include "provision/registry_identity.h"
#include "provision/registry_pki.h"

namespace attestry::provision {
namespace {

using base::Code;
using governance::testing::address_of;
using governance::testing::kKms;
using governance::testing::kTime;
using governance::testing::patient;
using ::testing::HasSubstr;

crypto::Secret master_secret() { return crypto::Secret::copy_of(base::Bytes(32, 7)); }
base::Bytes pem_of(const crypto::EcPrivateKey& key) {
  return base::to_bytes(base::as_bytes(crypto::spki_pem(key.public_key().spki())));
}

class OnboardingTest : public ::testing::Test {
 protected:
  OnboardingTest() {
    const auto forged = forge::make_collateral(pki, forge::default_collateral(true, kTime));
    source.collateral = collateral::read_bundle(base::as_bytes(forged->json()), "forge").collateral();
    request = request_for(server);
    hash = hash_of(request);
    chain.operators = {kOperator};
    chain.identities = {dcap_identity(kKms, quote.td.rtmr[0], quote.td.rtmr[1], quote.td.rtmr[2])};
    chain.requests[hash] = request;
  }

  governance::OnboardRequest request_for(const crypto::EcPrivateKey& key) {
    governance::OnboardRequest out;
    out.pubkey = pem_of(key);
    out.nonce = onboard_nonce(7);
    out.operator_address = kOperator;
    auto attester = *forge::ForgeAttester::make(pki, quote);
    out.attestation =
        attester.attest(onboard_report_data(kKms, out.pubkey, out.nonce, out.operator_address)).value().bytes;
    return out;
  }
  static base::Digest32 hash_of(const governance::OnboardRequest& asked) {
    return onboard_request_hash(asked.pubkey, asked.nonce, asked.operator_address, asked.attestation);
  }
  OnboardOutcome give() {
    std::promise<OnboardOutcome> promise;
    auto outcome = promise.get_future();
    onboarding.give(hash, patient(), [&promise](OnboardOutcome made) { promise.set_value(std::move(made)); });
    return outcome.get();
  }
  void refused(Code code, const std::string& words) {
    const auto outcome = give();
    ASSERT_FALSE(outcome.has_value()) << "expected: " << words;
    EXPECT_EQ(outcome.error().error.code, code) << outcome.error().error.text();
    EXPECT_THAT(outcome.error().error.text(), HasSubstr(words));
    EXPECT_EQ(house.log->head().size, 0u);
  }
  attestation::Policy policy() const {
    return attestation::Policy::parse(
               R"({"format":1,"name":"servers","identities":[{"name":"servers","claims":{"mrtd":[")" +
               base::hex(quote.td.mr_td) + R"("]}}]})")
        .value();
  }

  static constexpr auto kRun = [](std::move_only_function<void()>& task) {
    task();
    return true;
  };
  struct Source final : collateral::CollateralSource {
    base::Result<std::shared_ptr<const attestation::Collateral>> collateral_for(const attestation::Evidence&,
                                                                                base::UtcTime,
                                                                                base::Deadline) override {
      return collateral;
    }
    std::shared_ptr<const attestation::Collateral> collateral;
  };

  const governance::ContractAddress kOperator = address_of(1);
  forge::ForgePki pki = *forge::ForgePki::make(base::as_bytes("onboarding test"));
  forge::QuoteSpec quote = forge::default_quote(pki, forge::QuoteKind::tdx_v4);
  crypto::SeededRandom random{base::as_bytes("onboarding")};
  const crypto::EcPrivateKey server = crypto::EcPrivateKey::generate(crypto::Curve::p256, random);
  const crypto::EcPrivateKey thief = crypto::EcPrivateKey::generate(crypto::Curve::p256, random);
  governance::OnboardRequest request;
  base::Digest32 hash{};
  governance::testing::House house;
  governance::testing::KmsChain chain;
  governance::KmsContract contract{chain, 31337, kKms};
  attestation::Verifier verifier{
      attestation::TrustAnchors::simulated({*attestation::TestRoot::from_certificate(pki.root().der)})};
  Source source;
  appraisal::Appraiser appraiser{verifier, source};
  keys::FixedRegistryMaster master{master_secret()};
  RegistryOnboarding onboarding{{.store = *house.store,
                                 .log = *house.log,
                                 .appraiser = appraiser,
                                 .registry = *house.registry,
                                 .tenant = base::Tenant::standard(),
                                 .contract = contract,
                                 .master = master,
                                 .random = random,
                                 .run_strangers = kRun,
                                 .run_waiting = kRun},
                                policy()};
};

TEST_F(OnboardingTest, GivesTheMasterToTheKeyThatTheEvidenceBinds) {
  const auto outcome = give();
  ASSERT_TRUE(outcome.has_value()) << outcome.error().error.text();
  const auto opened = curves::ecies_v1_open(server, *outcome);
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  EXPECT_TRUE(base::equal(opened->reveal(), master_secret().reveal()));
  EXPECT_EQ(chain.batches, 2u) << "a first look, and one question that decides";
  EXPECT_EQ(house.log->head().size, 1u);
  EXPECT_EQ(give().value(), *outcome);
  EXPECT_EQ(house.log->head().size, 1u);
}

/// The contract's owner, or a fork, puts his own key under a hash whose evidence was just found good.
TEST_F(OnboardingTest, ARequestThatChangesAfterTheFirstLookGetsNothing) {
  for (const bool key : {true, false}) {
    chain.requests[hash] = request;
    chain.batches = 0;
    chain.after_batch = [this, key](std::size_t batch) {
      if (batch != 1) return;
      if (key) chain.requests[hash].pubkey = pem_of(thief);
      if (!key) chain.requests[hash].attestation.push_back(0);
    };
    refused(Code::conflict, "changed while it was looked at");
  }
}

TEST_F(OnboardingTest, ARequestThatIsTakenBackMeanwhileGetsNothing) {
  chain.after_batch = [this](std::size_t) { chain.requests.clear(); };
  refused(Code::not_found, "not found");
}

TEST_F(OnboardingTest, AnotherRequestUnderTheHashIsNotEvenLookedAt) {
  chain.requests[hash] = request_for(thief);
  refused(Code::denied, "another hash");
  EXPECT_EQ(chain.batches, 1u);
}

TEST_F(OnboardingTest, APolicyThatComesAfterTheFirstLookCounts) {
  const auto strict = house.blob(R"({"format":1,"name":"x","identities":[{"name":"x","claims":{"mrtd":[")" +
                                 std::string(96, '1') + R"("]}}]})");
  chain.after_batch = [this, strict](std::size_t) { EXPECT_TRUE(base::hex_decode_into(strict, chain.policy).ok()); };
  refused(Code::denied, "policy.measurement.allowed");
}

}  // namespace
}  // namespace attestry::provision
