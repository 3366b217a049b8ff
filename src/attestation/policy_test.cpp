#include "attestation/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::attestation {
namespace {

using ::testing::HasSubstr;

const std::string kMrtd(96, 'a');

Verdict genuine_td() {
  Verdict verdict;
  verdict.evidence = Genuineness::genuine;
  verdict.platform = Platform::tdx;
  verdict.report_data = base::Bytes(64, 0);
  verdict.report_data[0] = 0x42;
  verdict.tcb = TcbSummary{.status = "UpToDate", .advisory_ids = {}, .date = {}, .evaluation_number = 17};
  verdict.claims = {{.name = "mrtd", .value = kMrtd},
                    {.name = "td_attributes", .value = "0000001000000000"},
                    {.name = "mrservicetd", .value = std::string(96, '0')}};
  return verdict;
}

Verdict genuine_enclave(std::string attributes) {
  Verdict verdict = genuine_td();
  verdict.platform = Platform::sgx;
  verdict.claims = {{.name = "mrenclave", .value = std::string(64, 'b')},
                    {.name = "isvsvn", .value = "3", .is_number = true},
                    {.name = "attributes", .value = std::move(attributes)}};
  return verdict;
}

void set_claim(Verdict& verdict, std::string_view name, std::string value) {
  const auto found = std::ranges::find(verdict.claims, name, &Claim::name);
  ASSERT_NE(found, verdict.claims.end());
  found->value = std::move(value);
}

Policy parsed(std::string_view json) {
  auto policy = Policy::parse(json);
  EXPECT_TRUE(policy.ok()) << policy.error().text();
  return *std::move(policy);
}

/// The id of the failed rule, or "" when accepted.
std::string judged(const Policy& policy, Verdict verdict, std::optional<base::ByteView> report_data = {}) {
  evaluate(policy, verdict, report_data);
  if (verdict.outcome == Outcome::accepted) return "";
  const CheckResult* cause = verdict.root_cause();
  return cause == nullptr ? std::string{to_text(verdict.outcome)} : std::string{info(cause->check).id};
}

std::string refusal(std::string_view json) {
  const auto policy = Policy::parse(json);
  return policy.ok() ? "accepted" : policy.error().text();
}

TEST(PolicyParse, BuiltInsAreOrdinaryDocuments) {
  ASSERT_EQ(Policy::builtin("genuine"), &Policy::genuine());
  ASSERT_EQ(Policy::builtin("default"), &Policy::standard());
  EXPECT_EQ(Policy::builtin("other"), nullptr);
  for (const Policy* policy : {&Policy::genuine(), &Policy::standard()}) {
    const auto again = Policy::parse(policy->document());
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->sha256(), policy->sha256());
    EXPECT_EQ(policy->sha256(), crypto::sha256(base::as_bytes(policy->document())));
  }
}

TEST(PolicyParse, RefusesUnknownMembersWithASuggestion) {
  EXPECT_THAT(refusal(R"({"format":1,"migrateable":true})"), HasSubstr("migratable"));
  EXPECT_THAT(refusal(R"({"format":1,"tcb":{"acept":["UpToDate"]}})"), HasSubstr("accept"));
  EXPECT_THAT(refusal(R"({"format":1,"require":{"sept_ve_disabled":true}})"), HasSubstr("sept_ve_disable"));
}

TEST(PolicyParse, ARuleOfALaterProgramIsNeverOverlooked) {
  EXPECT_THAT(refusal(R"({"format":1,"submodules":{"gpu":{}}})"), HasSubstr("unknown member"));
}

TEST(PolicyParse, RefusesWhatIsNoPolicy) {
  for (const std::string_view json :
       {R"({})", R"([])", R"({"format":2})", R"({"format":"1"})", R"({"format":1,"format":1})", R"({"format":1)",
        R"({"format":1,"debug":"yes"})", R"({"format":1,"platforms":[]})", R"({"format":1,"platforms":["snp2"]})",
        R"({"format":1,"tcb":{"accept":[]}})", R"({"format":1,"tcb":{"min_evaluation_number":-1}})",
        R"({"format":1,"name":""})", R"({"format":1,"max_collateral_staleness_seconds":1.5})"}) {
    EXPECT_NE(refusal(json), "accepted") << json;
  }
}

