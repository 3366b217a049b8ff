#include "attestation/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/json.h"

namespace attestry::attestation {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

Verdict refused_verdict() {
  CheckRecorder recorder;
  recorder.pass(CheckId::evidence_size, "4936");
  recorder.pass(CheckId::evidence_format);
  recorder.fail(CheckId::dcap_quote_version, "3, 4 or 5", "9\x1b[31m\"\\\n");
  EXPECT_FALSE(recorder.may_run(CheckId::dcap_quote_tee_type));
  Verdict verdict;
  verdict.outcome = Outcome::refused;
  verdict.evidence = Genuineness::not_genuine;
  verdict.platform = Platform::tdx;
  verdict.checks = recorder.take();
  verdict.tcb = TcbSummary{.status = "UpToDate",
                           .advisory_ids = {"INTEL-SA-00001", "INTEL-SA-00002"},
                           .date = base::UtcTime{1'700'000'000},
                           .evaluation_number = 17};
  verdict.claims = {{.name = "mrtd", .value = "ab01"}, {.name = "isvsvn", .value = "7", .is_number = true}};
  verdict.collateral = {{.kind = CollateralKind::tcb_info, .issued = base::UtcTime{0}, .expires = {}}};
  verdict.collateral_stale_seconds = 90;
  verdict.valid_until = base::UtcTime{1'800'000'000};
  verdict.at = base::UtcTime{1'750'000'000};
  return verdict;
}

TEST(CheckRecorder, SkipsACheckWhoseNeedDidNotPassAndNamesTheNeed) {
  CheckRecorder recorder;
  EXPECT_TRUE(recorder.may_run(CheckId::evidence_size));
  recorder.fail(CheckId::evidence_size, "1 to 1048576 bytes", "0");
  EXPECT_FALSE(recorder.may_run(CheckId::evidence_format));
  const auto results = recorder.take();
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[1].status, CheckStatus::skipped);
  EXPECT_EQ(results[1].detail, "needs evidence.size");
}

TEST(CheckRecorder, SkipsACheckWhoseNeedWasNeverRun) {
  CheckRecorder recorder;
  EXPECT_FALSE(recorder.may_run(CheckId::evidence_format));
  EXPECT_EQ(recorder.take().front().status, CheckStatus::skipped);
}

TEST(CheckRecorder, DoesNotLetACheckRunTwice) {
  CheckRecorder recorder;
  recorder.pass(CheckId::evidence_size);
  EXPECT_FALSE(recorder.may_run(CheckId::evidence_size));
  EXPECT_TRUE(recorder.passed(CheckId::evidence_size));
  EXPECT_EQ(recorder.take().size(), 1u);
}

TEST(CheckRecorder, APassWithoutItsNeedsCountsAsSkipped) {
  CheckRecorder recorder;
  recorder.pass(CheckId::evidence_format);
  EXPECT_FALSE(recorder.passed(CheckId::evidence_format));
  EXPECT_EQ(recorder.take().front().status, CheckStatus::skipped);
}

TEST(CheckRecorder, AFailureIsNeverLostToAPassNorADefiniteOneToAnUndecidedOne) {
  CheckRecorder recorder;
  recorder.pass(CheckId::evidence_size);
  recorder.fail_undecided(CheckId::evidence_size, "x", "missing");
  recorder.pass(CheckId::evidence_size);
  EXPECT_FALSE(recorder.passed(CheckId::evidence_size));
  recorder.fail(CheckId::evidence_size, "x", "wrong");
  recorder.fail_undecided(CheckId::evidence_size, "x", "missing again");
  const auto results = recorder.take();
  ASSERT_EQ(results.size(), 1u);
  EXPECT_FALSE(results.front().undecided);
  EXPECT_EQ(results.front().actual, "wrong");
}

TEST(CheckRecorder, GivesResultsInCatalogueOrder) {
  CheckRecorder recorder;
  recorder.pass(CheckId::dcap_crl_root_present);
  recorder.pass(CheckId::evidence_size);
  const auto results = recorder.take();
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].check, CheckId::evidence_size);
}

TEST(RootCause, IsTheFirstFailureWhoseNeedsPassed) {
  Verdict verdict;
  // Out of the recorder's hands: a failure that rests on another failure is no root cause.
  verdict.checks = {{.check = CheckId::evidence_format, .status = CheckStatus::fail},
                    {.check = CheckId::dcap_crl_root_present, .status = CheckStatus::fail}};
  ASSERT_NE(verdict.root_cause(), nullptr);
  EXPECT_EQ(verdict.root_cause()->check, CheckId::dcap_crl_root_present);
}

TEST(RootCause, PrefersWhatIsWrongToWhatIsMissing) {
  Verdict verdict;
  verdict.checks = {{.check = CheckId::dcap_crl_root_present, .status = CheckStatus::fail, .undecided = true},
                    {.check = CheckId::binding_report_data, .status = CheckStatus::fail}};
  EXPECT_EQ(verdict.root_cause()->check, CheckId::binding_report_data);
  verdict.checks.pop_back();
  EXPECT_EQ(verdict.root_cause()->check, CheckId::dcap_crl_root_present);
  verdict.checks.clear();
  EXPECT_EQ(verdict.root_cause(), nullptr);
}

TEST(VerdictJson, HasTheDocumentedMembersWithTheirValues) {
  const auto document = base::JsonDocument::parse(to_json(refused_verdict()));
  ASSERT_TRUE(document.ok()) << document.error().text();
  const base::JsonValue root = (*document)->root();
  EXPECT_TRUE(root.only({"format", "catalogue", "verdict", "evidence", "platform", "simulated", "at", "evidence_sha256",
                         "policy_sha256", "anchors_sha256", "root_cause", "tcb", "claims", "checks", "collateral",
                         "collateral_stale_seconds", "valid_until"})
                  .ok());
  EXPECT_EQ(root.size(), 17u);
  EXPECT_EQ(*root.find("verdict")->string("verdict"), "refused");
  EXPECT_EQ(*root.find("evidence")->string("evidence"), "false");
  EXPECT_EQ(*root.find("at")->string("at"), "2025-06-15T15:06:40Z");
  EXPECT_TRUE(root.find("policy_sha256")->is_null());
  EXPECT_EQ(*root.find("claims")->find("isvsvn")->integer("isvsvn", 0, 100), 7);
  EXPECT_EQ(*root.find("claims")->find("mrtd")->string("mrtd"), "ab01");
  EXPECT_EQ(root.find("tcb")->find("advisory_ids")->size(), 2u);
  EXPECT_EQ(*root.find("collateral_stale_seconds")->integer("stale", 0, 1000), 90);
  EXPECT_TRUE(root.find("collateral")->first()->find("expires")->is_null());
}

TEST(VerdictJson, NamesTheRootCauseWithItsRemedyAndEscapesWhatTheEvidenceSays) {
  const auto document = base::JsonDocument::parse(to_json(refused_verdict()));
  ASSERT_TRUE(document.ok());
  const base::JsonValue cause = *(*document)->root().find("root_cause");
  EXPECT_EQ(*cause.find("id")->string("id"), "dcap.quote.version");
  EXPECT_EQ(*cause.find("actual")->string("actual"), "9\x1b[31m\"\\\n");
  EXPECT_EQ(*cause.find("remedy")->string("remedy"), info(CheckId::dcap_quote_version).remedy);
  auto check = (*document)->root().find("checks")->first();
  EXPECT_EQ(*check->find("status")->string("status"), "pass");
  EXPECT_EQ(*check->find("remedy")->string("remedy"), "");
}

TEST(VerdictJson, EscapesEveryCharacterWhereverItStands) {
  for (int c = 0; c < 0x80; ++c) {
    for (std::size_t place = 0; place < 18; ++place) {
      std::string text(18, 'a');
      text[place] = static_cast<char>(c);
      Verdict verdict;
      verdict.checks = {{.check = CheckId::evidence_size, .status = CheckStatus::pass, .actual = text}};
      const auto document = base::JsonDocument::parse(to_json(verdict));
      ASSERT_TRUE(document.ok()) << c << " at " << place;
      EXPECT_EQ(*(*document)->root().find("checks")->first()->find("actual")->string("actual"), text);
    }
  }
}

TEST(VerdictJson, AnAcceptedVerdictHasNoRootCause) {
  Verdict verdict = refused_verdict();
  verdict.outcome = Outcome::accepted;
  EXPECT_THAT(to_json(verdict), HasSubstr("\"root_cause\":null"));
  EXPECT_THAT(to_json(Verdict{}), HasSubstr("\"tcb\":null"));
  EXPECT_TRUE(base::JsonDocument::parse(to_json(Verdict{})).ok());
}

TEST(VerdictJson, PrettyFormSaysTheSame) {
  const std::string compact = to_json(refused_verdict());
  const auto pretty = base::JsonDocument::parse(to_json(refused_verdict(), true));
  ASSERT_TRUE(pretty.ok()) << pretty.error().text();
  std::string squeezed;
  bool in_string = false;
  const std::string& text = (*pretty)->text();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"' && (i == 0 || text[i - 1] != '\\')) in_string = !in_string;
    if (in_string || (text[i] != ' ' && text[i] != '\n')) squeezed.push_back(text[i]);
  }
  EXPECT_EQ(squeezed, compact);
}

