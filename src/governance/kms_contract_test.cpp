#include "governance/kms_contract.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "base/encoding.h"
#include "governance/testing/kms_chain.h"

namespace attestry::governance {
namespace {

using base::Code;
using testing::address_of;
using ::testing::HasSubstr;
using testing::kKms;

const ContractAddress kAlice = address_of(1);
const ContractAddress kApp = address_of(2);
const base::Digest32 kIdentity = crypto::sha256(base::as_bytes("identity"));
const base::Digest32 kHash = crypto::sha256(base::as_bytes("request"));

base::Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(30); }

template <class T>
void refused(const base::Result<T>& result, Code code, const std::string& words) {
  ASSERT_FALSE(result.ok()) << "expected: " << words;
  EXPECT_EQ(result.error().code, code) << result.error().text();
  EXPECT_THAT(result.error().text(), HasSubstr(words));
}

class KmsContractTest : public ::testing::Test {
 protected:
  KmsContractTest() {
    OnboardRequest request;
    request.pubkey = base::to_bytes(base::as_bytes("PEM"));
    request.nonce = chain::to_word(7);
    request.operator_address = kAlice;
    request.attestation = base::to_bytes(base::as_bytes("quote"));
    chain.requests[kHash] = request;
    known = request;
    chain.operators = {kAlice};
    chain.identities = {kIdentity};
  }
  base::Result<OnboardApproval> onboarding() { return contract.onboarding(kHash, *known, kIdentity, soon()); }

  testing::KmsChain chain;
  KmsContract contract{chain, 31337, kKms};
  std::optional<OnboardRequest> known;
};

TEST_F(KmsContractTest, AnAnswerOfLongAgoHoldsWhileTheChainStandsStill) {
  const auto approval = onboarding();
  ASSERT_TRUE(approval.ok()) << approval.error().text();
  AskedAt asked = approval->asked();
  EXPECT_EQ(asked.block, 100U);
  chain.height = 1000;
  EXPECT_TRUE(contract.still_holds(asked).ok()) << "asked a moment ago";
  asked.when -= std::chrono::seconds(6);
  const auto moved = contract.still_holds(asked);
  ASSERT_FALSE(moved.ok());
  EXPECT_EQ(moved.error().code, Code::conflict);
  chain.height = 102;
  EXPECT_TRUE(contract.still_holds(asked).ok());
  chain.away = true;
  EXPECT_EQ(contract.still_holds(asked).error().code, Code::unavailable);
}

TEST_F(KmsContractTest, ApprovesAnOnboardingThatEverythingAgreesOn) {
  const auto approval = onboarding();
  ASSERT_TRUE(approval.ok()) << approval.error().text();
  EXPECT_EQ(approval->request(), chain.requests[kHash]);
  EXPECT_EQ(approval->identity(), kIdentity);
  EXPECT_THAT(approval->snapshot(), HasSubstr("evm:31337@100:0x"));
}

TEST_F(KmsContractTest, RefusesARequestThatIsNotThere) {
  chain.requests.clear();
  refused(contract.request(kHash, soon()), Code::not_found, base::hex(kHash));
  refused(onboarding(), Code::not_found, "not found");
}

TEST_F(KmsContractTest, RefusesAnIdentityThatIsNotAllowed) {
  chain.identities.clear();
  refused(onboarding(), Code::denied, base::hex(kIdentity));
}

TEST_F(KmsContractTest, SaysWhyTheContractReverts) {
  chain.operators.clear();
  refused(onboarding(), Code::denied, "Operator not authorized");
  chain.frozen = true;
  refused(contract.application_allowed(kApp, soon()), Code::denied, "Contract is frozen");
}

TEST_F(KmsContractTest, AnApprovalNamesThePolicyThatIsInForce) {
  EXPECT_EQ(onboarding()->policy(), std::nullopt);
  chain.policy = chain::to_word(1);
  EXPECT_EQ(onboarding()->policy(), chain::to_word(1));
}

TEST_F(KmsContractTest, AnAppsListingAndPolicyAreReadFromOneBatch) {
  std::vector<chain::Call> calls;
  ask_served_app(calls, kKms, kApp);
  const auto served = [&] { return *served_app(*chain.call({}, calls, soon()), kKms, 31337); };
  EXPECT_FALSE(served().allowed);
  EXPECT_EQ(served().reason, "application not allowed");
  chain.applications = {kApp};
  EXPECT_TRUE(served().allowed);
  EXPECT_EQ(served().policy, std::nullopt);
  chain.application_policy = chain::to_word(1);
  EXPECT_EQ(served().policy, chain::to_word(1));
  chain.frozen = true;
  EXPECT_FALSE(served().allowed);
  EXPECT_EQ(served().reason, "application not allowed: Contract is frozen");
}

TEST_F(KmsContractTest, AnotherRequestThanTheOneThatWasLookedAtIsAConflict) {
  auto other = chain.requests[kHash];
  other.pubkey = base::to_bytes(base::as_bytes("another PEM"));
  refused(contract.onboarding(kHash, other, kIdentity, soon()), Code::conflict, "changed while it was looked at");
}

TEST_F(KmsContractTest, AWrongAddressIsNobodysDenialAndNoMistakeOfTheCallers) {
  KmsContract wrong{chain, 31337, kApp};
  refused(wrong.application_allowed(kApp, soon()), Code::configuration, "no key service's contract at 0x0202");
  refused(wrong.request(kHash, soon()), Code::configuration, "registry.kms_contract");
  refused(wrong.onboarding(kHash, chain.requests[kHash], kIdentity, soon()), Code::configuration, "no code");
  refused(wrong.is_operator(kAlice, soon()), Code::configuration, "no code");
  refused(wrong.published_key(soon()), Code::configuration, "no code");
  chain.another_kind = true;
  refused(contract.application_allowed(kApp, soon()), Code::configuration, "another kind");
  refused(contract.request(kHash, soon()), Code::configuration, "another kind");
}

TEST_F(KmsContractTest, AnswersForAppsAndOperators) {
  refused(contract.application_allowed(kApp, soon()), Code::denied, "application not allowed");
  chain.applications = {kApp};
  EXPECT_TRUE(contract.application_allowed(kApp, soon()).ok());
  EXPECT_TRUE(*contract.is_operator(kAlice, soon()));
  EXPECT_FALSE(*contract.is_operator(kApp, soon()));
}

TEST_F(KmsContractTest, GivesThePublishedKeyIfThereIsOne) {
  EXPECT_FALSE(contract.published_key(soon())->has_value());
  chain.pki.pubkey = base::to_bytes(base::as_bytes("PEM"));
  EXPECT_EQ(**contract.published_key(soon()), chain.pki.pubkey);
}

TEST_F(KmsContractTest, AnOutageIsNoDenial) {
  chain.away = true;
  refused(contract.application_allowed(kApp, soon()), Code::unavailable, "no quorum");
  refused(onboarding(), Code::unavailable, "no quorum");
  refused(contract.is_operator(kAlice, soon()), Code::unavailable, "no quorum");
  refused(contract.published_key(soon()), Code::unavailable, "no quorum");
}

}  // namespace
}  // namespace attestry::governance
