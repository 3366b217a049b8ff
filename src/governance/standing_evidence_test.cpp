#include "governance/standing_evidence.h"

#include <gtest/gtest.h>

#include "governance/testing/support.h"

namespace attestry::governance {
namespace {

using base::Code;
using base::Realm;
using testing::kTime;

attestation::Verdict verdict(bool simulated, std::optional<base::UtcTime> until) {
  attestation::Verdict out;
  out.simulated = simulated;
  out.valid_until = until;
  return out;
}

TEST(StandingEvidence, IsOfTheStoresRealm) {
  for (const bool simulated : {false, true}) {
    const auto one = verdict(simulated, kTime + 60);
    const Realm own = simulated ? Realm::simulated : Realm::production;
    const Realm other = simulated ? Realm::production : Realm::simulated;
    EXPECT_EQ(standing(one, own, kTime).value(), kTime + 60);
    EXPECT_EQ(standing(one, other, kTime).error().code, Code::realm_mismatch);
  }
}

TEST(StandingEvidence, EndsAtItsLastSecondAndWhereNoEndIsKnown) {
  EXPECT_TRUE(standing(verdict(false, kTime + 1), Realm::production, kTime).ok());
  for (const auto& one : {verdict(false, kTime), verdict(false, std::nullopt)})
    EXPECT_EQ(standing(one, Realm::production, kTime).error().code, Code::denied);
}

}  // namespace
}  // namespace attestry::governance
