#include "attestation/policy_lint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attestation/policy.h"

namespace attestry::attestation {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr base::UtcTime kNow{1'790'000'000};  // 2026-09-21
const std::string kMrtd(96, 'a');

/// "error path: what", one for each finding.
std::vector<std::string> lint(const std::string& json) {
  std::vector<std::string> out;
  for (const PolicyFinding& f : lint_policy(json, kNow)) {
    out.push_back(std::string{to_text(f.severity)} + " " + f.path + ": " + f.error.what + "; expected " +
                  f.error.expected + "; found " + f.error.found + ". " + f.error.remedy);
  }
  return out;
}

std::vector<std::string> with_conditions(const std::string& conditions, const std::string& more = "") {
  return lint(R"({"format":1,)" + more + R"("conditions":[)" + conditions + "]}");
}

TEST(PolicyLint, BuiltInPoliciesAreSound) {
  for (const Policy* policy : {&Policy::genuine(), &Policy::standard(), &Policy::strict()}) {
    EXPECT_THAT(lint(policy->document()), IsEmpty()) << policy->name();
  }
}

TEST(PolicyLint, NamesEveryMistakeWithItsPlace) {
  const auto found = lint(
      R"({"format":2,"platfroms":["tdx"],"debug":1,"tcb":{"accept":["UpToDate","Revoked"],"acept":[]},)"
      R"("conditions":[{"claim":"mrtt","equals":"00"},{"any_of":[{"claim":"mrtd","prefix":"a"},{"claim":"mrtd","at_least":1},)"
      R"({"claim":"fmspcc","prefix":"9"}]}],"identities":[{"claims":{"mrtd":"aa","rtmr9":"bb"}}]})");
  EXPECT_THAT(found, Contains(AllOf(HasSubstr("error format:"))));
  EXPECT_THAT(found, Contains(AllOf(HasSubstr("platfroms"), HasSubstr("Did you mean platforms?"))));
  EXPECT_THAT(found, Contains(HasSubstr("error debug:")));
  EXPECT_THAT(found, Contains(HasSubstr("error tcb.accept[1]:")));
  EXPECT_THAT(found, Contains(AllOf(HasSubstr("error tcb:"), HasSubstr("Did you mean accept?"))));
  EXPECT_THAT(found, Contains(AllOf(HasSubstr("error conditions[0]:"), HasSubstr("Did you mean mrtd?"))));
  EXPECT_THAT(found, Contains(HasSubstr("error conditions[1].any_of[1]:")));
  EXPECT_THAT(found, Contains(AllOf(HasSubstr("error conditions[1].any_of[2]:"), HasSubstr("Did you mean fmspc?"))));
  EXPECT_THAT(found, Contains(HasSubstr("error identities[0].claims.mrtd:")));
  EXPECT_THAT(found, Contains(HasSubstr("error identities[0].claims: unknown claim")));
  EXPECT_EQ(found.size(), 10u) << ::testing::PrintToString(found);
}

TEST(PolicyLint, TheWordOfAnEventLogNeedsItsRegister) {
  const std::string line = R"({"claim":"eventlog.command_line","equals":"ro"})";
  const std::string rtmr2 = R"({"claim":"rtmr2","equals":")" + kMrtd + R"("})";
  EXPECT_THAT(with_conditions(line), ElementsAre(AllOf(HasSubstr("error conditions[0]:"), HasSubstr("log's word"),
                                                       HasSubstr("trust_log_labels"))));
  EXPECT_THAT(with_conditions(line + "," + rtmr2), IsEmpty());
  EXPECT_THAT(with_conditions(R"({"any_of":[{"all_of":[)" + line + "," + rtmr2 + "]}," + line + "]}"),
              ElementsAre(HasSubstr("error conditions[0].any_of[1]:")));
  EXPECT_THAT(with_conditions(line, R"("require":{"event_log":{"trust_log_labels":true}},)"), IsEmpty());
  EXPECT_THAT(with_conditions(R"({"claim":"eventlog.kernel","equals":")" + kMrtd + R"("})"),
              ElementsAre(HasSubstr("warning conditions[0]:")));
  const auto identity = [](const std::string& more) {
    return lint(R"({"format":1,"identities":[{"claims":{"mrtd":")" + kMrtd + R"(","eventlog.initrd":")" + kMrtd + "\"" +
                more + "}}]}");
  };
  EXPECT_THAT(identity(""), ElementsAre(HasSubstr("error identities[0].claims.eventlog.initrd:")));
  EXPECT_THAT(identity(R"(,"rtmr2":")" + kMrtd + "\""), IsEmpty());
}