TEST(PolicyParse, NoPolicyCanAcceptARevokedTcb) {
  EXPECT_THAT(refusal(R"({"format":1,"tcb":{"accept":["Revoked"]}})"), HasSubstr("Revoked"));
}

TEST(PolicyParse, AnIdentityMustMeasureCodeWithRealValues) {
  const auto with_claims = [](const std::string& claims) {
    return refusal(R"({"format":1,"identities":[{"name":"web","claims":)" + claims + "}]}");
  };
  EXPECT_EQ(with_claims(R"({"mrtd":")" + kMrtd + R"("})"), "accepted");
  EXPECT_EQ(with_claims(R"({"mrenclave":[")" + std::string(64, 'C') + R"("],"isvsvn":[1,2]})"), "accepted");
  EXPECT_NE(with_claims("{}"), "accepted");
  EXPECT_NE(with_claims(R"({"rtmr0":")" + kMrtd + R"("})"), "accepted");
  EXPECT_NE(with_claims(R"({"mrtd":")" + std::string(96, '0') + R"("})"), "accepted");
  EXPECT_NE(with_claims(R"({"mrtd":"aabb"})"), "accepted");
  EXPECT_NE(with_claims(R"({"mrtd":[]})"), "accepted");
  EXPECT_THAT(with_claims(R"({"mtrd":")" + kMrtd + R"("})"), HasSubstr("mtrd"));
}

TEST(PolicyEvaluate, AcceptsGenuineEvidenceAndSaysByWhichPolicy) {
  Verdict verdict = genuine_td();
  evaluate(Policy::standard(), verdict);
  EXPECT_EQ(verdict.outcome, Outcome::accepted);
  EXPECT_EQ(verdict.policy_sha256, Policy::standard().sha256());
  EXPECT_EQ(verdict.root_cause(), nullptr);
  EXPECT_TRUE(std::ranges::is_sorted(verdict.checks, {}, &CheckResult::check));
}

TEST(PolicyEvaluate, EvaluatingAgainReplacesTheEarlierJudgement) {
  Verdict verdict = genuine_td();
  verdict.tcb->status = "OutOfDate";
  evaluate(Policy::standard(), verdict);
  EXPECT_EQ(verdict.outcome, Outcome::refused);
  evaluate(Policy::genuine(), verdict);
  EXPECT_EQ(verdict.outcome, Outcome::accepted);
  EXPECT_EQ(std::ranges::count(verdict.checks, CheckId::policy_tcb_status, &CheckResult::check), 1);
}

TEST(PolicyEvaluate, FalseOrUndecidedEvidenceIsNeverAccepted) {
  Verdict verdict = genuine_td();
  verdict.evidence = Genuineness::not_genuine;
  evaluate(Policy::genuine(), verdict);
  EXPECT_EQ(verdict.outcome, Outcome::refused);
  verdict.evidence = Genuineness::undecided;
  evaluate(Policy::genuine(), verdict);
  EXPECT_EQ(verdict.outcome, Outcome::undecided);
}

TEST(PolicyEvaluate, UndecidedEvidenceThatNoCollateralCouldSaveIsRefused) {
  Verdict verdict = genuine_td();
  verdict.evidence = Genuineness::undecided;
  verdict.checks = {{.check = CheckId::dcap_crl_root_present, .status = CheckStatus::fail, .undecided = true}};
  verdict.debug = true;
  evaluate(Policy::genuine(), verdict);
  EXPECT_EQ(verdict.outcome, Outcome::refused);
  EXPECT_EQ(verdict.root_cause()->check, CheckId::policy_debug);
}

TEST(PolicyEvaluate, AFailedCheckOfTheVerifierIsNeverOverlooked) {
  Verdict verdict = genuine_td();
  verdict.checks = {{.check = CheckId::dcap_quote_signature, .status = CheckStatus::fail}};
  evaluate(Policy::genuine(), verdict);
  EXPECT_EQ(verdict.outcome, Outcome::refused);
}

