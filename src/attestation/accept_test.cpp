// Collateral judged without a quote, and what the caches make of sets that differ in one item.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attestation/testing/support.h"
#include "attestation/verifier.h"

namespace attestry::attestation {
namespace {

using testing::Case;
using ::testing::HasSubstr;
using Fields = std::map<std::string, std::string>;

constexpr std::int64_t kDay = 86400;

class Acceptance : public ::testing::Test {
 protected:
  static Case forged(const std::string& name) {
    const char* data = std::getenv("ATTESTRY_TEST_DATA");
    const testing::fs::path root{data != nullptr ? data : "tests/data"};
    auto found = testing::read_case(root, root / name);
    EXPECT_TRUE(found.has_value()) << name;
    return found.value_or(Case{});
  }
  void SetUp() override {
    case_ = forged("tdx/forged-v4");
    const auto needs = dcap_needs(case_.quote);
    ASSERT_TRUE(needs.ok()) << needs.error().text();
    needs_ = *needs;
  }

  base::Result<base::UtcTime> accept(const Verifier& verifier, const Fields& fields) const {
    return verifier.accept_collateral(*testing::collateral_of(fields), needs_, case_.at);
  }
  std::string refusal(const Fields& fields) const {
    const auto result = accept(Verifier{testing::anchors_of(case_)}, fields);
    if (result.ok()) return "accepted";
    EXPECT_EQ(result.error().code, base::Code::unavailable);
    return result.error().text();
  }
  std::string judge(const Verifier& verifier, const Fields& fields) const {
    const auto verdict = verifier.verify(testing::evidence_of(case_.quote), *testing::collateral_of(fields), case_.at);
    return verdict.ok() ? to_json(*verdict) : verdict.error().text();
  }
  Fields with(const std::string& key, const std::string& value) const {
    Fields out = case_.collateral;
    out[key] = value;
    return out;
  }
  Fields without(const std::string& key) const {
    Fields out = case_.collateral;
    out.erase(key);
    return out;
  }

  Case case_;
  DcapNeeds needs_;
};

TEST_F(Acceptance, SaysUntilWhenTheSetIsInForce) {
  const Verifier verifier{testing::anchors_of(case_)};
  const auto until = accept(verifier, case_.collateral);
  ASSERT_TRUE(until.ok()) << until.error().text();
  EXPECT_EQ(base::to_rfc3339(*until), "2026-07-14T00:00:00Z");
  case_.at = *until;
  EXPECT_TRUE(accept(verifier, case_.collateral).ok());
  case_.at = *until + 1;
  EXPECT_THAT(refusal(case_.collateral), HasSubstr("expired"));
  case_.at = *until + -40 * kDay;
  EXPECT_THAT(refusal(case_.collateral), HasSubstr("issued in the future"));
}

TEST_F(Acceptance, NeedsEveryItem) {
  ASSERT_EQ(refusal(case_.collateral), "accepted");
  for (const auto& [key, value] : case_.collateral) {
    if (key == "pck_certificate_chain") continue;
    EXPECT_NE(refusal(without(key)), "accepted") << key;
    EXPECT_NE(refusal(with(key, "")), "accepted") << key;
    EXPECT_NE(refusal(with(key, "00")), "accepted") << key;
  }
  EXPECT_THAT(refusal(without("pck_crl_issuer_chain")), HasSubstr("pck_crl_chain: dcap.crl.pck.signature"));
  EXPECT_THAT(refusal({}), HasSubstr("root_ca_crl: dcap.crl.root.present"));
}

TEST_F(Acceptance, NamesTheDocumentThatIsForSomethingElse) {
  needs_.fmspc[0] ^= 1;
  EXPECT_THAT(refusal(case_.collateral), HasSubstr("tcb_info: dcap.tcb_info.fmspc"));
  needs_.fmspc[0] ^= 1;
  needs_.tdx = false;
  EXPECT_THAT(refusal(case_.collateral), HasSubstr("tcb_info: dcap.tcb_info.id"));
  needs_.tdx = true;
  needs_.platform_ca = false;
  EXPECT_THAT(refusal(case_.collateral), HasSubstr("pck_crl_chain: dcap.crl.pck.signature"));
}

TEST_F(Acceptance, IsUnderTheAnchorsOfTheVerifier) {
  const auto intel = accept(Verifier{TrustAnchors::production()}, case_.collateral);
  ASSERT_FALSE(intel.ok());
  EXPECT_THAT(intel.error().text(), HasSubstr("a trusted root"));
  const auto nobody = accept(Verifier{TrustAnchors::simulated({})}, case_.collateral);
  ASSERT_FALSE(nobody.ok());
  EXPECT_EQ(nobody.error().code, base::Code::configuration);
}

TEST_F(Acceptance, LeavesRevocationToTheVerdict) {
  for (const char* name : {"tdx/forged-v4-pck-revoked", "tdx/forged-v4-tcb-signing-revoked"}) {
    EXPECT_EQ(refusal(forged(name).collateral), "accepted") << name;
  }
}

// Whatever a verifier has seen before: an item that is given is part of the set, also the one that no verdict needs.
TEST_F(Acceptance, SetsThatDifferInOneItemAreDifferentSets) {
  const std::string other_chain = case_.collateral.at("tcb_info_issuer_chain");
  for (const auto& [key, value] : case_.collateral) {
    SCOPED_TRACE(key);
    const bool chain = key.ends_with("_chain");
    const Fields changed = with(key, chain ? value + other_chain : value.substr(0, value.size() - 2) + "00");
    EXPECT_NE(testing::collateral_of(changed)->digest(), testing::collateral_of(case_.collateral)->digest());
    const Verifier warm{testing::anchors_of(case_)};
    const std::string good = judge(warm, case_.collateral);
    EXPECT_EQ(judge(warm, changed), judge(Verifier{testing::anchors_of(case_)}, changed));
    EXPECT_EQ(judge(warm, case_.collateral), good);
    const Verifier other_way{testing::anchors_of(case_)};
    (void)judge(other_way, changed);
    (void)accept(other_way, changed);
    EXPECT_EQ(judge(other_way, case_.collateral), good);
  }
}

TEST_F(Acceptance, AKnownSetDoesNotVouchForAnotherChainOfItsPckCrl) {
  const Verifier warm{testing::anchors_of(case_)};
  ASSERT_TRUE(accept(warm, case_.collateral).ok());
  const Fields changed = with("pck_crl_issuer_chain", case_.collateral.at("tcb_info_issuer_chain"));
  const auto refused = accept(warm, changed);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().text(), refusal(changed));
  // The verdict rests on the chain of the quote.
  EXPECT_EQ(judge(warm, changed), judge(Verifier{testing::anchors_of(case_)}, case_.collateral));
  EXPECT_TRUE(accept(warm, case_.collateral).ok());
}

TEST_F(Acceptance, WarmsTheCacheOfVerdictsAndChangesNoneOfThem) {
  const Verifier warm{testing::anchors_of(case_)};
  ASSERT_TRUE(accept(warm, case_.collateral).ok());
  EXPECT_EQ(warm.stats().collateral.entries, 1u);
  EXPECT_EQ(judge(warm, case_.collateral), judge(Verifier{testing::anchors_of(case_)}, case_.collateral));
  EXPECT_EQ(warm.stats().collateral.hits, 1u);
  EXPECT_EQ(warm.stats().platforms.misses, 1u);
  const Verifier cold{testing::anchors_of(case_)};
  (void)accept(cold, with("pck_crl", "00"));
  EXPECT_EQ(cold.stats().collateral.entries, 0u);
}

}  // namespace
}  // namespace attestry::attestation