TEST(PolicyLint, WhatParsesIsExactlyWhatHasNoMistakeOfTheParser) {
  for (const std::string_view json : {"", "[]", "{}", R"({"format":1,"format":1})", R"({"format":1,"vmpl":[4]})"}) {
    EXPECT_FALSE(is_sound(lint_policy(json, kNow))) << json;
    EXPECT_FALSE(Policy::parse(json).ok()) << json;
  }
}

TEST(PolicyLint, ConditionsOnOneClaimMustNotContradictEachOther) {
  const auto pair = [](std::string_view a, std::string_view b) {
    return with_conditions(R"({"claim":)" + std::string{a} + R"(},{"claim":)" + std::string{b} + "}");
  };
  const auto clash = ElementsAre(AllOf(HasSubstr("error conditions[1]: contradicts"), HasSubstr("conditions[0]")));
  EXPECT_THAT(pair(R"("pck_pcesvn","equals":3)", R"("pck_pcesvn","equals":4)"), clash);
  EXPECT_THAT(pair(R"("pck_pcesvn","one_of":[3,5])", R"("pck_pcesvn","one_of":[4,6])"), clash);
  EXPECT_THAT(pair(R"("pck_pcesvn","equals":3)", R"("pck_pcesvn","at_least":4)"), clash);
  EXPECT_THAT(pair(R"("pck_pcesvn","at_most":3)", R"("pck_pcesvn","at_least":4)"), clash);
  EXPECT_THAT(pair(R"("fmspc","prefix":"90")", R"("fmspc","equals":"80c06f000000")"), clash);
  EXPECT_THAT(pair(R"("fmspc","prefix":"90")", R"("fmspc","prefix":"91c0")"), clash);
  EXPECT_THAT(
      pair(R"("td_attributes","bits_set":"0000001000000000")", R"("td_attributes","bits_clear":"0000003000000000")"),
      clash);
  EXPECT_THAT(
      pair(R"("td_attributes","bits_set":"0000001000000000")", R"("td_attributes","equals":"0000000000000000")"),
      clash);
  EXPECT_THAT(pair(R"("td_attributes","bits_clear":"ff00000000000000")", R"("td_attributes","prefix":"01")"), clash);
  EXPECT_THAT(pair(R"("td_attributes","prefix":"01")", R"("td_attributes","bits_clear":"ff00000000000000")"), clash);

  EXPECT_THAT(pair(R"("pck_pcesvn","at_most":4)", R"("pck_pcesvn","at_least":4)"), IsEmpty());
  EXPECT_THAT(pair(R"("fmspc","prefix":"90")", R"("fmspc","prefix":"90c0")"), IsEmpty());
  EXPECT_THAT(pair(R"("pck_pcesvn","one_of":[3,5])", R"("pck_pcesvn","at_least":4)"), IsEmpty());
  EXPECT_THAT(
      pair(R"("td_attributes","bits_set":"0000001000000000")", R"("td_attributes","bits_clear":"0000002000000000")"),
      IsEmpty());
}

TEST(PolicyLint, AlternativesMayDifferButNotContradictThemselves) {
  EXPECT_THAT(with_conditions(R"({"any_of":[{"claim":"pck_pcesvn","equals":3},{"claim":"pck_pcesvn","equals":4}]})"),
              IsEmpty());
  EXPECT_THAT(
      with_conditions(R"({"any_of":[{"claim":"pck_pcesvn","equals":3},)"
                      R"({"all_of":[{"claim":"pck_pcesvn","at_least":5},{"claim":"pck_pcesvn","at_most":4}]}]})"),
      ElementsAre(HasSubstr("error conditions[0].any_of[1].all_of[1]: contradicts")));
  EXPECT_THAT(with_conditions(R"({"all_of":[{"claim":"pck_pcesvn","at_least":5}]},{"claim":"pck_pcesvn","at_most":4})"),
              ElementsAre(HasSubstr("error conditions[1]: contradicts")));
}

