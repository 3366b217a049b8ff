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

std::shared_ptr<const attestation::Collateral> keys(const std::string& jwks,
                                                    std::string origin = std::string{kForgeIssuer}) {
  return attestation::Collateral::make(
      {{.kind = CollateralKind::jwks, .bytes = base::to_bytes(jwks), .origin = std::move(origin)}});
}

/// The case's token with other claims, signed by the service.
std::string signed_anew(const MaaCase& made, std::string_view part, std::string_view by) {
  const std::size_t first = made.token.find('.');
  const std::size_t second = made.token.find('.', first + 1);
  std::string payload{base::as_text(*base::base64url_decode(made.token.substr(first + 1, second - first - 1)))};
  const std::size_t at = payload.find(part);
  EXPECT_NE(at, std::string::npos) << part;
  payload.replace(at, part.size(), by);
  const std::string text = made.token.substr(0, first + 1) + base::base64url(base::as_bytes(payload));
  return text + "." + base::base64url(service().key().sign_pkcs1_sha256(base::as_bytes(text)));
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

const attestation::CheckResult& result_of(const Verdict& verdict, attestation::CheckId check) {
  static const attestation::CheckResult none{};
  const auto found = std::ranges::find(verdict.checks, check, &attestation::CheckResult::check);
  EXPECT_NE(found, verdict.checks.end()) << attestation::info(check).id;
  return found == verdict.checks.end() ? none : *found;
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

TEST(ForgedMaaTokens, NoFaultIsAcceptedAndEachIsNamedByItsCheck) {
  for (const MaaKind kind : all_maa_kinds()) {
    for (const MaaFaultInfo& fault : maa_faults()) {
      if (fault.cause.empty() || !applies(fault.fault, kind)) continue;
      const Verdict verdict = judge(service().make({.kind = kind, .fault = fault.fault, .at = kAt}));
      EXPECT_EQ(verdict.outcome, leaves_undecided(fault.fault) ? Outcome::undecided : Outcome::refused)
          << to_text(kind) << " " << fault.name;
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
                                  "https://forge.simulated.attest.invalid:443"}) {
    const Verdict verdict = judge(made.token, *keys(made.jwks), {other});
    EXPECT_EQ(verdict.outcome, Outcome::refused) << other;
    const auto issuer =
        std::ranges::find(verdict.checks, attestation::CheckId::maa_issuer, &attestation::CheckResult::check);
    ASSERT_NE(issuer, verdict.checks.end());
    EXPECT_EQ(issuer->status, CheckStatus::fail) << other;
  }
  EXPECT_EQ(judge(made.token, *keys(made.jwks), {"https://other.example", made.issuer}).outcome, Outcome::accepted);
}

TEST(MaaVerifier, AKeySetCountsForTheTokensOfItsOwnIssuerOnly) {
  constexpr std::string_view kOther = "https://other.example";
  const MaaCase made = service().make({.kind = MaaKind::sgx, .at = kAt});
  const auto of_another = keys(made.jwks, std::string{kOther});
  const Verdict verdict = judge(made.token, *of_another, {made.issuer, std::string{kOther}});
  EXPECT_EQ(verdict.outcome, Outcome::undecided);
  EXPECT_EQ(cause_of(verdict), "maa.jwks.present");
  const auto& present = result_of(verdict, attestation::CheckId::maa_jwks_present);
  EXPECT_NE(present.expected.find(kForgeIssuer), std::string::npos) << present.expected;
  EXPECT_NE(present.actual.find(kOther), std::string::npos) << present.actual;
  EXPECT_EQ(result_of(verdict, attestation::CheckId::maa_signature).status, CheckStatus::skipped);
  // Nor does it help to name only the issuer of the token.
  EXPECT_EQ(cause_of(judge(made.token, *of_another, {made.issuer})), "maa.jwks.present");
  // One's own keys sign in another's name: the reviewer's case.
  const std::string foreign =
      signed_anew(made, R"("iss":"https://forge.simulated.attest.invalid")", R"("iss":"https://other.example")");
  const Verdict signed_by_another = judge(foreign, *keys(made.jwks), {made.issuer, std::string{kOther}});
  EXPECT_NE(signed_by_another.outcome, Outcome::accepted);
  EXPECT_EQ(result_of(signed_by_another, attestation::CheckId::maa_jwks_present).status, CheckStatus::fail);
  EXPECT_NE(keys(made.jwks)->digest(), of_another->digest()) << "a cache would mix them up";
}

TEST(MaaVerifier, KeysThatNobodyVouchesForNeedAPolicyThatSaysSo) {
  const MaaCase made = service().make({.kind = MaaKind::azurevm_tdx, .at = kAt});
  const auto nobodys = keys(made.jwks, "");
  for (const auto* policy : {&attestation::Policy::standard(), &attestation::Policy::strict()}) {
    const Verdict verdict = judge(made.token, *nobodys, {made.issuer}, kAt, *policy);
    EXPECT_EQ(verdict.outcome, Outcome::undecided) << policy->name();
    EXPECT_EQ(cause_of(verdict), "policy.token_keys") << policy->name();
    EXPECT_TRUE(verdict.token_keys_unvouched);
    const Verdict vouched = judge(made.token, *keys(made.jwks), {made.issuer}, kAt, *policy);
    EXPECT_NE(cause_of(vouched), "policy.token_keys");
    EXPECT_FALSE(vouched.token_keys_unvouched);
    EXPECT_EQ(to_json(vouched).find("unvouched"), std::string::npos);
  }
  const Verdict passed = judge(made.token, *nobodys, {made.issuer});
  EXPECT_EQ(passed.outcome, Outcome::accepted);
  EXPECT_NE(to_json(passed).find(R"("token_keys_unvouched":true)"), std::string::npos);
  EXPECT_NE(to_text_report(passed, false).find("UNVOUCHED"), std::string::npos);
  const auto& check = result_of(passed, attestation::CheckId::policy_token_keys);
  EXPECT_EQ(check.status, CheckStatus::pass);
  EXPECT_NE(check.detail, "");
  // Of several issuers nobody could say whose they are.
  const Verdict several = judge(made.token, *nobodys, {made.issuer, "https://other.example"});
  EXPECT_EQ(several.outcome, Outcome::undecided);
  EXPECT_EQ(cause_of(several), "maa.jwks.present");
}

// What stands in x-ms-runtime at the root, the guest has written.
TEST(MaaVerifier, TheGuestDoesNotSayThatSecureBootWasOn) {
  const auto wanted = *attestation::Policy::parse(R"({"format":1,"require":{"secure_boot":true}})");
  constexpr std::string_view kConfigured = "x-ms-runtime.vm-configuration.secure-boot";
  for (const MaaKind kind : {MaaKind::sevsnpvm, MaaKind::tdxvm}) {
    const MaaCase made = service().make({.kind = kind, .at = kAt});
    const std::string claimed =
        signed_anew(made, R"("x-ms-runtime":{)", R"("x-ms-runtime":{"vm-configuration":{"secure-boot":true},)");
    const Verdict verdict = judge(claimed, *keys(made.jwks), {made.issuer}, kAt, wanted);
    EXPECT_EQ(verdict.evidence, attestation::Genuineness::genuine) << to_text(kind);
    EXPECT_EQ(cause_of(verdict), "policy.secure_boot") << to_text(kind);
    EXPECT_EQ(verdict.claim(kConfigured), nullptr) << to_text(kind);
  }
  const MaaCase machine = service().make({.kind = MaaKind::azurevm_snp, .at = kAt});
  const Verdict on = judge(machine.token, *keys(machine.jwks), {machine.issuer}, kAt, wanted);
  EXPECT_EQ(on.outcome, Outcome::accepted);
  ASSERT_NE(on.claim(kConfigured), nullptr);
  EXPECT_EQ(on.claim(kConfigured)->value, "true");
  // Configured is not booted.
  for (const std::string_view other : {R"("secureboot":false)", R"("secureboot-of-old":true)"}) {
    const std::string token = signed_anew(machine, R"("secureboot":true)", other);
    EXPECT_EQ(cause_of(judge(token, *keys(machine.jwks), {machine.issuer}, kAt, wanted)), "policy.secure_boot");
  }
}

TEST(MaaVerifier, CutsTextBetweenCharacters) {
  const MaaCase made = service().make({.kind = MaaKind::sgx, .at = kAt});
  std::string issuer(199, 'a');
  for (int i = 0; i < 3; ++i) issuer += "\xc3\xa9";
  const std::string token = signed_anew(made, kForgeIssuer, issuer);
  const Verdict verdict = judge(token, *keys(made.jwks), {made.issuer});
  EXPECT_EQ(result_of(verdict, attestation::CheckId::maa_issuer).actual, std::string(199, 'a') + "…");
  EXPECT_EQ(to_json(verdict).find("\xef\xbf\xbd"), std::string::npos);
}

TEST(MaaVerifier, TextThatLooksLikeABooleanStaysText) {
  const MaaCase made = service().make({.kind = MaaKind::sgx, .at = kAt});
  const std::string token = signed_anew(made, R"("x-ms-ver":"1.0")", R"("x-ms-ver":"true")");
  const std::string json = to_json(judge(token, *keys(made.jwks), {made.issuer}));
  EXPECT_NE(json.find(R"("x-ms-ver":"true")"), std::string::npos);
  EXPECT_NE(json.find(R"("x-ms-sgx-is-debuggable":false)"), std::string::npos);
  const std::string no = signed_anew(made, R"("x-ms-ver":"1.0")", R"("x-ms-ver":"false")");
  EXPECT_NE(to_json(judge(no, *keys(made.jwks), {made.issuer})).find(R"("x-ms-ver":"false")"), std::string::npos);
}

TEST(MaaVerifier, TextIsNoBooleanWhereOneIsAskedFor) {
  const MaaCase made = service().make({.kind = MaaKind::sgx, .at = kAt});
  const auto with = [&](std::string_view part, std::string_view by) {
    return judge(signed_anew(made, part, by), *keys(made.jwks), {made.issuer});
  };
  const Verdict text = with(R"("x-ms-sgx-is-debuggable":false)", R"("x-ms-sgx-is-debuggable":"false")");
  EXPECT_EQ(text.outcome, Outcome::refused);
  EXPECT_EQ(cause_of(text), "maa.claims");
  // The names of old have no prefix of Microsoft's: a tenant's policy may have put any text there.
  for (const auto& [part, by] : {std::pair{R"("is-debuggable":false)", R"("is-debuggable":"false")"},
                                 {R"("product-id":1,)", R"("product-id":"1",)"}}) {
    const std::string name{std::string_view{by}.substr(1, std::string_view{by}.find('"', 1) - 1)};
    const Verdict alias = with(part, by);
    EXPECT_EQ(alias.outcome, Outcome::accepted) << name;
    EXPECT_EQ(alias.claim(name), nullptr) << name;
    EXPECT_NE(judge(made).claim(name), nullptr) << name;
  }

  const MaaCase machine = service().make({.kind = MaaKind::azurevm_snp, .at = kAt});
  const std::string secure = signed_anew(machine, R"("secureboot":true)", R"("secureboot":"true")");
  const auto policy = attestation::Policy::parse(R"({"format":1,"require":{"secure_boot":true}})");
  ASSERT_TRUE(policy.ok());
  EXPECT_NE(judge(secure, *keys(machine.jwks), {machine.issuer}, kAt, *policy).outcome, Outcome::accepted);
}

TEST(MaaVerifier, KeepsOnlyKeySetsWithASoundKey) {
  const MaaCase made = service().make({.kind = MaaKind::sgx, .at = kAt});
  const attestation::Verifier verifier{*attestation::TrustAnchors::simulated({}).with_token_issuers({made.issuer})};
  const attestation::Evidence evidence{.format = attestation::EvidenceFormat::maa_token,
                                       .bytes = base::to_bytes(made.token)};
  const auto kept = [&](const std::string& jwks) {
    EXPECT_TRUE(verifier.verify(evidence, *keys(jwks), kAt).ok());
    return verifier.stats().collateral.entries;
  };
  EXPECT_EQ(kept(R"({"keys":[]})"), 0u);
  EXPECT_EQ(kept(R"({"keys":[{"kid":"a","kty":"oct"}]})"), 0u);
  EXPECT_EQ(kept(made.jwks), 1u);
  const std::string large = made.jwks + std::string(256 * 1024, ' ');
  EXPECT_EQ(kept(large), 1u);
  const Verdict refused = judge(made.token, *keys(large), {made.issuer});
  EXPECT_EQ(cause_of(refused), "maa.jwks.format");
}

TEST(MaaVerifier, ComparesTheNonceOfTheToken) {
  const auto judged = [](const std::string& token, const MaaCase& made, std::string_view nonce) {
    const attestation::Verifier verifier{*attestation::TrustAnchors::simulated({}).with_token_issuers({made.issuer})};
    const attestation::Evidence evidence{.format = attestation::EvidenceFormat::maa_token,
                                         .bytes = base::to_bytes(token)};
    Verdict verdict = *verifier.verify(evidence, *keys(made.jwks), kAt);
    attestation::evaluate(attestation::Policy::standard(), verdict, {}, {.nonce = base::as_bytes(nonce)});
    return verdict.outcome == Outcome::accepted ? "accepted" : cause_of(verdict);
  };
  const MaaCase made = service().make({.kind = MaaKind::sgx, .at = kAt});
  EXPECT_EQ(judged(made.token, made, "forged nonce"), "accepted");
  EXPECT_EQ(judged(made.token, made, "another"), "policy.nonce");
  EXPECT_EQ(judged(made.token, made, ""), "policy.nonce");
  // A real token of 2024 has an empty one.
  const std::string empty = signed_anew(made, R"("nonce":"Zm9yZ2VkIG5vbmNl")", R"("nonce":"")");
  EXPECT_EQ(judged(empty, made, ""), "policy.nonce");
  EXPECT_EQ(judged(empty, made, "forged nonce"), "policy.nonce");
  const std::string none = signed_anew(made, R"("nonce":)", R"("other":)");
  EXPECT_EQ(judged(none, made, "forged nonce"), "policy.nonce");
}

// attestation_checks 4.4: clocks differ a little. The end is exact.
TEST(MaaVerifier, AllowsOneMinuteBeforeTheStartAndNoneAfterTheEnd) {
  const MaaCase made = service().make({.kind = MaaKind::azurevm_snp, .at = kAt});
  const base::UtcTime from = kAt - 60;
  const base::UtcTime end = from + 8 * 3600;
  EXPECT_EQ(judge(made, from).outcome, Outcome::accepted);
  EXPECT_EQ(judge(made, from - 60).outcome, Outcome::accepted);
  EXPECT_EQ(judge(made, from - 61).outcome, Outcome::refused);
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
  EXPECT_EQ(verifier.verify(evidence, *keys(R"({"keys":[]})"), kAt)->evidence, attestation::Genuineness::undecided);
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
