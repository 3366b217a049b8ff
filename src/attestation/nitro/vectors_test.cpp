// The verifier on every Nitro case of the shared vectors, real and synthetic, and on every mutation of them. Without
// the vectors nitro_test of the forge judges forged documents.
#include <gtest/gtest.h>

#include "attestation/testing/support.h"

namespace attestry::attestation::nitro {
namespace {

using testing::Case;

// A stricter answer than the case's, which calls itself a choice: docs/explanation/evidence.md.
constexpr std::string_view kChoice = "synthetic/nitro/bytes-chunked";

std::vector<Case> read_all(const testing::CaseSet& set) {
  std::vector<Case> out;
  for (const char* below : {"nitro", "synthetic/nitro"}) {
    if (!testing::fs::is_directory(set.root / below)) continue;
    for (const auto& entry : testing::fs::directory_iterator{set.root / below}) {
      const auto meta = base::JsonDocument::parse(testing::read_text(entry.path() / "case.json"));
      if (!meta) continue;
      Case c;
      c.meta = *meta;
      c.folder = entry.path();
      c.name = testing::fs::relative(entry.path(), set.root).generic_string();
      c.quote = testing::read_bytes(entry.path() / "attestation.cbor");
      const std::string anchor = testing::text_of((*meta)->root().find("trust_anchor"));
      if (!anchor.empty()) c.trust.push_back(testing::read_text(entry.path() / anchor));
      c.at = base::parse_rfc3339(testing::text_of((*meta)->root().find("verify_at"))).value();
      out.push_back(std::move(c));
    }
  }
  return out;
}

Verdict judge(const Verifier& verifier, const Case& c) {
  const Evidence evidence{.format = EvidenceFormat::nitro_document, .bytes = c.quote};
  auto verdict = verifier.verify(evidence, *Collateral::none(), c.at).value();
  evaluate(Policy::genuine(), verdict);
  return verdict;
}
Verdict judge(const Case& c) { return judge(Verifier{testing::anchors_of(c)}, c); }

void expect_claims(const Case& c, const Verdict& verdict) {
  const auto measurements = c.expect().find("measurements");
  if (!measurements) return;
  for (auto m = measurements->first(); m; m = m->next()) {
    if (m->is_object()) {
      for (auto pcr = m->first(); pcr; pcr = pcr->next()) {
        const Claim* claim = verdict.claim("pcr" + pcr->key());
        ASSERT_NE(claim, nullptr) << c.name << " pcr" << pcr->key();
        EXPECT_EQ(claim->value, testing::text_of(pcr)) << c.name;
      }
    } else if (!m->is_null()) {
      const Claim* claim = verdict.claim(m->key());
      ASSERT_NE(claim, nullptr) << c.name << " " << m->key();
      EXPECT_EQ(claim->value, m->is_string() ? testing::text_of(m) : std::string{m->source()}) << c.name;
    } else {
      EXPECT_EQ(verdict.claim(m->key()), nullptr) << c.name << " " << m->key();
    }
  }
}

void expect_outcome(const base::JsonValue& expect, const Verdict& verdict, const std::string& name) {
  const CheckResult* cause = verdict.root_cause();
  const std::string why = cause == nullptr ? "" : std::string{info(cause->check).id} + " " + cause->detail;
  if (testing::text_of(expect.find("result")) == "ok") {
    EXPECT_EQ(verdict.outcome, Outcome::accepted) << name << ": " << why;
  } else {
    EXPECT_EQ(verdict.outcome, Outcome::refused) << name;
    EXPECT_NE(cause, nullptr) << name;
  }
}

class NitroVectors : public ::testing::Test {
 protected:
  void SetUp() override {
    set_ = testing::case_set().value_or(testing::CaseSet{});
    cases_ = read_all(set_);
    ASSERT_EQ(cases_.empty(), !set_.shared);
  }
  testing::CaseSet set_;
  std::vector<Case> cases_;
};

TEST_F(NitroVectors, EveryCaseGivesItsExpectedVerdict) {
  for (const Case& c : cases_) {
    if (c.name == kChoice) continue;
    const Verdict verdict = judge(c);
    expect_outcome(c.expect(), verdict, c.name);
    if (verdict.outcome == Outcome::accepted) expect_claims(c, verdict);
  }
}

TEST_F(NitroVectors, EveryMutationGivesItsExpectedVerdict) {
  if (!set_.shared) return;
  const auto document =
      base::JsonDocument::parse(testing::read_text(set_.root / "mutations.json"), {.max_bytes = 4u << 20});
  ASSERT_TRUE(document.has_value());
  const base::JsonValue mutations = *(*document)->root().find("mutations");
  std::size_t judged = 0;
  for (auto m = mutations.first(); m; m = m->next()) {
    const auto found = std::ranges::find(cases_, testing::text_of(m->find("base")), &Case::name);
    if (found == cases_.end()) continue;
    Case mutated = *found;
    const std::string id = testing::text_of(m->find("id")) + " on " + mutated.name;
    ASSERT_TRUE(testing::apply(*m->find("ops"), set_, mutated)) << id;
    expect_outcome(*m->find("expect"), judge(mutated), id);
    ++judged;
  }
  EXPECT_GT(judged, 30u);
}

TEST_F(NitroVectors, ValidityEndsExactlyWhereTheCaseSays) {
  for (const Case& c : cases_) {
    const auto window = c.meta->root().find("valid_window");
    if (!window || !window->is_array() || testing::text_of(c.expect().find("result")) != "ok") continue;
    const auto from = base::parse_rfc3339(testing::text_of(window->first())).value();
    const auto to = base::parse_rfc3339(testing::text_of(window->first()->next())).value();
    EXPECT_EQ(judge(c).valid_until, to) << c.name;
    for (const auto& [at, wanted] : {std::pair{from - 1, Outcome::refused}, std::pair{from, Outcome::accepted},
                                     std::pair{to, Outcome::accepted}, std::pair{to + 1, Outcome::refused}}) {
      Case moved = c;
      moved.at = at;
      EXPECT_EQ(judge(moved).outcome, wanted) << c.name;
    }
  }
}

TEST_F(NitroVectors, SyntheticCasesAreRefusedUnderTheProductionRoot) {
  for (Case c : cases_) {
    if (c.trust.empty()) continue;
    c.trust.clear();
    EXPECT_EQ(judge(c).outcome, Outcome::refused) << c.name;
  }
}

TEST_F(NitroVectors, TheCacheNeverChangesAByteOfAVerdict) {
  std::map<std::vector<std::string>, std::unique_ptr<Verifier>> warm;
  for (int round = 0; round < 2; ++round) {
    for (const Case& c : cases_) {
      auto& verifier = warm[c.trust];
      if (!verifier) verifier = std::make_unique<Verifier>(testing::anchors_of(c));
      EXPECT_EQ(to_json(judge(*verifier, c)), to_json(judge(c))) << c.name;
    }
  }
}

}  // namespace
}  // namespace attestry::attestation::nitro