TEST(PolicyEvaluate, UnreadableEvidenceSkipsTheRulesAndIsRefused) {
  Verdict verdict;
  verdict.evidence = Genuineness::not_genuine;
  verdict.checks = {{.check = CheckId::evidence_size, .status = CheckStatus::fail}};
  evaluate(Policy::standard(), verdict);
  EXPECT_EQ(verdict.outcome, Outcome::refused);
  EXPECT_EQ(verdict.root_cause()->check, CheckId::evidence_size);
  EXPECT_EQ(std::ranges::count(verdict.checks, CheckStatus::fail, &CheckResult::status), 1);
}

TEST(PolicyEvaluate, AGenuineVerdictWithoutTheClaimFailsTheRule) {
  Verdict verdict = genuine_td();
  std::erase_if(verdict.claims, [](const Claim& c) { return c.name == "td_attributes"; });
  EXPECT_EQ(judged(Policy::standard(), verdict), "policy.migratable");
  verdict = genuine_td();
  verdict.tcb.reset();
  EXPECT_EQ(judged(Policy::genuine(), verdict), "policy.tcb.status");
}

TEST(PolicyEvaluate, DebugIsRefusedUnlessAllowed) {
  Verdict verdict = genuine_td();
  verdict.debug = true;
  EXPECT_EQ(judged(Policy::genuine(), verdict), "policy.debug");
  EXPECT_EQ(judged(parsed(R"({"format":1,"debug":true})"), verdict), "");
}

TEST(PolicyEvaluate, TcbStatusAdvisoriesAndEvaluationNumber) {
  Verdict verdict = genuine_td();
  verdict.tcb->status = "OutOfDate";
  EXPECT_EQ(judged(Policy::genuine(), verdict), "");
  EXPECT_EQ(judged(Policy::standard(), verdict), "policy.tcb.status");

  verdict = genuine_td();
  verdict.tcb->advisory_ids = {"INTEL-SA-00615"};
  EXPECT_EQ(judged(Policy::standard(), verdict), "");
  EXPECT_EQ(judged(parsed(R"({"format":1,"tcb":{"allow_advisories":[]}})"), verdict), "policy.tcb.advisories");
  EXPECT_EQ(judged(parsed(R"({"format":1,"tcb":{"allow_advisories":["INTEL-SA-00615"]}})"), verdict), "");

  const Policy least = parsed(R"({"format":1,"tcb":{"min_evaluation_number":17}})");
  EXPECT_EQ(judged(least, verdict), "");
  verdict.tcb->evaluation_number = 16;
  EXPECT_EQ(judged(least, verdict), "policy.tcb.evaluation_number");
  verdict.tcb->evaluation_number.reset();
  EXPECT_EQ(judged(parsed(R"({"format":1,"tcb":{"min_evaluation_number":0}})"), verdict),
            "policy.tcb.evaluation_number");
}

TEST(PolicyEvaluate, TdAttributes) {
  Verdict verdict = genuine_td();
  set_claim(verdict, "td_attributes", "0000003000000000");
  EXPECT_EQ(judged(Policy::standard(), verdict), "policy.migratable");
  EXPECT_EQ(judged(Policy::genuine(), verdict), "");
  EXPECT_EQ(judged(parsed(R"({"format":1,"migratable":true})"), verdict), "");

  set_claim(verdict, "td_attributes", "0200001000000000");  // TUD, reserved
  EXPECT_EQ(judged(Policy::standard(), verdict), "policy.reserved_attributes");
  set_claim(verdict, "td_attributes", "000000d000000080");  // SEPT_VE_DISABLE, PKS, KL, PERFMON: real TDs have them
  EXPECT_EQ(judged(Policy::standard(), verdict), "");

  const Policy sept = parsed(R"({"format":1,"require":{"sept_ve_disable":true}})");
  EXPECT_EQ(judged(sept, verdict), "");
  set_claim(verdict, "td_attributes", "0000000000000000");
  EXPECT_EQ(judged(Policy::standard(), verdict), "");
  EXPECT_EQ(judged(sept, verdict), "policy.sept_ve_disable");
}