TEST(PolicyLint, ClaimsOfOtherPlatformsThanTheListedOnes) {
  EXPECT_THAT(with_conditions(R"({"claim":"mrenclave","prefix":"a"})", R"("platforms":["tdx"],)"),
              Contains(AllOf(HasSubstr("error conditions[0]:"), HasSubstr("mrenclave"))));
  EXPECT_THAT(with_conditions(R"({"claim":"fmspc","prefix":"9"})", R"("platforms":["tdx"],)"), IsEmpty());
  EXPECT_THAT(with_conditions(R"({"claim":"mrtd","prefix":"a"})", R"("platforms":["tdx","snp"],)"),
              ElementsAre(HasSubstr("warning conditions: some platforms")));
  EXPECT_THAT(with_conditions(R"({"claim":"mrtd","prefix":"a"},{"claim":"vmpl","equals":0})"),
              ElementsAre(HasSubstr("error conditions: no evidence can meet all")));
  EXPECT_THAT(with_conditions(R"({"any_of":[{"claim":"mrtd","prefix":"a"},{"claim":"vmpl","equals":0}]})"), IsEmpty());
  EXPECT_THAT(with_conditions(R"({"any_of":[{"claim":"fmspc","prefix":"9"},{"all_of":[{"claim":"mrtd","prefix":"a"},)"
                              R"({"claim":"vmpl","equals":0}]}]})"),
              ElementsAre(HasSubstr("error conditions[0].any_of[1]: no evidence can meet")));
}

TEST(PolicyLint, IdentitiesThatNothingCanMatch) {
  EXPECT_THAT(lint(R"({"format":1,"identities":[]})"), ElementsAre(HasSubstr("error identities: an empty list")));
  EXPECT_THAT(
      lint(R"({"format":1,"platforms":["snp"],"identities":[{"name":"web","claims":{"mrtd":")" + kMrtd + R"("}}]})"),
      ElementsAre(HasSubstr("error identities[0]: no evidence can match")));
  EXPECT_THAT(lint(R"({"format":1,"identities":[{"name":"web","claims":{"mrtd":")" + kMrtd +
                   R"("}}],"conditions":[{"claim":"mrtd","prefix":"b"}]})"),
              ElementsAre(HasSubstr("error identities[0].claims.mrtd: contradicts a condition")));
  const std::string twice = R"({"claims":{"mrtd":")" + kMrtd + R"("}})";
  EXPECT_THAT(lint(R"({"format":1,"identities":[)" + twice + "," + twice + "]}"),
              ElementsAre(HasSubstr("warning identities[1]: the same identity twice")));
}

TEST(PolicyLint, WaiversThatArePastAndDatesThatLieAhead) {
  const auto tcb = [](const std::string& members) { return lint(R"({"format":1,"tcb":{)" + members + "}}"); };
  const std::string waiver = R"([{"id":"INTEL-SA-1","until":"2026-09-01T00:00:00Z","reason":"maintenance"}])";
  EXPECT_THAT(tcb(R"("allow_advisories":[],"waive_advisories":)" + waiver),
              ElementsAre(AllOf(HasSubstr("error tcb.waive_advisories[0]: the waiver of INTEL-SA-1 is past"))));
  EXPECT_THAT(tcb(R"("waive_advisories":)" + waiver), Contains(HasSubstr("allow_advisories beside it")));
  EXPECT_THAT(tcb(R"("allow_advisories":["INTEL-SA-1"],"waive_advisories":)" + waiver),
              Contains(HasSubstr("warning tcb.waive_advisories[0]: the advisory is allowed")));
  const std::string last_second = R"([{"id":"INTEL-SA-1","until":")" + base::to_rfc3339(kNow) + R"(","reason":"x"}])";
  EXPECT_THAT(tcb(R"("allow_advisories":[],"waive_advisories":)" + last_second), IsEmpty());
  EXPECT_THAT(tcb(R"("min_date":"2027-01-01T00:00:00Z")"), ElementsAre(HasSubstr("error tcb.min_date: lies ahead")));
}

