#include "attestation/signed_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attestation/policy.h"
#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::attestation {
namespace {

using ::testing::HasSubstr;

constexpr base::UtcTime kNow{1'790'000'000};  // 2026-09-21
const std::string kHere =
    "0011223344556677001122334455667700112233445566770011223344556677"
    "0011223344556677001122334455667700112233445566770011223344556677";
const std::string kThere(128, 'a');

crypto::Ed25519PrivateKey key_named(std::string_view name) {
  return *crypto::Ed25519PrivateKey::from_seed(crypto::sha256(base::as_bytes(name)));
}

std::string document(int version, const std::string& chip, const std::string& until = "2027-01-01T00:00:00Z") {
  return R"({"format":1,"name":"berlin","version":)" + std::to_string(version) + R"(,"not_after":")" + until +
         R"(","claims":{"chip_id":[")" + chip + R"("],"ppid":["00112233445566770011223344556677"]}})";
}

SignedList signed_by(const std::vector<std::string_view>& names, const std::string& payload) {
  crypto::Envelope envelope{.payload_type = std::string{kSignedListPayloadType}, .payload = payload, .signatures = {}};
  for (const std::string_view name : names) envelope.sign(key_named(name));
  auto list = SignedList::from_envelope(std::move(envelope));
  EXPECT_TRUE(list.ok()) << list.error().text();
  return *std::move(list);
}

Policy policy(int threshold = 1) {
  const auto hex = [](std::string_view name) { return base::hex(key_named(name).public_key()); };
  const auto parsed = Policy::parse(R"({"format":1,"lists":[{"name":"berlin","keys":[")" + hex("ann") + R"(",")" +
                                    hex("bob") + R"("],"threshold":)" + std::to_string(threshold) +
                                    R"(}],"conditions":[{"claim":"chip_id","in_list":"berlin"}]})");
  EXPECT_TRUE(parsed.ok()) << parsed.error().text();
  return *parsed;
}

Verdict guest(const std::string& chip) {
  Verdict v;
  v.evidence = Genuineness::genuine;
  v.platform = Platform::snp;
  v.at = kNow;
  v.checks = {{.check = CheckId::snp_crl_revoked, .status = CheckStatus::pass}};
  v.claims = {{.name = "chip_id", .value = chip},
              {.name = "guest_policy", .value = "0000030000000000"},
              {.name = "vmpl", .value = "0", .is_number = true}};
  return v;
}

/// "accepted", or outcome and root cause.
std::string judged(const Policy& policy, const std::vector<SignedList>& lists, const std::string& chip = kHere) {
  Verdict v = guest(chip);
  evaluate(policy, v, {}, {.lists = lists});
  if (v.outcome == Outcome::accepted) return "accepted";
  const CheckResult* cause = v.root_cause();
  return std::string{to_text(v.outcome)} + ": " +
         (cause == nullptr ? "" : std::string{info(cause->check).id} + " " + cause->actual);
}

TEST(SignedList, LetsInWhatItNames) {
  EXPECT_EQ(judged(policy(), {signed_by({"ann"}, document(1, kHere))}), "accepted");
  EXPECT_EQ(judged(policy(), {signed_by({"ann"}, document(1, kThere))}),
            "refused: policy.condition chip_id " + kHere.substr(0, 120) + "…");
}

TEST(SignedList, WhatIsNotGivenLeavesTheVerdictUndecided) {
  // Without the list nobody knows.
  EXPECT_EQ(judged(policy(), {}), "undecided: policy.list not given");
  Verdict v = guest(kHere);
  evaluate(policy(), v);
  const auto found = std::ranges::find(v.checks, CheckId::policy_list, &CheckResult::check);
  ASSERT_NE(found, v.checks.end());
  EXPECT_EQ(found->actual, "not given");
  EXPECT_TRUE(found->undecided);
}

TEST(SignedList, OnlySignaturesOfThePolicysKeysCount) {
  EXPECT_THAT(judged(policy(), {signed_by({"eve"}, document(1, kHere))}), HasSubstr("policy.list signed by 0 of them"));
  EXPECT_THAT(judged(policy(2), {signed_by({"ann"}, document(1, kHere))}), HasSubstr("signed by 1 of them"));
  EXPECT_THAT(judged(policy(2), {signed_by({"ann", "ann"}, document(1, kHere))}), HasSubstr("signed by 1 of them"));
  EXPECT_EQ(judged(policy(2), {signed_by({"bob", "ann"}, document(1, kHere))}), "accepted");
}