TEST(PolicyEvaluate, ServiceTdsAtCreationAndNow) {
  Verdict verdict = genuine_td();
  set_claim(verdict, "mrservicetd", std::string(95, '0') + "1");
  EXPECT_EQ(judged(Policy::standard(), verdict), "policy.service_td");
  EXPECT_EQ(judged(parsed(R"({"format":1,"service_td":true})"), verdict), "");
  verdict = genuine_td();
  verdict.claims.push_back({.name = "cur_servtd_hash", .value = std::string(96, '2')});
  EXPECT_EQ(judged(Policy::standard(), verdict), "policy.service_td");
}

TEST(PolicyEvaluate, EnclaveAttributes) {
  EXPECT_EQ(judged(Policy::standard(), genuine_enclave("0500000000000000e700000000000000")), "");
  EXPECT_EQ(judged(Policy::standard(), genuine_enclave("0d00000000000000e700000000000000")),
            "policy.reserved_attributes");
  EXPECT_EQ(judged(Policy::genuine(), genuine_enclave("0d00000000000000e700000000000000")), "");
}

TEST(PolicyEvaluate, PlatformsListsWhatIsAllowed) {
  const Policy only_sgx = parsed(R"({"format":1,"platforms":["sgx"]})");
  EXPECT_EQ(judged(only_sgx, genuine_td()), "policy.platform");
  EXPECT_EQ(judged(only_sgx, genuine_enclave("0500000000000000e700000000000000")), "");
}

TEST(PolicyEvaluate, IdentitiesApproveByAllTheirClaims) {
  const auto with = [](const std::string& identities) {
    return parsed(R"({"format":1,"identities":[)" + identities + "]}");
  };
  const std::string good =
      R"({"name":"web 2","claims":{"mrtd":[")" + std::string(96, 'b') + R"(",")" + std::string(96, 'A') + R"("]}})";
  const std::string other = R"({"name":"web 1","claims":{"mrtd":")" + kMrtd + R"(","rtmr0":")" + kMrtd + R"("}})";
  EXPECT_EQ(judged(with(good), genuine_td()), "");
  EXPECT_EQ(judged(with(other), genuine_td()), "policy.measurement.allowed");
  EXPECT_EQ(judged(with(other + "," + good), genuine_td()), "");
  EXPECT_EQ(judged(with(""), genuine_td()), "policy.measurement.allowed") << "an empty list must approve nothing";

  const std::string wrong = R"({"name":"web 3","claims":{"mrtd":")" + std::string(96, 'c') + R"("}})";
  EXPECT_EQ(judged(with(wrong), genuine_td()), "policy.measurement.allowed");
  const std::string enclave = R"({"claims":{"mrenclave":")" + std::string(64, 'b') + R"(","isvsvn":[2,3]}})";
  EXPECT_EQ(judged(with(enclave), genuine_enclave("0500000000000000e700000000000000")), "");
}