TEST(PolicyLint, MinimaRefuseWhatTheyDoNotName) {
  const auto minimum = [](const std::string& members, const std::string& more = "") {
    return lint(R"({"format":1,)" + more + R"("tcb":{"minimum":)" + members + "}}");
  };
  EXPECT_THAT(minimum(R"({"tdx":{"pcesvn":13}})"),
              ElementsAre(AllOf(HasSubstr("warning tcb.minimum: evidence of a platform"), HasSubstr("found tdx."))));
  EXPECT_THAT(minimum(R"({"tdx":{"pcesvn":13}})", R"("platforms":["tdx"],)"), IsEmpty());
  EXPECT_THAT(minimum(R"({"tdx":{"pcesvn":13},"sgx":"any"})", R"("platforms":["tdx","sgx"],)"), IsEmpty());
  EXPECT_THAT(
      minimum(R"({"snp":{"milan":{"reported":{"snp":24}},"genoa":"any"}})", R"("platforms":["snp"],)"),
      ElementsAre(HasSubstr("warning tcb.minimum.snp: a processor family that it does not name is refused: turin")));
  EXPECT_THAT(minimum(R"({"tdx":{"components":[0,0]}})", R"("platforms":["tdx"],)"),
              ElementsAre(AllOf(HasSubstr("error tcb.minimum.tdx.components"), HasSubstr("that is not 0"))));
  EXPECT_THAT(
      minimum(R"({"snp":{"genoa":{"reported":{"snp":0}},"milan":"any","turin":"any"}})", R"("platforms":["snp"],)"),
      ElementsAre(AllOf(HasSubstr("error tcb.minimum.snp.genoa.reported"), HasSubstr("that is not 0"))));
}

TEST(PolicyLint, AgesOfEvidenceWithoutTime) {
  EXPECT_THAT(lint(R"({"format":1,"platforms":["tdx"],"max_age_seconds":60})"),
              ElementsAre(HasSubstr("error max_age_seconds")));
  EXPECT_THAT(lint(R"({"format":1,"max_age_seconds":60})"), ElementsAre(HasSubstr("warning max_age_seconds")));
  EXPECT_THAT(lint(R"({"format":1,"platforms":["nitro","maa"],"max_age_seconds":60})"), IsEmpty());
}

TEST(PolicyLint, WhatIsNamedTwice) {
  EXPECT_THAT(lint(R"({"format":1,"platforms":["tdx","tdx"]})"),
              ElementsAre(HasSubstr("warning platforms[1]: named twice")));
  EXPECT_THAT(lint(R"({"format":1,"identities_from":["set:web",{"set":"web","approvals":2}]})"),
              ElementsAre(HasSubstr("warning identities_from[1]: the same set twice")));
}

TEST(PolicyLint, WhatIsNeverUsed) {
  EXPECT_THAT(lint(R"({"format":1,"platforms":["sgx"],"require":{"sept_ve_disable":true}})"),
              ElementsAre(HasSubstr("warning require.sept_ve_disable")));
  EXPECT_THAT(lint(R"({"format":1,"platforms":["sgx"],"tcb":{"minimum":{"tdx":{"pcesvn":1}}}})"),
              ElementsAre(HasSubstr("warning tcb.minimum.tdx"), HasSubstr("error tcb.minimum: names no platform")));
  EXPECT_THAT(lint(R"({"format":1,"lists":[{"name":"berlin","keys":[")" + std::string(64, '1') + R"("]}]})"),
              ElementsAre(HasSubstr("warning lists[0]")));
  EXPECT_THAT(with_conditions(R"({"claim":"fmspc","prefix":"9"},{"claim":"fmspc","prefix":"9"})"),
              ElementsAre(HasSubstr("warning conditions[1]: the same condition twice")));
}

}  // namespace
}  // namespace attestry::attestation
