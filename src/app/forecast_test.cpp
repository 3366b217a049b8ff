// Forecasts against the verifier itself: what is said of a second must be what a judgement of that second says.
#include "appraisal/forecast.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "appraisal/replay.h"
#include "base/json.h"
#include "forge/scenario.h"

namespace attestry::appraisal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr std::int64_t kDay = 86400;
const base::UtcTime kNow = base::from_civil(2026, 6, 15, 12, 0, 0);

class ForecastTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto pki = forge::ForgePki::make(base::as_bytes("forecast"));
    ASSERT_TRUE(pki.ok());
    auto root = attestation::TestRoot::from_certificate(pki->root().der);
    auto made = forge::make_case(
        *pki, {.quote = forge::default_quote(*pki, forge::QuoteKind::tdx_v4), .platform = {}, .at = kNow});
    ASSERT_TRUE(root.ok() && made.ok());
    inputs_ = std::make_unique<AppraisalInputs>(
        AppraisalInputs{.evidence = made->evidence(),
                        .collateral = made->collateral.collateral(),
                        .at = kNow,
                        .anchors = attestation::TrustAnchors::simulated({*std::move(root)}),
                        .policy = attestation::Policy::standard()});
    verifier_ = std::make_unique<attestation::Verifier>(inputs_->anchors);
  }

  Forecast look(base::UtcTime from, std::int64_t days) const {
    const auto made = forecast(*inputs_, *verifier_, from, from + days * kDay);
    EXPECT_TRUE(made.ok()) << made.error().text();
    return made.ok() ? *made : Forecast{};
  }
  attestation::CheckStatus status_at(attestation::CheckId check, base::UtcTime at) const {
    const auto found = verifier_->verify(inputs_->evidence, *inputs_->collateral, at);
    EXPECT_TRUE(found.ok());
    for (const auto& result : judge(*found, *inputs_).verdict.checks) {
      if (result.check == check) return result.status;
    }
    return attestation::CheckStatus::skipped;
  }

  bool accepted_at(base::UtcTime at) const {
    const auto found = verifier_->verify(inputs_->evidence, *inputs_->collateral, at);
    return found.ok() && judge(*found, *inputs_).verdict.outcome == attestation::Outcome::accepted;
  }
  std::string mrtd() const {
    const auto found = verifier_->verify(inputs_->evidence, *inputs_->collateral, kNow);
    const auto* claim = found.ok() ? found->claim("mrtd") : nullptr;
    return claim == nullptr ? std::string{} : claim->value;
  }

  std::unique_ptr<AppraisalInputs> inputs_;
  std::unique_ptr<attestation::Verifier> verifier_;
};

TEST_F(ForecastTest, FindsTheSecondOfEveryEnd) {
  const Forecast all = look(kNow, 60);
  EXPECT_FALSE(all.red_now);
  EXPECT_THAT(all.cause_now, IsEmpty());
  std::vector<std::string> ids;
  for (const Turn& turn : all.turns) {
    ids.emplace_back(info(turn.check).id);
    EXPECT_EQ(turn.remedy, Remedy::collateral) << ids.back();
    EXPECT_THAT(turn.refresh, SizeIs(1)) << ids.back();
    EXPECT_EQ(status_at(turn.check, turn.at - 1), attestation::CheckStatus::pass) << ids.back();
    EXPECT_EQ(status_at(turn.check, turn.at), attestation::CheckStatus::fail) << ids.back();
  }
  EXPECT_THAT(ids, IsSupersetOf(std::vector<std::string>{"dcap.tcb_info.validity", "dcap.qe_identity.validity",
                                                         "dcap.crl.pck.validity"}));
  EXPECT_TRUE(std::ranges::is_sorted(all.turns, {}, &Turn::at));
  ASSERT_FALSE(all.turns.empty());
  EXPECT_TRUE(accepted_at(all.turns.front().at - 1));
  EXPECT_FALSE(accepted_at(all.turns.front().at));
}