Verdict genuine_document(base::UtcTime made) {
  Verdict verdict;
  verdict.evidence = Genuineness::genuine;
  verdict.platform = Platform::nitro;
  verdict.at = base::UtcTime{1'790'000'000};
  verdict.claims = {{.name = "pcr0", .value = kMrtd},
                    {.name = "timestamp_ms", .value = std::to_string(made.seconds * 1000), .is_number = true}};
  return verdict;
}

TEST(PolicyEvaluate, ExpectedReportDataIsComparedWithTheWholeField) {
  const base::Bytes short_value{0x42};
  EXPECT_EQ(judged(Policy::standard(), genuine_td(), short_value), "");
  const base::Bytes other{0x43};
  EXPECT_EQ(judged(Policy::standard(), genuine_td(), other), "policy.report_data");
  base::Bytes longer = genuine_td().report_data;
  longer.push_back(0);
  EXPECT_EQ(judged(Policy::standard(), genuine_td(), longer), "policy.report_data");
  const base::Bytes none;
  EXPECT_EQ(judged(Policy::standard(), genuine_td(), none), "policy.report_data");
  Verdict zeros = genuine_td();
  zeros.report_data[0] = 0;
  EXPECT_EQ(judged(Policy::standard(), zeros, none), "") << "an empty value is a field of zeros";
  Verdict document = genuine_document({0});
  document.report_data = {};
  EXPECT_EQ(judged(Policy::standard(), document, none), "");
  EXPECT_EQ(judged(Policy::standard(), document, short_value), "policy.report_data");
  document.report_data = {0};
  EXPECT_EQ(judged(Policy::standard(), document, none), "policy.report_data") << "a zero is not nothing";
  Verdict tail = genuine_td();
  tail.report_data[63] = 1;
  EXPECT_EQ(judged(Policy::standard(), tail, short_value), "policy.report_data");
}

TEST(PolicyEvaluate, StaleCollateralIsShownAndBounded) {
  Verdict verdict = genuine_td();
  verdict.collateral_stale_seconds = 100;
  EXPECT_EQ(judged(Policy::standard(), verdict), "");
  const Policy strict = parsed(R"({"format":1,"max_collateral_staleness_seconds":99})");
  EXPECT_EQ(judged(strict, verdict), "policy.collateral.staleness");
  verdict.collateral_stale_seconds = 99;
  EXPECT_EQ(judged(strict, verdict), "");
  verdict.collateral_stale_seconds.reset();
  EXPECT_EQ(judged(strict, verdict), "");
}

TEST(PolicyEvaluate, TheAgeOfEvidenceThatBearsATimeIsBounded) {
  const Policy recent = parsed(R"({"format":1,"max_age_seconds":60})");
  EXPECT_EQ(judged(recent, genuine_document({1'790'000'000 - 60})), "");
  EXPECT_EQ(judged(recent, genuine_document({1'790'000'000 - 61})), "policy.age");
  EXPECT_EQ(judged(recent, genuine_document({1'790'000'000 + 300})), "");
  EXPECT_EQ(judged(recent, genuine_document({1'790'000'000 + 301})), "policy.age");

  Verdict token = genuine_document({0});
  token.platform = Platform::maa;
  token.claims = {{.name = "iat", .value = "1789999939", .is_number = true}};
  EXPECT_EQ(judged(recent, token), "policy.age");
  token.claims.front().value = "1789999940";
  EXPECT_EQ(judged(recent, token), "");
}

TEST(PolicyEvaluate, EvidenceWithoutATimeIsNeverYoungEnough) {
  Verdict verdict = genuine_td();
  evaluate(parsed(R"({"format":1,"max_age_seconds":31536000})"), verdict);
  EXPECT_EQ(verdict.outcome, Outcome::refused);
  ASSERT_NE(verdict.root_cause(), nullptr);
  ASSERT_EQ(verdict.root_cause()->check, CheckId::policy_age);
  EXPECT_THAT(verdict.root_cause()->detail, HasSubstr("tdx bears no time"));
}

TEST(PolicyEvaluate, AConditionOnALogThatWasNotGivenIsOpen) {
  const auto outcome = [](const std::string& conditions, bool log = false) {
    Verdict verdict = genuine_td();
    if (log) verdict.claims.push_back({.name = "eventlog.registers", .value = "rtmr0 rtmr1 rtmr2"});
    evaluate(parsed(R"({"format":1,"conditions":[)" + conditions + "]}"), verdict);
    return verdict.outcome;
  };
  const std::string boot = R"({"claim":"eventlog.secure_boot","equals":true})";
  const std::string other = R"({"claim":"mrtd","equals":")" + std::string(96, '7') + R"("})";
  const std::string own = R"({"claim":"mrtd","equals":")" + kMrtd + R"("})";
  EXPECT_EQ(outcome(boot), Outcome::undecided);
  EXPECT_EQ(outcome(boot, true), Outcome::refused) << "the log was given, and says nothing of it";
  EXPECT_EQ(outcome(boot + "," + other), Outcome::refused);
  EXPECT_EQ(outcome(R"({"all_of":[)" + boot + "," + own + "]}"), Outcome::undecided);
  EXPECT_EQ(outcome(R"({"all_of":[)" + boot + "," + other + "]}"), Outcome::refused);
  EXPECT_EQ(outcome(R"({"any_of":[)" + boot + "," + other + "]}"), Outcome::undecided);
  EXPECT_EQ(outcome(R"({"any_of":[)" + boot + "," + own + "]}"), Outcome::accepted);
  EXPECT_EQ(outcome(R"({"any_of":[)" + boot + "," + other + "]}", true), Outcome::refused);
}

TEST(PolicyEvaluate, EventLogAndSecureBoot) {
  const Policy log = parsed(R"({"format":1,"require":{"event_log":true}})");
  const Policy secure = parsed(R"({"format":1,"require":{"secure_boot":true}})");
  Verdict verdict = genuine_td();
  EXPECT_EQ(judged(log, verdict), "policy.event_log");
  EXPECT_EQ(judged(secure, verdict), "policy.secure_boot");
  EXPECT_EQ(verdict.outcome, Outcome::undecided) << "nobody gave the log that says it";
  verdict.checks = {{.check = CheckId::eventlog_replay, .status = CheckStatus::pass}};
  EXPECT_EQ(judged(log, verdict), "policy.event_log") << "for which registers?";
  verdict.claims.push_back({.name = "eventlog.registers", .value = "rtmr0 rtmr1 rtmr2"});
  verdict.claims.push_back({.name = "eventlog.secure_boot", .value = "false"});
  EXPECT_EQ(judged(log, verdict), "");
  EXPECT_EQ(judged(secure, verdict), "policy.secure_boot");
  verdict.claims.back().value = "true";
  EXPECT_EQ(judged(secure, verdict), "");
  EXPECT_EQ(judged(log, genuine_enclave("0500000000000000e700000000000000")), "policy.event_log");
}

Verdict genuine_token(std::string_view tee) {
  Verdict verdict;
  verdict.evidence = Genuineness::genuine;
  verdict.platform = Platform::maa;
  verdict.claims = {{.name = "x-ms-attestation-type", .value = "azurevm"},
                    {.name = "x-ms-isolation-tee.x-ms-attestation-type", .value = std::string{tee}},
                    {.name = "secureboot", .value = "true"}};
  if (tee == "sevsnpvm") {
    verdict.claims.push_back({.name = "x-ms-sevsnpvm-vmpl", .value = "0", .is_number = true});
    verdict.claims.push_back({.name = "x-ms-sevsnpvm-migration-allowed", .value = "false"});
  } else {
    verdict.claims.push_back({.name = "tdx_td_attributes", .value = "0000001000000000"});
    verdict.claims.push_back({.name = "attester_tcb_status", .value = "UpToDate"});
  }
  return verdict;
}

TEST(PolicyEvaluate, TokensOfAzureVirtualMachines) {
  const Policy secure = parsed(R"({"format":1,"require":{"secure_boot":true}})");
  Verdict snp = genuine_token("sevsnpvm");
  EXPECT_EQ(judged(Policy::strict(), snp), "");
  EXPECT_EQ(judged(secure, snp), "");
  set_claim(snp, "secureboot", "false");
  EXPECT_EQ(judged(secure, snp), "policy.secure_boot");
  set_claim(snp, "x-ms-sevsnpvm-vmpl", "2");
  EXPECT_EQ(judged(Policy::standard(), snp), "policy.vmpl");
  EXPECT_EQ(judged(Policy::genuine(), snp), "");
  snp = genuine_token("sevsnpvm");
  set_claim(snp, "x-ms-sevsnpvm-migration-allowed", "true");
  EXPECT_EQ(judged(Policy::standard(), snp), "policy.migratable");
  snp.claims.pop_back();
  EXPECT_EQ(judged(Policy::genuine(), snp), "policy.migratable") << "what a token should say and does not fails";

  Verdict td = genuine_token("tdxvm");
  EXPECT_EQ(judged(Policy::strict(), td), "");
  set_claim(td, "tdx_td_attributes", "0000002000000000");
  EXPECT_EQ(judged(Policy::standard(), td), "policy.migratable");
  set_claim(td, "tdx_td_attributes", "0000000000000000");
  EXPECT_EQ(judged(Policy::strict(), td), "policy.sept_ve_disable");
  td = genuine_token("tdxvm");
  set_claim(td, "attester_tcb_status", "OutOfDate");
  EXPECT_EQ(judged(Policy::standard(), td), "policy.tcb.status");
  set_claim(td, "attester_tcb_status", "Revoked");
  EXPECT_EQ(judged(Policy::genuine(), td), "policy.tcb.status");
}

TEST(PolicyEvaluate, FirmwareThatIsNotCommitted) {
  Verdict guest = genuine_td();
  guest.platform = Platform::snp;
  guest.tcb.reset();
  guest.checks = {{.check = CheckId::snp_crl_revoked, .status = CheckStatus::pass}};
  guest.claims = {
      {.name = "guest_policy", .value = "0000030000000000"}, {.name = "vmpl", .value = "0", .is_number = true},
      {.name = "current_firmware", .value = "1.55.40"},      {.name = "committed_firmware", .value = "1.55.40"},
      {.name = "current_tcb", .value = "04000000000018db"},  {.name = "committed_tcb", .value = "04000000000018db"}};
  const Policy committed = parsed(R"({"format":1,"require":{"committed_firmware":true}})");
  EXPECT_EQ(judged(committed, guest), "");
  for (const char* other : {"1.55.39", "1.54.40", "0.55.40"}) {  // build, minor, major
    Verdict v = guest;
    set_claim(v, "committed_firmware", other);
    EXPECT_EQ(judged(Policy::standard(), v), "");
    EXPECT_EQ(judged(committed, v), "policy.committed_firmware") << other;
  }
  // The versions are equal and the microcode is not: the host can go back to the committed one.
  for (const char* other : {"04000000000018da", "04000000000017db", "04010000000018db", "03000000000018db"}) {
    Verdict v = guest;
    set_claim(v, "committed_tcb", other);
    EXPECT_EQ(judged(Policy::standard(), v), "");
    EXPECT_EQ(judged(committed, v), "policy.committed_firmware") << other;
  }
  for (const char* gone : {"current_firmware", "committed_firmware", "current_tcb", "committed_tcb"}) {
    Verdict v = guest;
    std::erase_if(v.claims, [&](const Claim& c) { return c.name == gone; });
    EXPECT_EQ(judged(committed, v), "policy.committed_firmware") << "without " << gone;
  }
}

TEST(PolicyEvaluate, WhatIsOnlyALogsWordMatchesNoIdentityByItself) {
  const auto with = [](const std::string& more) {
    return parsed(R"({"format":1,"identities":[{"claims":{"mrtd":")" + kMrtd + R"(","eventlog.command_line":"ro")" +
                  more + "}}]}");
  };
  Verdict verdict = genuine_td();
  verdict.claims.push_back({.name = "rtmr2", .value = kMrtd});
  verdict.claims.push_back({.name = "eventlog.command_line", .value = "ro", .log_word = true});
  EXPECT_EQ(judged(with(""), verdict), "policy.measurement.allowed");
  EXPECT_EQ(judged(with(R"(,"rtmr2":")" + kMrtd + "\""), verdict), "");
}

TEST(PolicyEvaluate, AnEventLogMustAccountForTheRegistersThatAreAskedFor) {
  Verdict verdict = genuine_td();
  verdict.claims.push_back({.name = "eventlog.registers", .value = "rtmr3"});
  EXPECT_EQ(judged(parsed(R"({"format":1,"require":{"event_log":{"registers":["rtmr3"]}}})"), verdict), "");
  EXPECT_EQ(judged(parsed(R"({"format":1,"require":{"event_log":true}})"), verdict), "policy.event_log");
  EXPECT_EQ(judged(parsed(R"({"format":1,"require":{"event_log":{"registers":["rtmr3","rtmr1"]}}})"), verdict),
            "policy.event_log");
}

Verdict genuine_guest() {
  Verdict guest = genuine_td();
  guest.platform = Platform::snp;
  guest.tcb.reset();
  guest.checks = {{.check = CheckId::snp_crl_revoked, .status = CheckStatus::pass}};
  guest.claims = {{.name = "guest_policy", .value = "0000030000000000"},
                  {.name = "vmpl", .value = "0", .is_number = true}};
  return guest;
}

TEST(PolicyEvaluate, GuestsThatCanBeMigratedAreRefused) {
  EXPECT_EQ(judged(Policy::standard(), genuine_guest()), "");
  Verdict guest = genuine_guest();
  set_claim(guest, "guest_policy", "0000070000000000");  // bit 18
  EXPECT_EQ(judged(Policy::standard(), guest), "policy.migratable");
  EXPECT_EQ(judged(parsed(R"({"format":1,"migratable":true})"), guest), "");
}

TEST(PolicyEvaluate, RevocationThatWasNotLookedAtIsUndecided) {
  Verdict guest = genuine_guest();
  guest.checks = {{.check = CheckId::snp_crl_revoked, .status = CheckStatus::skipped}};
  evaluate(Policy::standard(), guest);
  EXPECT_EQ(guest.outcome, Outcome::undecided);
  ASSERT_NE(guest.root_cause(), nullptr);
  EXPECT_EQ(guest.root_cause()->check, CheckId::policy_revocation);
  guest.checks.clear();
  evaluate(Policy::standard(), guest);
  EXPECT_EQ(guest.outcome, Outcome::undecided) << "nor when nothing is said of it at all";
  evaluate(parsed(R"({"format":1,"require":{"revocation":false}})"), guest);
  EXPECT_EQ(guest.outcome, Outcome::accepted);
}

TEST(PolicyEvaluate, TokensByKeysOfNobodyAreUndecided) {
  Verdict token = genuine_token("sevsnpvm");
  token.token_keys_unvouched = true;
  evaluate(Policy::standard(), token);
  EXPECT_EQ(token.outcome, Outcome::undecided);
  ASSERT_NE(token.root_cause(), nullptr);
  EXPECT_EQ(token.root_cause()->check, CheckId::policy_token_keys);
  EXPECT_EQ(judged(parsed(R"({"format":1,"require":{"token_keys":false}})"), token), "");
}

TEST(PolicyEvaluate, TheDateOfATokensTcbHasALowerBound) {
  Verdict td = genuine_token("tdxvm");
  const Policy since = parsed(R"({"format":1,"tcb":{"min_date":"2025-03-12T00:00:00Z"}})");
  EXPECT_EQ(judged(since, td), "policy.tcb.date") << "the token says none";
  td.claims.push_back({.name = "attester_tcb_date", .value = "2025-03-12T00:00:00Z"});
  EXPECT_EQ(judged(since, td), "");
  td.claims.back().value = "2025-03-11T23:59:59Z";
  EXPECT_EQ(judged(since, td), "policy.tcb.date");
  td.claims.back().value = "soon";
  EXPECT_EQ(judged(since, td), "policy.tcb.date");
}

TEST(PolicyEvaluate, TheNonceIsTheOneThatWasAskedFor) {
  const base::Bytes wanted{1, 2, 3};
  const base::Bytes other{1, 2, 4};
  const base::Bytes nothing;
  const auto judged_for = [](Verdict verdict, base::ByteView nonce) {
    evaluate(Policy::standard(), verdict, {}, {.nonce = nonce});
    return verdict.outcome == Outcome::accepted ? "" : std::string{info(verdict.root_cause()->check).id};
  };
  Verdict document = genuine_document({0});
  EXPECT_EQ(judged_for(document, wanted), "policy.nonce") << "it bears none";
  document.claims.push_back({.name = "nonce", .value = "010203"});
  EXPECT_EQ(judged_for(document, wanted), "");
  EXPECT_EQ(judged_for(document, other), "policy.nonce");
  document.claims.back().value = "";
  EXPECT_EQ(judged_for(document, nothing), "policy.nonce") << "an empty one would be as good tomorrow";
}

TEST(PolicyParse, MeasurementSetsAreNamesThatOnlyAServerKnows) {
  const Policy policy = parsed(R"({"format":1,"identities_from":["set:web",{"set":"db","approvals":2}]})");
  ASSERT_EQ(policy.rules().identities_from.size(), 2u);
  EXPECT_EQ(policy.rules().identities_from[0].name, "web");
  EXPECT_EQ(policy.rules().identities_from[0].approvals, 1u);
  EXPECT_EQ(policy.rules().identities_from[1].approvals, 2u);
  EXPECT_EQ(judged(policy, genuine_td()), "policy.measurement.allowed") << "unresolved, it must approve nothing";
  for (const std::string_view wrong : {R"([])", R"(["web"])", R"(["set:"])", R"(["set:Web"])",
                                       R"([{"set":"web","approvals":0}])", R"([{"approvals":2}])", R"("set:web")"}) {
    EXPECT_NE(refusal(R"({"format":1,"identities_from":)" + std::string{wrong} + "}"), "accepted") << wrong;
  }
}

}  // namespace
}  // namespace attestry::attestation
