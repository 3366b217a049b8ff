// The verifier on every DCAP case at hand, real and forged, and on every mutation of them: verdict, TCB status,
// advisory ids and measurements as the case states. Which set of cases is used is printed and recorded.
#include <gtest/gtest.h>

#include <iostream>

#include "attestation/testing/support.h"

namespace attestry::attestation {
namespace {

using testing::Case;

const std::vector<std::string> kDcap = {"tdx/", "sgx/", "synthetic/tdx/", "synthetic/sgx/", "dcap/"};

class Vectors : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto set = testing::case_set();
    ASSERT_TRUE(set.has_value()) << "neither shared vectors nor tests/data";
    set_ = *set;
    cases_ = testing::read_cases(set_, set_.shared ? kDcap : std::vector<std::string>{});
    ASSERT_FALSE(cases_.empty()) << "no DCAP case in " << set_.description;
    RecordProperty("cases", set_.description);
    std::cout << cases_.size() << " DCAP cases from " << set_.description << "\n";
  }
  testing::CaseSet set_;
  std::vector<Case> cases_;
};

TEST_F(Vectors, EveryCaseGivesItsExpectedVerdict) {
  for (const Case& c : cases_) {
    EXPECT_EQ(testing::disagreement(c.expect(), testing::verdict_of(c)), "") << c.name;
  }
}

TEST_F(Vectors, EveryMutationGivesItsExpectedVerdict) {
  const auto path = set_.root / "mutations.json";
  if (!testing::fs::exists(path)) {
    // The forged cases bring their faults as cases of their own.
    ASSERT_FALSE(set_.shared);
    return;
  }
  const auto document = base::JsonDocument::parse(testing::read_text(path), {.max_bytes = 4u << 20});
  ASSERT_TRUE(document.has_value());
  std::size_t judged = 0;
  const base::JsonValue mutations = *(*document)->root().find("mutations");
  for (auto m = mutations.first(); m; m = m->next()) {
    const std::string base = testing::text_of(m->find("base"));
    const auto found = std::ranges::find(cases_, base, &Case::name);
    if (found == cases_.end()) continue;  // of another platform
    Case mutated = *found;
    const std::string id = testing::text_of(m->find("id")) + " on " + base;
    ASSERT_TRUE(testing::apply(*m->find("ops"), set_, mutated)) << id;
    EXPECT_EQ(testing::disagreement(*m->find("expect"), testing::verdict_of(mutated)), "") << id;
    ++judged;
  }
  EXPECT_GT(judged, 0u);
}

// Both ends of the time in which everything of a case holds are inside; a second beyond either is not.
TEST_F(Vectors, ValidityEndsExactlyWhereTheCaseSays) {
  for (const Case& c : cases_) {
    const auto window = c.meta->root().find("valid_window");
    if (!window || !window->is_array() || testing::text_of(c.expect().find("result")) != "ok") continue;
    auto from = base::parse_rfc3339(testing::text_of(window->first()));
    const auto to = base::parse_rfc3339(testing::text_of(window->first()->next()));
    const auto now = testing::verdict_of(c);
    ASSERT_TRUE(from && to && now && now->valid_until) << c.name;
    EXPECT_EQ(*now->valid_until, *to) << c.name;
    // A case of another verifier does not count CRLs from the future; here they are part of the window.
    for (const CollateralUsed& item : now->collateral) {
      if (item.issued) from = std::max(*from, *item.issued);
    }
    const auto outcome = [&](base::UtcTime at) {
      Case moved = c;
      moved.at = at;
      return testing::verdict_of(moved)->outcome;
    };
    EXPECT_EQ(outcome(*from), Outcome::accepted) << c.name;
    EXPECT_EQ(outcome(*to), Outcome::accepted) << c.name;
    EXPECT_EQ(outcome(*from - 1), Outcome::refused) << c.name;
    EXPECT_EQ(outcome(*to + 1), Outcome::refused) << c.name;
  }
}

TEST_F(Vectors, ForgedCasesAreRefusedUnderTheProductionRoot) {
  for (Case c : cases_) {
    if (c.trust.empty()) continue;
    c.trust.clear();
    const auto verdict = testing::verdict_of(c);
    ASSERT_TRUE(verdict.has_value()) << c.name;
    EXPECT_EQ(verdict->outcome, Outcome::refused) << c.name;
    EXPECT_FALSE(verdict->simulated) << c.name;
  }
}

// One verifier for all cases of one trust, twice: whatever its caches hold by then, every verdict has the same bytes as
// from a verifier that has seen nothing.
TEST_F(Vectors, CachesNeverChangeAByteOfAVerdict) {
  std::map<std::vector<std::string>, std::unique_ptr<Verifier>> warm;
  for (int round = 0; round < 2; ++round) {
    for (const Case& c : cases_) {
      auto& verifier = warm[c.trust];
      if (!verifier) verifier = std::make_unique<Verifier>(testing::anchors_of(c));
      const auto hit = testing::verdict_of(*verifier, c);
      const auto miss = testing::verdict_of(c);
      ASSERT_TRUE(hit && miss) << c.name;
      EXPECT_EQ(to_json(*hit), to_json(*miss)) << c.name;
    }
  }
}

TEST_F(Vectors, MissingCollateralLeavesGoodEvidenceUndecided) {
  for (const Case& c : cases_) {
    if (testing::text_of(c.expect().find("result")) != "ok") continue;
    for (const char* key : {"tcb_info", "tcb_info_signature", "qe_identity", "pck_crl", "root_ca_crl"}) {
      Case without = c;
      without.collateral.erase(key);
      const auto verdict = testing::verdict_of(without);
      ASSERT_TRUE(verdict.has_value());
      EXPECT_EQ(verdict->outcome, Outcome::undecided) << c.name << " without " << key;
      ASSERT_NE(verdict->root_cause(), nullptr);
      EXPECT_TRUE(verdict->root_cause()->undecided) << c.name << " without " << key;
    }
  }
}

}  // namespace
}  // namespace attestry::attestation
