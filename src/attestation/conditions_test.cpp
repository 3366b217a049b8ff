#include "attestation/conditions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attestation/policy.h"
#include "base/json.h"

namespace attestry::attestation {
namespace {

using ::testing::HasSubstr;

Verdict td() {
  Verdict verdict;
  verdict.evidence = Genuineness::genuine;
  verdict.platform = Platform::tdx;
  verdict.tcb = TcbSummary{
      .status = "UpToDate", .advisory_ids = {"INTEL-SA-1", "INTEL-SA-2"}, .date = base::UtcTime{1'700'000'000}};
  verdict.at = base::UtcTime{1'750'000'000};
  verdict.claims = {{.name = "mrtd", .value = std::string(96, 'a')},
                    {.name = "td_attributes", .value = "0000001000000040"},
                    {.name = "mrservicetd", .value = std::string(96, '0')},
                    {.name = "pck_pcesvn", .value = "13", .is_number = true},
                    {.name = "sgx_type", .value = "Scalable"},
                    {.name = "dynamic_platform", .value = "true"},
                    {.name = "fmspc", .value = "90c06f000000"}};
  return verdict;
}

Condition parsed(const std::string& json) {
  const auto document = base::JsonDocument::parse(json);
  EXPECT_TRUE(document.ok()) << json;
  auto condition = Condition::parse((*document)->root());
  EXPECT_TRUE(condition.ok()) << json << ": " << (condition.ok() ? "" : condition.error().text());
  return *std::move(condition);
}

bool holds(const std::string& json) {
  const Verdict verdict = td();
  return parsed(json).holds(ClaimIndex(verdict));
}

std::string refusal(const std::string& json) {
  const auto document = base::JsonDocument::parse(json);
  const auto condition = Condition::parse((*document)->root());
  return condition.ok() ? "accepted" : condition.error().text();
}

TEST(Conditions, EachOperatorSaysYesAndNo) {
  EXPECT_TRUE(holds(R"({"claim":"fmspc","equals":"90C06F000000"})"));
  EXPECT_FALSE(holds(R"({"claim":"fmspc","equals":"90c06f000001"})"));
  EXPECT_TRUE(holds(R"({"claim":"fmspc","one_of":["ffffffffffff","90c06f000000","000000000000"]})"));
  EXPECT_FALSE(holds(R"({"claim":"fmspc","one_of":["ffffffffffff","000000000000"]})"));
  EXPECT_TRUE(holds(R"({"claim":"pck_pcesvn","at_least":13})"));
  EXPECT_FALSE(holds(R"({"claim":"pck_pcesvn","at_least":14})"));
  EXPECT_TRUE(holds(R"({"claim":"pck_pcesvn","at_most":13})"));
  EXPECT_FALSE(holds(R"({"claim":"pck_pcesvn","at_most":12})"));
  EXPECT_TRUE(holds(R"({"claim":"td_attributes","bits_set":"0000001000000000"})"));
  EXPECT_FALSE(holds(R"({"claim":"td_attributes","bits_set":"0000001100000000"})"));
  EXPECT_TRUE(holds(R"({"claim":"td_attributes","bits_clear":"ff000000000000bf"})"));
  EXPECT_FALSE(holds(R"({"claim":"td_attributes","bits_clear":"0000000000000040"})"));
  EXPECT_TRUE(holds(R"({"claim":"fmspc","prefix":"90C0"})"));
  EXPECT_FALSE(holds(R"({"claim":"fmspc","prefix":"90c1"})"));
  EXPECT_TRUE(holds(R"({"claim":"sgx_type","equals":"Scalable"})"));
  EXPECT_FALSE(holds(R"({"claim":"sgx_type","equals":"scalable"})"));
  EXPECT_TRUE(holds(R"({"claim":"dynamic_platform","equals":true})"));
  EXPECT_FALSE(holds(R"({"claim":"dynamic_platform","equals":false})"));
}

TEST(Conditions, AlternativesNest) {
  const std::string yes = R"({"claim":"pck_pcesvn","at_least":13})", no = R"({"claim":"pck_pcesvn","at_least":14})";
  EXPECT_TRUE(holds(R"({"any_of":[)" + no + "," + yes + "]}"));
  EXPECT_FALSE(holds(R"({"any_of":[)" + no + "," + no + "]}"));
  EXPECT_FALSE(holds(R"({"all_of":[)" + no + "," + yes + "]}"));
  EXPECT_TRUE(holds(R"({"all_of":[)" + yes + R"(,{"any_of":[)" + no + "," + yes + "]}]}"));
}

TEST(Conditions, EveryAlternativeThatFailsIsExplained) {
  const Verdict verdict = td();
  const ClaimIndex claims(verdict);
  EXPECT_EQ(parsed(R"({"claim":"pck_pcesvn","at_least":14})").explain(claims), "");
  EXPECT_EQ(
      parsed(R"({"any_of":[{"claim":"pck_pcesvn","at_least":14},{"all_of":[{"claim":"fmspc","prefix":"90"},)"
             R"({"claim":"isvsvn","at_least":1},{"claim":"sgx_type","equals":"Standard"}]}]})")
          .explain(claims),
      "alternative 1: pck_pcesvn at least 14, found pck_pcesvn 13; alternative 2: (isvsvn at least 1, found isvsvn "
      "absent, sgx_type Standard, found sgx_type Scalable)");
}

TEST(Conditions, WhatTheEvidenceDoesNotSayHoldsNothing) {
  EXPECT_FALSE(holds(R"({"claim":"isvsvn","at_least":0})"));
  EXPECT_FALSE(holds(R"({"claim":"isvsvn","at_most":65535})"));
  EXPECT_FALSE(holds(R"({"claim":"attributes","bits_clear":"00000000000000000000000000000001"})"));
  EXPECT_FALSE(holds(R"({"any_of":[{"claim":"mrenclave","prefix":"0"}]})"));
}

TEST(Conditions, AreReadStrictly) {
  EXPECT_THAT(refusal(R"({"claim":"mrtt","equals":"00"})"), HasSubstr("mrtd"));
  EXPECT_THAT(refusal(R"({"claim":"mrtd","equal":"00"})"), HasSubstr("equals"));
  EXPECT_THAT(refusal(R"({"claim":"mrtd"})"), HasSubstr("exactly one"));
  EXPECT_THAT(refusal(R"({"claim":"pck_pcesvn","at_least":1,"at_most":2})"), HasSubstr("exactly one"));
  EXPECT_THAT(refusal(R"({"claim":"mrtd","equals":"aa"})"), HasSubstr("96 hex digits"));
  EXPECT_THAT(refusal(R"({"claim":"mrtd","at_least":3})"), HasSubstr("number"));
  EXPECT_THAT(refusal(R"({"claim":"pck_pcesvn","at_least":-1})"), HasSubstr("at_least"));
  EXPECT_THAT(refusal(R"({"claim":"pck_pcesvn","at_least":"3"})"), HasSubstr("number"));
  EXPECT_THAT(refusal(R"({"claim":"pck_pcesvn","bits_set":"03"})"), HasSubstr("bytes"));
  EXPECT_THAT(refusal(R"({"claim":"td_attributes","bits_set":"03"})"), HasSubstr("16 hex digits"));
  EXPECT_THAT(refusal(R"({"claim":"td_attributes","bits_set":"0000000000000000"})"), HasSubstr("at least one bit"));
  EXPECT_THAT(refusal(R"({"claim":"fmspc","in_list":"Not A Name"})"), HasSubstr("in_list"));
  EXPECT_THAT(refusal(R"({"claim":"fmspc","prefix":""})"), HasSubstr("prefix"));
  EXPECT_THAT(refusal(R"({"claim":"fmspc","prefix":"xy"})"), HasSubstr("prefix"));
  EXPECT_THAT(refusal(R"({"claim":"dynamic_platform","equals":"true"})"), HasSubstr("boolean"));
  // An empty list is never "anything".
  EXPECT_THAT(refusal(R"({"claim":"fmspc","one_of":[]})"), HasSubstr("1 to 4096"));
  EXPECT_THAT(refusal(R"({"any_of":[]})"), HasSubstr("1 to 256"));
  EXPECT_THAT(
      refusal(R"({"any_of":[{"any_of":[{"any_of":[{"any_of":[{"any_of":[{"claim":"fmspc","prefix":"9"}]}]}]}]}]})"),
      HasSubstr("too deep"));
  EXPECT_THAT(refusal(R"({"any_of":[{"claim":"fmspc","prefix":"9"}],"claim":"fmspc"})"), HasSubstr("claim"));
}

/// The ids of the failed policy checks with what they found.
std::vector<std::string> failures(const std::string& policy_json, const Verdict& given = td()) {
  const auto policy = Policy::parse(policy_json);
  if (!policy.ok()) return {policy.error().text()};
  Verdict verdict = given;
  evaluate(*policy, verdict);
  std::vector<std::string> out;
  for (const CheckResult& result : verdict.checks) {
    if (result.status == CheckStatus::fail) out.push_back(std::string{info(result.check).id} + " " + result.actual);
  }
  return out;
}

TEST(PolicyConditions, EveryOneThatFailsIsNamed) {
  using ::testing::ElementsAre;
  EXPECT_THAT(failures(R"({"format":1,"conditions":[{"claim":"pck_pcesvn","at_least":1}]})"), ElementsAre());
  EXPECT_THAT(
      failures(R"({"format":1,"conditions":[{"claim":"pck_pcesvn","at_least":20},{"claim":"isvsvn","at_least":1},)"
               R"({"claim":"fmspc","prefix":"90"}]})"),
      ElementsAre("policy.condition pck_pcesvn 13", "policy.condition isvsvn absent"));
  EXPECT_THAT(failures(R"({"format":1,"conditions":[]})"), ElementsAre(HasSubstr("1 to 1024")));
}

TEST(PolicyTcb, AnAdvisoryIsWaivedUntilItsDate) {
  const std::string waive =
      R"({"format":1,"tcb":{"allow_advisories":["INTEL-SA-1"],"waive_advisories":[{"id":"INTEL-SA-2",)"
      R"("until":"2025-06-15T15:06:40Z","reason":"fixed by the next maintenance"}]}})";
  Verdict verdict = td();
  EXPECT_TRUE(failures(waive, verdict).empty());
  Verdict others = verdict;
  others.tcb->advisory_ids.push_back("INTEL-SA-3");
  EXPECT_THAT(failures(waive, others), ::testing::ElementsAre(HasSubstr("policy.tcb.advisories")));
  verdict.at.seconds += 1;
  EXPECT_THAT(failures(waive, verdict), ::testing::ElementsAre(HasSubstr("policy.tcb.advisories")));
  EXPECT_THAT(failures(R"({"format":1,"tcb":{"waive_advisories":[]}})"),
              ::testing::ElementsAre(HasSubstr("allow_advisories")));
  EXPECT_THAT(
      failures(
          R"({"format":1,"tcb":{"allow_advisories":[],"waive_advisories":[{"id":"x","until":"2025-06-15T15:06:40Z"}]}})"),
      ::testing::ElementsAre(HasSubstr("reason")));
}

TEST(PolicyTcb, TheDateOfTheLevelHasALowerBound) {
  EXPECT_TRUE(failures(R"({"format":1,"tcb":{"min_date":"2023-11-14T22:13:20Z"}})").empty());
  EXPECT_THAT(failures(R"({"format":1,"tcb":{"min_date":"2023-11-14T22:13:21Z"}})"),
              ::testing::ElementsAre("policy.tcb.date 2023-11-14T22:13:20Z"));
  Verdict without = td();
  without.tcb->date.reset();
  EXPECT_THAT(failures(R"({"format":1,"tcb":{"min_date":"2000-01-01T00:00:00Z"}})", without),
              ::testing::ElementsAre("policy.tcb.date none"));
}

TEST(PolicyConditions, EvidenceWithoutAnyClaimMeetsNone) {
  Verdict empty = td();
  empty.claims.clear();
  EXPECT_THAT(failures(R"({"format":1,"conditions":[{"claim":"pck_pcesvn","at_least":0}]})", empty),
              ::testing::Contains("policy.condition absent"));
}

TEST(PolicyConditions, WhatIsOnlyALogsWordNeedsItsRegister) {
  const std::string line = R"({"claim":"eventlog.command_line","equals":"ro"})";
  const std::string rtmr2 = R"({"claim":"rtmr2","equals":")" + std::string(96, 'b') + R"("})";
  const std::string prefix = R"({"claim":"rtmr2","prefix":"b"})";
  Verdict verdict = td();
  verdict.claims.push_back({.name = "rtmr2", .value = std::string(96, 'b')});
  verdict.claims.push_back({.name = "eventlog.command_line", .value = "ro", .log_word = true});
  const auto with = [&](const std::string& conditions) {
    return failures(R"({"format":1,"conditions":[)" + conditions + "]}", verdict);
  };
  EXPECT_THAT(with(line), ::testing::ElementsAre(HasSubstr("only the log's word")));
  EXPECT_THAT(with(line + "," + prefix), ::testing::ElementsAre(HasSubstr("only the log's word")));
  EXPECT_THAT(with(line + "," + rtmr2), ::testing::IsEmpty());
  EXPECT_THAT(with(line + R"(,{"any_of":[)" + rtmr2 + R"(,{"claim":"fmspc","prefix":"9"}]})"),
              ::testing::ElementsAre(HasSubstr("only the log's word")));
}

TEST(Conditions, AValueThatIsShorterThanTheMaskHasNotItsBits) {
  Verdict verdict = td();
  const Condition condition = parsed(R"({"claim":"user_data","bits_clear":"000001"})");
  verdict.claims.push_back({.name = "user_data", .value = "ffff"});
  EXPECT_FALSE(condition.holds(ClaimIndex(verdict)));
  verdict.claims.back().value = "fffffe";
  EXPECT_TRUE(condition.holds(ClaimIndex(verdict)));
}

TEST(PolicyConditions, CutsLongNamesBetweenCharacters) {
  const auto name = parse_claim_name(std::string(119, 'a') + "\xc3\xa9\xc3\xa9");
  ASSERT_FALSE(name.ok());
  EXPECT_EQ(name.error().found, std::string(119, 'a') + "…");
}

TEST(ClaimDictionary, HasEveryClaimThatAPolicyCanName) {
  for (const ClaimInfo& claim : claim_dictionary()) {
    EXPECT_EQ(find_claim(claim.name), &claim);
    EXPECT_FALSE(claim.meaning.empty()) << claim.name;
    EXPECT_TRUE(claim.type == ClaimType::bytes || claim.size == 0) << claim.name;
  }
  EXPECT_EQ(find_claim(""), nullptr);
  EXPECT_EQ(find_claim("mrtd "), nullptr);
}

}  // namespace
}  // namespace attestry::attestation
