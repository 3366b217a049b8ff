#include "appraisal/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "appraisal/diff.h"
#include "attestation/catalogue.h"
#include "attestation/verdict.h"

namespace attestry::appraisal {
namespace {

using attestation::CheckId;
using attestation::CheckRecorder;
using ::testing::HasSubstr;
using ::testing::Not;

attestation::Verdict verdict_of(CheckRecorder& recorder, attestation::Outcome outcome) {
  attestation::Verdict verdict;
  verdict.checks = recorder.take();
  verdict.outcome = outcome;
  verdict.evidence = outcome == attestation::Outcome::accepted ? attestation::Genuineness::genuine
                                                               : attestation::Genuineness::not_genuine;
  verdict.platform = attestation::Platform::tdx;
  verdict.at = base::UtcTime{1'780'000'000};
  verdict.claims = {{.name = "mrtd", .value = "aa"}, {.name = "report_data", .value = "bb"}};
  return verdict;
}

/// The quote's version is wrong, so its parts are not looked at; the root CA's CRL is old besides.
VerdictView broken_quote() {
  CheckRecorder r;
  r.pass(CheckId::evidence_size);
  r.pass(CheckId::evidence_format);
  r.fail(CheckId::dcap_quote_version, "3, 4 or 5", "6", "bytes 0 to 1");
  for (const CheckId check : {CheckId::dcap_quote_tee_type, CheckId::dcap_quote_structure,
                              CheckId::dcap_quote_certification_data, CheckId::dcap_pck_chain_format}) {
    EXPECT_FALSE(r.may_run(check));
  }
  r.pass(CheckId::dcap_crl_root_present);
  r.pass(CheckId::dcap_crl_root_format);
  r.fail(CheckId::dcap_crl_root_validity, "a", "b");
  r.skip(CheckId::snp_crl_present, "no amd_crl: the chain was not checked for revocation");
  const auto verdict = verdict_of(r, attestation::Outcome::refused);
  return read_verdict(attestation::to_json(verdict)).value();
}

std::size_t size_of(const Decision& decision) {
  std::size_t out = 1;
  for (const Decision& below : decision.skipped) out += size_of(below);
  return out;
}

TEST(Explain, TheRootCauseHasUnderItWhatWasNotDoneBecauseOfIt) {
  const auto view = broken_quote();
  const Explanation why = explain(view);
  ASSERT_EQ(why.causes.size(), 2u);
  EXPECT_EQ(why.causes[0].check->id, "dcap.quote.version");
  EXPECT_EQ(why.causes[0].source.document, "evidence");
  EXPECT_EQ(why.causes[1].check->id, "dcap.crl.root.validity");
  EXPECT_EQ(size_of(why.causes[0]), 5u) << "tee_type, structure, certification_data, chain.format hang from it";
  EXPECT_EQ(size_of(why.causes[1]), 1u);
  ASSERT_EQ(why.causes[0].stands_on.size(), 1u);
  EXPECT_EQ(why.causes[0].stands_on[0]->id, "evidence.format");
  ASSERT_EQ(why.not_done.size(), 1u);
  EXPECT_EQ(why.not_done[0].check->id, "snp.crl.present");
  EXPECT_EQ(why.passed.size(), 4u);
}

TEST(Explain, TheTextNamesCauseSourceAndRemedyWithoutColoursUnlessAsked) {
  const auto view = broken_quote();
  const std::string plain = why_text(view, {.appraisal = "abc", .note = "attempt\x1b[31m"});
  for (const char* part : {"REFUSED", "appraisal abc", "dcap.quote.version", "bytes 0 to 1", "quote header",
                           "what to do", "could not be done", "`-- ", "Also failed", "Not done", "Passed (4)"}) {
    EXPECT_THAT(plain, HasSubstr(part));
  }
  EXPECT_THAT(plain, Not(HasSubstr("\x1b"))) << "nor does a control character of a value reach a terminal";
  EXPECT_THAT(why_text(view, {.colour = true}), HasSubstr("\x1b[1;31m"));
  EXPECT_THAT(why_text(view, {.all = true}), HasSubstr("pass evidence.size"));
}

TEST(Explain, TheJsonHasTheTree) {
  const auto view = broken_quote();
  const std::string json = why_json(view, "abc").compact();
  EXPECT_THAT(json, HasSubstr(R"("root_cause":{"id":"dcap.quote.version")"));
  EXPECT_THAT(json, HasSubstr(R"("source":{"document":"evidence","field":"quote header, bytes 0 to 1: version"})"));
  EXPECT_THAT(json, HasSubstr(R"("appraisal":"abc")"));
  CheckRecorder good;
  good.pass(CheckId::evidence_size);
  const auto accepted = verdict_of(good, attestation::Outcome::accepted);
  const auto accepted_view = read_verdict(attestation::to_json(accepted)).value();
  EXPECT_THAT(why_json(accepted_view, "").compact(), HasSubstr(R"("root_cause":null)"));
}

TEST(Explain, ACheckOfAnotherCatalogueStandsByItself) {
  auto view = broken_quote();
  view.catalogue = "2031.4";
  view.checks.push_back({.id = "future.check", .status = "fail", .expected = "x", .actual = "y"});
  view.checks.push_back({.id = "future.other", .status = "skipped", .detail = "needs future.check"});
  // A parent that stands behind its child would make a circle.
  view.checks.insert(view.checks.begin(), {.id = "future.first", .status = "skipped", .detail = "needs future.check"});
  const Explanation why = explain(view);
  ASSERT_EQ(why.causes.size(), 3u);
  EXPECT_EQ(why.causes[2].skipped.size(), 1u);
  EXPECT_EQ(why.not_done.size(), 2u);
  EXPECT_THAT(why_text(view, {}), HasSubstr("judged by catalogue 2031.4"));
}

TEST(CheckSources, EveryCheckOfTheCatalogueHasItsPlace) {
  for (const auto& check : attestation::catalogue()) EXPECT_TRUE(source_known(check.id)) << check.id;
  EXPECT_FALSE(source_known("future.check"));
  EXPECT_EQ(source_of("dcap.quote.version").field, "quote header, bytes 0 to 1: version");
  EXPECT_EQ(source_of("dcap.quote.something_new").document, "evidence");
}

TEST(VerdictView, OnlyAVerdictIsRead) {
  for (const char* text : {"", "[]", "{}", R"({"catalogue":"x"})", R"({"checks":[{}]})"}) {
    const auto read = read_verdict(text);
    ASSERT_FALSE(read.ok()) << text;
  }
  std::string many = R"({"format":1,"catalogue":"1","verdict":"refused","evidence":"false","platform":"x",)"
                     R"("simulated":false,"at":"","valid_until":null,"evidence_sha256":"","policy_sha256":null,)"
                     R"("anchors_sha256":"","collateral_stale_seconds":null,"root_cause":null,"tcb":null,"claims":{},)"
                     R"("collateral":[],"checks":[0)";
  for (int i = 0; i < 2000; ++i) many += ",0";
  EXPECT_THAT(read_verdict(many + "]}").error().text(), HasSubstr("at most 1024"));
}

TEST(Diff, ChangesStandUnderWhatTheyAreAbout) {
  const auto before = broken_quote();
  auto after = before;
  EXPECT_TRUE(diff(before, after).empty());
  EXPECT_EQ(diff_text({}, false), "no difference\n");
  after.claims[0].second = "cc";
  after.claims[1].second = "dd";
  after.claims.emplace_back("fmspc", "00");
  after.tcb = {{"status", "OutOfDate"}};
  after.policy_sha256 = "ee";
  after.collateral.push_back({"tcb_info", "ff", "then", "later"});
  after.checks[2].status = "pass";
  const auto changes = diff(before, after);
  const auto component = [&](std::string_view what) -> std::string {
    for (const Change& change : changes) {
      if (change.what == what) return std::string{to_text(change.component)};
    }
    return "absent";
  };
  EXPECT_EQ(component("mrtd"), "workload");
  EXPECT_EQ(component("report_data"), "request");
  EXPECT_EQ(component("fmspc"), "platform");
  EXPECT_EQ(component("tcb.status"), "platform");
  EXPECT_EQ(component("policy_sha256"), "policy");
  EXPECT_EQ(component("tcb_info"), "collateral");
  EXPECT_EQ(component("dcap.quote.version"), "checks");
  EXPECT_EQ(changes.size(), 7u);
  EXPECT_THAT(diff_text(changes, false), HasSubstr("workload\n  mrtd\n    - aa\n    + cc\n"));
  EXPECT_THAT(diff_json(changes).compact(), HasSubstr(R"("same":false,"changes":{"platform":[)"));
}

}  // namespace
}  // namespace attestry::appraisal