TEST(SignedList, AnAlteredListHasNoSignature) {
  crypto::Envelope envelope = signed_by({"ann"}, document(1, kThere)).envelope();
  envelope.payload = document(1, kHere);
  EXPECT_THAT(judged(policy(), {*SignedList::from_envelope(envelope)}), HasSubstr("signed by 0 of them"));
}

TEST(SignedList, ItsDatesBoundIt) {
  EXPECT_THAT(judged(policy(), {signed_by({"ann"}, document(1, kHere, "2026-01-01T00:00:00Z"))}),
              HasSubstr("in force until 2026-01-01T00:00:00Z"));
  std::string early = document(1, kHere);
  early.insert(1, R"("not_before":"2026-12-01T00:00:00Z",)");
  EXPECT_THAT(judged(policy(), {signed_by({"ann"}, early)}), HasSubstr("in force from 2026-12-01T00:00:00Z"));
}

TEST(SignedList, OfSeveralTheNewestThatMayBeBelievedCounts) {
  const auto old = signed_by({"ann"}, document(1, kHere));
  const auto other = signed_by({"ann"}, document(2, kThere));
  const auto forged = signed_by({"eve"}, document(3, kHere));
  EXPECT_THAT(judged(policy(), {old, other, forged}), HasSubstr("policy.condition"));
  EXPECT_EQ(judged(policy(), {other, old, forged}, kThere), "accepted");
}

TEST(SignedList, IsReadStrictly) {
  EXPECT_TRUE(SignedList::check_document(document(1, kHere)).ok());
  const auto refusal = [](std::string text, std::string_view what, std::string_view by) {
    const auto at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    text.replace(at, what.size(), by);
    const auto status = SignedList::check_document(text);
    return status.ok() ? "accepted" : status.error().text();
  };
  const std::string good = document(1, kHere);
  EXPECT_THAT(refusal(good, "berlin", "Berlin"), HasSubstr("name"));
  EXPECT_THAT(refusal(good, R"("version":1)", R"("version":0)"), HasSubstr("version"));
  EXPECT_THAT(refusal(good, R"("not_after")", R"("not_afer")"), HasSubstr("not_after"));
  EXPECT_THAT(refusal(good, "chip_id", "chip_ids"), HasSubstr("chip_id"));
  EXPECT_THAT(refusal(good, kHere, "00"), HasSubstr("128 hex digits"));
  EXPECT_THAT(refusal(good, R"(["00112233445566770011223344556677"])", "[]"), HasSubstr("1 to 65536"));
  EXPECT_THAT(refusal(good, R"("format":1)", R"("format":2)"), HasSubstr("format"));
  auto envelope = signed_by({"ann"}, good).envelope();
  envelope.payload_type = "application/vnd.attestry.approval.v1+json";
  EXPECT_FALSE(SignedList::from_envelope(envelope).ok());
}

TEST(SignedList, TheWorkOfAnEvaluationIsBounded) {
  auto envelope = signed_by({"ann"}, document(1, kHere)).envelope();
  envelope.signatures.resize(16, envelope.signatures.front());
  EXPECT_TRUE(SignedList::from_envelope(envelope).ok());
  envelope.signatures.resize(17, envelope.signatures.front());
  EXPECT_FALSE(SignedList::from_envelope(envelope).ok());
  const auto with_keys = [](std::size_t count) {
    std::string keys;
    for (std::size_t i = 0; i < count; ++i) keys += (i == 0 ? "\"" : ",\"") + std::string(64, '1') + "\"";
    return Policy::parse(R"({"format":1,"lists":[{"name":"berlin","keys":[)" + keys + "]}]}").ok();
  };
  EXPECT_TRUE(with_keys(16));
  EXPECT_FALSE(with_keys(17));
}

TEST(SignedList, AConditionNamesAListOfThePolicy) {
  const auto unknown = Policy::parse(R"({"format":1,"conditions":[{"claim":"chip_id","in_list":"berlin"}]})");
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(unknown.error().text(), HasSubstr("no such list"));
  const std::string key(64, '1');
  const std::vector<std::string> wrong{
      "[]",
      R"([{"name":"berlin","keys":[]}])",
      R"([{"name":"berlin"}])",
      R"([{"name":"berlin","keys":[")" + key + R"("],"threshold":2}])",
      R"([{"name":"berlin","keys":[")" + key + R"("]},{"name":"berlin","keys":[")" + key + R"("]}])",
      R"([{"name":"berlin","keys":["11"]}])"};
  for (const std::string& lists : wrong) {
    EXPECT_FALSE(Policy::parse(R"({"format":1,"lists":)" + lists + "}").ok()) << lists;
  }
}

}  // namespace
}  // namespace attestry::attestation
