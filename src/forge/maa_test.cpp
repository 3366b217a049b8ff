// Forged tokens before the verifier: every kind is accepted as it is, and every fault is named by its own check.
#include "forge/maa.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "attestation/policy.h"
#include "attestation/verifier.h"
#include "base/encoding.h"

namespace attestry::forge {
namespace {

using attestation::CheckStatus;
using attestation::CollateralKind;
using attestation::Outcome;
using attestation::Verdict;

constexpr base::UtcTime kAt{1'795'261'432};  // 2026-11-21T11:43:52Z

const MaaService& service() {
  static const MaaService one{base::as_bytes("maa test")};
  return one;
}

std::shared_ptr<const attestation::Collateral> keys(const std::string& jwks) {
  return attestation::Collateral::make({{.kind = CollateralKind::jwks, .bytes = base::to_bytes(jwks)}});
}

Verdict judge(const std::string& token, const attestation::Collateral& collateral, std::vector<std::string> issuers,
              base::UtcTime at = kAt, const attestation::Policy& policy = attestation::Policy::genuine()) {
  const auto roots =
      issuers.empty() ? attestation::TrustAnchors::production() : attestation::TrustAnchors::simulated({});
  auto anchors = roots.with_token_issuers(std::move(issuers));
  const attestation::Verifier verifier{*std::move(anchors)};
  Verdict verdict = *verifier.verify({.format = attestation::EvidenceFormat::maa_token, .bytes = base::to_bytes(token)},
                                     collateral, at);
  attestation::evaluate(policy, verdict);
  return verdict;
}

Verdict judge(const MaaCase& made, base::UtcTime at = kAt) {
  return judge(made.token, *keys(made.jwks), {made.issuer}, at);
}

std::string cause_of(const Verdict& verdict) {
  const auto* cause = verdict.root_cause();
  return cause == nullptr ? "" : std::string{attestation::info(cause->check).id};
}

TEST(ForgedMaaTokens, AreSimulatedAndNeverBelievedBesideTheVendorsRoots) {
  const auto refused =
      attestation::TrustAnchors::production().with_token_issuers({std::string{kForgeIssuer}, "https://a.example"});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().found, kForgeIssuer);
  EXPECT_TRUE(attestation::TrustAnchors::production().with_token_issuers({"https://a.invalid.example"}).ok());
  EXPECT_FALSE(attestation::TrustAnchors::production().with_token_issuers({"https://a.invalid/x"}).ok());
  EXPECT_TRUE(judge(service().make({.at = kAt})).simulated);
}

TEST(ForgedMaaTokens, GoodOnesAreAcceptedWithTheirMeasurements) {
  for (const MaaKind kind : all_maa_kinds()) {
    const MaaCase made = service().make({.kind = kind, .at = kAt});
    const Verdict verdict = judge(made);
    EXPECT_EQ(verdict.outcome, Outcome::accepted) << to_text(kind) << ": " << to_text_report(verdict, false);
    EXPECT_EQ(verdict.platform, attestation::Platform::maa);
    EXPECT_FALSE(verdict.debug);
    EXPECT_EQ(verdict.report_data.size(), 64u);
    ASSERT_GE(made.measurements.size(), 3u);
    for (const auto& [name, value] : made.measurements) {
      const auto* claim = verdict.claim(name);
      ASSERT_NE(claim, nullptr) << to_text(kind) << " " << name;
      EXPECT_EQ(claim->value, value) << name;
    }
    EXPECT_EQ(verdict.claim("x-ms-runtime.client-payload.nonce")->value, "Zm9yZ2VkIG5vbmNl");
    EXPECT_EQ(verdict.valid_until, kAt - 60 + 8 * 3600 - 1);
  }
}

TEST(ForgedMaaTokens, EveryFaultIsRefusedAndNamedByItsCheck) {
  for (const MaaKind kind : all_maa_kinds()) {
    for (const MaaFaultInfo& fault : maa_faults()) {
      if (fault.cause.empty() || !applies(fault.fault, kind)) continue;
      const Verdict verdict = judge(service().make({.kind = kind, .fault = fault.fault, .at = kAt}));
      EXPECT_EQ(verdict.outcome, Outcome::refused) << to_text(kind) << " " << fault.name;
      EXPECT_EQ(cause_of(verdict), fault.cause) << to_text(kind) << " " << fault.name;
      if (verdict.evidence != attestation::Genuineness::genuine) {
        EXPECT_FALSE(verdict.valid_until) << fault.name;
      }
    }
  }
}

TEST(ForgedMaaTokens, TheSameSeedGivesTheSameToken) {
  const MaaScenario scenario{.kind = MaaKind::tdxvm, .at = kAt};
  const MaaService again{base::as_bytes("maa test")};
  EXPECT_EQ(service().make(scenario).token, again.make(scenario).token);
  EXPECT_NE(MaaService{base::as_bytes("another")}.make(scenario).token, again.make(scenario).token);
}

TEST(MaaVerifier, WithoutAnIssuerOrKeysNothingIsDecided) {
  const MaaCase made = service().make({.kind = MaaKind::sgx, .at = kAt});
  const Verdict nobody = judge(made.token, *keys(made.jwks), {});
  EXPECT_EQ(nobody.outcome, Outcome::undecided);
  EXPECT_EQ(cause_of(nobody), "maa.issuer.named");
  const Verdict keyless = judge(made.token, *attestation::Collateral::none(), {made.issuer});
  EXPECT_EQ(keyless.outcome, Outcome::undecided);
  EXPECT_EQ(cause_of(keyless), "maa.jwks.present");
}

// The regional keys sign for every tenant: a token that verifies is still a stranger's.
TEST(MaaVerifier, TheIssuerIsComparedWhole) {
  const MaaCase made = service().make({.kind = MaaKind::sgx, .at = kAt});
  for (const std::string other : {"https://forge.simulated.attest.invali", "https://simulated.attest.invalid",
                                  "https://Forge.simulated.attest.invalid"}) {
    const Verdict verdict = judge(made.token, *keys(made.jwks), {other});
    EXPECT_EQ(verdict.outcome, Outcome::refused) << other;
    const auto issuer =
        std::ranges::find(verdict.checks, attestation::CheckId::maa_issuer, &attestation::CheckResult::check);
    ASSERT_NE(issuer, verdict.checks.end());
    EXPECT_EQ(issuer->status, CheckStatus::fail) << other;
  }
  EXPECT_EQ(judge(made.token, *keys(made.jwks), {"https://other.example", made.issuer}).outcome, Outcome::accepted);
}

TEST(MaaVerifier, ValidityIsExactToTheSecond) {
  const MaaCase made = service().make({.kind = MaaKind::azurevm_snp, .at = kAt});
  const base::UtcTime from = kAt - 60;
  const base::UtcTime end = from + 8 * 3600;
  EXPECT_EQ(judge(made, from).outcome, Outcome::accepted);
  EXPECT_EQ(judge(made, from - 1).outcome, Outcome::refused);
  EXPECT_EQ(judge(made, end - 1).outcome, Outcome::accepted);
  EXPECT_EQ(judge(made, end).outcome, Outcome::refused);  // RFC 7519, 4.1.4: on or after
}

// A key set is cached by its bytes only: another one decides anew.
TEST(MaaVerifier, AWarmCacheDoesNotKeepKeysThatAreGone) {
  const MaaCase made = service().make({.kind = MaaKind::sgx, .at = kAt});
  const attestation::Verifier verifier{*attestation::TrustAnchors::simulated({}).with_token_issuers({made.issuer})};
  const attestation::Evidence evidence{.format = attestation::EvidenceFormat::maa_token,
                                       .bytes = base::to_bytes(made.token)};
  EXPECT_EQ(verifier.verify(evidence, *keys(made.jwks), kAt)->evidence, attestation::Genuineness::genuine);
  EXPECT_EQ(verifier.verify(evidence, *keys(R"({"keys":[]})"), kAt)->evidence, attestation::Genuineness::not_genuine);
  EXPECT_EQ(verifier.verify(evidence, *keys(made.jwks), kAt)->evidence, attestation::Genuineness::genuine);
}

TEST(MaaVerifier, NoTokenIsAcceptedWithAChangedCharacter) {
  const MaaCase made = service().make({.kind = MaaKind::sgx, .at = kAt});
  const auto collateral = keys(made.jwks);
  for (std::size_t at = 0; at < made.token.size(); at += 37) {
    std::string changed = made.token;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    EXPECT_NE(judge(changed, *collateral, {made.issuer}).outcome, Outcome::accepted) << at;
  }
  EXPECT_NE(judge(made.token + "\n", *collateral, {made.issuer}).outcome, Outcome::accepted);
  EXPECT_NE(judge(" " + made.token, *collateral, {made.issuer}).outcome, Outcome::accepted);
}

}  // namespace
}  // namespace attestry::forge