TEST(VerdictText, SaysTheVerdictFirstThenTheRootCauseAndFailedChecksBeforePassedOnes) {
  const std::string text = to_text_report(refused_verdict(), false);
  EXPECT_THAT(text, StartsWith("REFUSED  Intel TDX: the evidence is NOT genuine"));
  const auto at = [&](std::string_view part) {
    const std::size_t place = text.find(part);
    EXPECT_NE(place, std::string::npos) << part;
    return place;
  };
  EXPECT_LT(at("Root cause: dcap.quote.version"), at("Failed checks (1)"));
  EXPECT_LT(at("Failed checks (1)"), at("Skipped checks (1)"));
  EXPECT_LT(at("Skipped checks (1)"), at("Passed checks (2)"));
  EXPECT_THAT(text, HasSubstr(std::string{info(CheckId::dcap_quote_version).remedy}));
  EXPECT_THAT(text, HasSubstr("expires"));
  EXPECT_THAT(to_text_report(refused_verdict(), false, false), Not(HasSubstr("Passed checks")));
}

TEST(VerdictText, NothingFromTheEvidenceReachesTheTerminalAsAControlSequence) {
  const std::string text = to_text_report(refused_verdict(), false);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_THAT(text, HasSubstr("9\\x1b[31m"));
}

TEST(VerdictText, ColoursOnlyWhenAsked) {
  EXPECT_THAT(to_text_report(refused_verdict(), true), StartsWith("\x1b[1;31mREFUSED"));
}

TEST(VerdictText, SaysThatASimulatedVerdictProvesNothing) {
  Verdict verdict = refused_verdict();
  verdict.simulated = true;
  EXPECT_THAT(to_text_report(verdict, false), HasSubstr("SIMULATED"));
}

}  // namespace
}  // namespace attestry::attestation
