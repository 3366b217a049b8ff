#include "collateral/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "collateral/testing/stand_in.h"
#include "collateral/vendors.h"
#include "state/testing/support.h"

namespace attestry::collateral {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::int64_t kDay = 86400;
constexpr base::Deadline kSomeDay{std::chrono::hours(24) * 36500};

class SourceMetrics : public ::testing::Test {
 protected:
  auto get() { return source_.collateral_for(evidence_, clock_.now(), kSomeDay); }
  std::string updated() {
    shown_.update();
    return metrics_.render();
  }

  state::testing::ManualClock clock_{base::from_civil(2026, 6, 15, 12, 0, 0)};
  testing::PcsStandIn service_;
  PcsClient client_{service_, {.base_url = std::string{testing::kStandInHost}}};
  attestation::Verifier verifier_{testing::forged_anchors()};
  Vendors vendors_{&client_, nullptr, nullptr};
  Vault source_{
      &vendors_, verifier_, nullptr, {.slice = std::chrono::milliseconds(1), .background = false, .clock = &clock_}};
  net::Metrics metrics_;
  VaultMetrics shown_{metrics_, verifier_, &source_};
  attestation::Evidence evidence_ = testing::evidence_of("tdx/forged-v4");
};

TEST_F(SourceMetrics, AreThereBeforeAnythingHappened) {
  EXPECT_THAT(metrics_.render(), HasSubstr("attestry_collateral_fetches_total 0\n"));
  EXPECT_THAT(metrics_.render(), HasSubstr("attestry_collateral_refused_total{from=\"service\"} 0\n"));
  EXPECT_THAT(metrics_.render(), HasSubstr("attestry_verifier_cache_hits_total{cache=\"platform\"} 0\n"));
}

TEST_F(SourceMetrics, CountEachThingOnceHoweverOftenTheyAreRead) {
  const auto given = get();
  ASSERT_TRUE(given.ok()) << given.error().text();
  ASSERT_TRUE(get().ok());
  ASSERT_TRUE(verifier_.verify(evidence_, **given, clock_.now()).ok());
  ASSERT_TRUE(verifier_.verify(evidence_, **given, clock_.now()).ok());
  for (int i = 0; i < 3; ++i) {
    const std::string text = updated();
    EXPECT_THAT(text, HasSubstr("attestry_collateral_fetches_total 4\n"));
    EXPECT_THAT(text, HasSubstr("attestry_collateral_hits_total 1\n"));
    EXPECT_THAT(text, HasSubstr("attestry_collateral_failures_total 0\n"));
    EXPECT_THAT(text, HasSubstr("attestry_collateral_artefacts 4\n"));
    EXPECT_THAT(text, HasSubstr("attestry_verifier_cache_hits_total{cache=\"platform\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("attestry_verifier_cache_misses_total{cache=\"platform\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("attestry_verifier_cache_hits_total{cache=\"collateral\"} 2\n"));
    EXPECT_THAT(text, HasSubstr("attestry_verifier_cache_entries{cache=\"collateral\"} 1\n"));
  }
}

TEST_F(SourceMetrics, ShowHowOldWhatIsInUseIs) {
  ASSERT_TRUE(get().ok());
  EXPECT_THAT(updated(), HasSubstr("attestry_collateral_oldest_stale_seconds 0\n"));
  EXPECT_THAT(updated(), HasSubstr("attestry_collateral_age_seconds{artefact=\"qe_identity/tdx\"} 0\n"));
  clock_.pass(2 * kDay);
  {
    const std::lock_guard<std::mutex> lock(service_.mutex);
    for (auto& [url, reply] : service_.replies) reply.body = "garbage";
  }
  ASSERT_TRUE(get().ok());  // somebody asks, and each is refreshed
  const auto until = state::testing::patient();
  while (source_.stats().failures < 4 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  const auto stale = get();
  ASSERT_TRUE(stale.ok());
  ASSERT_TRUE((*stale)->stale_seconds().has_value());
  clock_.pass(60);
  const std::string text = updated();
  EXPECT_THAT(text, HasSubstr("attestry_collateral_failures_total 4\n"));
  EXPECT_THAT(text, HasSubstr("attestry_collateral_stale_answers_total 2\n")) << "late, then failed";
  EXPECT_THAT(text, HasSubstr("attestry_collateral_stale_artefacts 4\n"));
  EXPECT_THAT(text, HasSubstr("attestry_collateral_age_seconds{artefact=\"root_ca_crl/intel\"} 172860\n"));
  EXPECT_EQ(source_.stats().oldest_stale_seconds, *(*stale)->stale_seconds() + 60);
  EXPECT_THAT(text, Not(HasSubstr("attestry_collateral_oldest_stale_seconds 0\n")));
}

TEST(VerifierMetrics, AreThereWithoutASource) {
  net::Metrics metrics;
  const attestation::Verifier verifier{testing::forged_anchors()};
  VaultMetrics shown{metrics, verifier, nullptr};
  shown.update();
  EXPECT_THAT(metrics.render(), HasSubstr("attestry_verifier_cache_misses_total{cache=\"collateral\"} 0\n"));
  EXPECT_THAT(metrics.render(), Not(HasSubstr("attestry_collateral")));
}

}  // namespace
}  // namespace attestry::collateral