TEST_F(ForecastTest, NamesTheDocumentToRefresh) {
  std::map<std::string, std::string> refresh;
  for (const Turn& turn : look(kNow, 60).turns) {
    if (!turn.refresh.empty()) refresh[std::string{info(turn.check).id}] = turn.refresh.front();
  }
  EXPECT_THAT(refresh["dcap.tcb_info.validity"], StartsWith("tcb_info/tdx/"));
  EXPECT_EQ(refresh["dcap.qe_identity.validity"], "qe_identity/tdx");
  EXPECT_THAT(refresh["dcap.crl.pck.validity"], StartsWith("pck_crl/"));
}

TEST_F(ForecastTest, SeesAMeasurementEndBehindCollateralThatEndedBefore) {
  const base::UtcTime end = kNow + 45 * kDay + 1234;
  const auto with = attestation::Policy::parse(
      R"({"format":1,"name":"p","identities":[{"name":"i","claims":{"mrtd":[")" + mrtd() + R"("]}}]})");
  const auto without = attestation::Policy::parse(
      R"({"format":1,"name":"p","identities":[{"name":"i","claims":{"mrtd":[")" + std::string(96, 'a') + R"("]}}]})");
  ASSERT_TRUE(with.ok() && without.ok());
  const auto before = std::make_shared<const Rules>(Rules{.policy = *with, .lists = {}});
  const auto after = std::make_shared<const Rules>(Rules{.policy = *without, .lists = {}});
  const auto made = forecast(*inputs_, *verifier_, kNow, kNow + 60 * kDay,
                             [&](base::UtcTime at) { return at < end ? before : after; });
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_FALSE(made->red_now) << made->cause_now;
  std::vector<std::pair<std::string, base::UtcTime>> policys;
  for (const Turn& turn : made->turns) {
    if (turn.remedy == Remedy::policy) policys.emplace_back(info(turn.check).id, turn.at);
  }
  EXPECT_THAT(policys, ElementsAre(std::pair<std::string, base::UtcTime>{"policy.measurement.allowed", end}));
  // Collateral has run out by then, and only that is said of it: no policy that misses what it said.
  EXPECT_LT(made->turns.front().at, end);
  EXPECT_FALSE(accepted_at(end - 1));
}

TEST_F(ForecastTest, LooksNoFurtherThanItIsAsked) {
  EXPECT_THAT(look(kNow, 20).turns, IsEmpty());
  // Its root's list ends in a year; a forecast is bounded.
  const Forecast bounded = look(kNow, 10'000);
  ASSERT_FALSE(bounded.turns.empty());
  EXPECT_LE(bounded.turns.back().at, kNow + kMaxForecastDays * kDay);
}

TEST_F(ForecastTest, SaysWhatIsRedAlready) {
  const Forecast late = look(kNow + 100 * kDay, 10);
  EXPECT_TRUE(late.red_now);
  EXPECT_FALSE(late.cause_now.empty());
  EXPECT_THAT(late.turns, IsEmpty());
}

TEST_F(ForecastTest, GroupsByDayAndCause) {
  const Forecast one = look(kNow, 60);
  const std::string json = forecast_json({{.workload = "name:a", .appraisal = "11", .platform = "tdx", .forecast = one},
                                          {.workload = "name:b", .appraisal = {}, .platform = "tdx", .forecast = one}},
                                         kNow, kNow + 60 * kDay)
                               .compact();
  const auto document = base::JsonDocument::parse(json);
  ASSERT_TRUE(document.ok()) << json;
  const auto days = (*document)->root().find("days");
  ASSERT_TRUE(days && days->size() >= 1u);
  std::string before;
  for (auto day = days->first(); day; day = day->next()) {
    const auto name = std::string{*day->find("day")->plain_string()};
    EXPECT_LT(before, name);
    before = name;
    for (auto cause = day->find("causes")->first(); cause; cause = cause->next()) {
      EXPECT_EQ(cause->find("workloads")->size(), 2u);
      EXPECT_FALSE(cause->find("what_to_do")->plain_string()->empty());
    }
  }
}

}  // namespace
}  // namespace attestry::appraisal
