// What a verifier promises beside single verdicts: caches never skip a binding, times or revocation; faults add up; bad
// input gives failed checks.
#include "attestation/verifier.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "attestation/testing/support.h"
#include "crypto/ec.h"
#include "crypto/hash.h"

namespace attestry::attestation {
namespace {

using testing::Case;

bool failed(const Verdict& verdict, CheckId check) {
  return std::ranges::any_of(verdict.checks,
                             [&](const CheckResult& r) { return r.check == check && r.status == CheckStatus::fail; });
}
std::size_t count(const Verdict& verdict, CheckStatus status) {
  return static_cast<std::size_t>(std::ranges::count(verdict.checks, status, &CheckResult::status));
}

/// Tests on one good forged or real TDX quote of version 4.
class OnAGoodCase : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto set = testing::case_set();
    ASSERT_TRUE(set.has_value());
    for (Case& c : testing::read_cases(*set, {})) {
      const auto verdict = testing::verdict_of(c);
      if (c.quote.size() > 700 && c.quote[0] == 4 && c.quote[4] == 0x81 && verdict &&
          verdict->outcome == Outcome::accepted) {
        case_ = std::move(c);
        return;
      }
    }
    FAIL() << "no good TDX quote of version 4 among the cases";
  }

  Verdict judge(const Verifier& verifier, const base::Bytes& quote) const {
    Case changed = case_;
    changed.quote = quote;
    return *testing::verdict_of(verifier, changed);
  }

  /// The quote signed anew by another key, with the QE report untouched.
  base::Bytes with_another_attestation_key() const {
    const auto key = crypto::EcPrivateKey::generate(crypto::Curve::p256, crypto::system_random());
    base::Bytes quote = case_.quote;
    const base::Bytes signature = key.sign_raw(base::ByteView{quote}.first(kSigned));
    std::ranges::copy(signature, quote.begin() + kSigned + 4);
    std::ranges::copy(key.public_key().raw(), quote.begin() + kSigned + 4 + 64);
    return quote;
  }

  static constexpr std::ptrdiff_t kSigned = 48 + 584;
  Case case_;
};

// The heart of the platform cache: it knows the QE report and its chain, and says nothing about the key of this quote.
TEST_F(OnAGoodCase, AWarmCacheDoesNotVouchForAnotherAttestationKey) {
  const Verifier verifier{testing::anchors_of(case_)};
  EXPECT_EQ(judge(verifier, case_.quote).outcome, Outcome::accepted);
  const Verdict verdict = judge(verifier, with_another_attestation_key());
  EXPECT_EQ(verdict.outcome, Outcome::refused);
  EXPECT_FALSE(failed(verdict, CheckId::dcap_quote_signature)) << "the quote is signed by the key that it names";
  ASSERT_NE(verdict.root_cause(), nullptr);
  EXPECT_EQ(verdict.root_cause()->check, CheckId::dcap_qe_binding);
}

TEST_F(OnAGoodCase, AWarmCacheDoesNotExtendAnyValidity) {
  const Verifier verifier{testing::anchors_of(case_)};
  const auto now = testing::verdict_of(verifier, case_);
  ASSERT_TRUE(now && now->valid_until);
  Case later = case_;
  later.at = *now->valid_until + 1;
  EXPECT_EQ(testing::verdict_of(verifier, later)->outcome, Outcome::refused);
  later.at = *now->valid_until;
  EXPECT_EQ(testing::verdict_of(verifier, later)->outcome, Outcome::accepted);
}

TEST_F(OnAGoodCase, HitAndMissGiveTheSameBytesForEveryFault) {
  const Verifier warm{testing::anchors_of(case_)};
  (void)judge(warm, case_.quote);
  // One byte in every part of the quote: header, body, signature, key, QE report, its signature, auth data, chain.
  for (std::size_t at = 0; at < case_.quote.size(); at += 41) {
    base::Bytes bad = case_.quote;
    bad[at] ^= 0x10;
    const Verifier cold{testing::anchors_of(case_)};
    EXPECT_EQ(to_json(judge(warm, bad)), to_json(judge(cold, bad))) << at;
  }
  EXPECT_EQ(to_json(judge(warm, case_.quote)), to_json(judge(Verifier{testing::anchors_of(case_)}, case_.quote)));
}

TEST_F(OnAGoodCase, CachesThatAreOffOrFullChangeNothing) {
  const Verifier off{testing::anchors_of(case_), {.cached_platforms = 0, .cached_collateral = 0}};
  const Verifier tiny{testing::anchors_of(case_), {.cached_platforms = 1, .cached_collateral = 1}};
  const std::string expected = to_json(judge(Verifier{testing::anchors_of(case_)}, case_.quote));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(to_json(judge(off, case_.quote)), expected);
    EXPECT_EQ(to_json(judge(tiny, case_.quote)), expected);
  }
}

// One verifier for all workers of a server; under the thread sanitizer this test is the proof.
TEST_F(OnAGoodCase, ManyThreadsMayShareOne) {
  const Verifier verifier{testing::anchors_of(case_), {.cached_platforms = 2, .cached_collateral = 1}};
  const std::string good = to_json(judge(Verifier{testing::anchors_of(case_)}, case_.quote));
  base::Bytes bad_quote = case_.quote;
  bad_quote[200] ^= 1;
  const std::string bad = to_json(judge(Verifier{testing::anchors_of(case_)}, bad_quote));
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  threads.reserve(wrong.size());
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        wrong[t] += to_json(judge(verifier, case_.quote)) != good;
        wrong[t] += to_json(judge(verifier, bad_quote)) != bad;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(wrong.size(), 0));
}

// A verdict shows every fault, whatever else is broken.
TEST_F(OnAGoodCase, TwoFaultsBothShow) {
  base::Bytes bad = case_.quote;
  bad[12] ^= 1;                                                     // vendor, also covered by the quote signature
  bad[static_cast<std::size_t>(kSigned) + 4 + 128 + 6 + 320] ^= 1;  // QE report data, covered by the QE signature
  Case changed = case_;
  changed.quote = bad;
  changed.collateral["pck_crl"].clear();
  const auto verdict = testing::verdict_of(changed);
  ASSERT_TRUE(verdict);
  for (const CheckId check : {CheckId::dcap_quote_vendor, CheckId::dcap_quote_signature, CheckId::dcap_qe_signature,
                              CheckId::dcap_qe_binding, CheckId::dcap_crl_pck_format}) {
    EXPECT_TRUE(failed(*verdict, check)) << info(check).id;
  }
  EXPECT_EQ(verdict->root_cause()->check, CheckId::dcap_quote_vendor);
  // What does not rest on them was still judged.
  EXPECT_TRUE(verdict->tcb.has_value());
  EXPECT_FALSE(failed(*verdict, CheckId::dcap_pck_signatures));
}

TEST_F(OnAGoodCase, EveryCheckPassesAndNoneIsSkipped) {
  const auto verdict = testing::verdict_of(case_);
  EXPECT_EQ(count(*verdict, CheckStatus::fail), 0u);
  EXPECT_EQ(count(*verdict, CheckStatus::skipped), 0u);
  EXPECT_GT(count(*verdict, CheckStatus::pass), 40u);
  EXPECT_EQ(verdict->report_data.size(), 64u);
  EXPECT_EQ(verdict->evidence_sha256, crypto::sha256(case_.quote));
  ASSERT_EQ(verdict->collateral.size(), 8u);
  for (const CollateralUsed& item : verdict->collateral) {
    const auto set = testing::collateral_of(case_.collateral);
    EXPECT_EQ(item.sha256, set->find(item.kind)->sha256);
  }
  for (const char* name : {"fmspc", "pceid", "pck_serial", "sgx_type"})
    EXPECT_NE(verdict->claim(name), nullptr) << name;
}

TEST_F(OnAGoodCase, TwoItemsOfAKindAreNeitherJudged) {
  const auto set = testing::collateral_of(case_.collateral);
  std::vector<CollateralItem> items = set->items();
  items.push_back(items.front());
  const auto doubled = Collateral::make(items);
  EXPECT_EQ(doubled->find(items.front().kind), nullptr);
  EXPECT_NE(doubled->digest(), set->digest());
  const Verifier verifier{testing::anchors_of(case_)};
  const auto verdict = verifier.verify(testing::evidence_of(case_.quote), *doubled, case_.at);
  ASSERT_TRUE(verdict.has_value());
  EXPECT_EQ(verdict->evidence, Genuineness::not_genuine);
}

TEST_F(OnAGoodCase, NeedsNameWhatToFetch) {
  const auto needs = dcap_needs(case_.quote);
  ASSERT_TRUE(needs.has_value()) << needs.error().text();
  EXPECT_TRUE(needs->tdx);
  EXPECT_TRUE(needs->platform_ca);
  EXPECT_EQ(base::hex(needs->fmspc), testing::verdict_of(case_)->claim("fmspc")->value);
  EXPECT_FALSE(dcap_needs(base::ByteView{}).has_value());
}

TEST(Verifier, WithoutAnchorsItDecidesNothing) {
  const Verifier verifier{TrustAnchors::simulated({})};
  const auto verdict = verifier.verify({EvidenceFormat::dcap_quote, base::Bytes(100)}, *Collateral::none(), {});
  ASSERT_FALSE(verdict.has_value());
  EXPECT_EQ(verdict.error().code, base::Code::configuration);
}

TEST(Verifier, BytesThatAreNoEvidenceAreFailedChecks) {
  const Verifier verifier{TrustAnchors::production(), {.max_evidence_bytes = 1000}};
  const auto cause = [&](const base::Bytes& bytes) {
    const auto verdict = verifier.verify({detect_format(bytes), bytes}, *Collateral::none(), {});
    EXPECT_TRUE(verdict.has_value());
    EXPECT_EQ(verdict->outcome, Outcome::refused);
    EXPECT_EQ(verdict->evidence, Genuineness::not_genuine);
    return verdict->root_cause() == nullptr ? CheckId::policy_platform : verdict->root_cause()->check;
  };
  EXPECT_EQ(cause({}), CheckId::evidence_size);
  EXPECT_EQ(cause(base::Bytes(1001, 4)), CheckId::evidence_size);
  EXPECT_EQ(cause(base::to_bytes("{\"evidence\":1}")), CheckId::evidence_format);
  EXPECT_EQ(cause({9, 0, 2, 0}), CheckId::dcap_quote_version);
  base::Bytes other(200, 0);
  other[0] = 4;
  other[2] = 3;
  EXPECT_EQ(cause(other), CheckId::dcap_quote_key_type);
}

TEST(TrustAnchors, ProductionIsTheVendorsRootKeysAndNothingElse) {
  const TrustAnchors anchors = TrustAnchors::production();
  std::map<std::string, std::string> pinned;
  for (const ProductionRoot& root : ProductionRoot::all()) {
    pinned[std::string{root.name()}] = base::hex(root.spki_sha256()).substr(0, 16);
  }
  EXPECT_EQ(pinned, (std::map<std::string, std::string>{{"Intel SGX Root CA", "a0af031289f5d5d4"},
                                                        {"ARK-Milan", "9f056bee44377e29"},
                                                        {"ARK-Genoa", "429a69c9422aa258"},
                                                        {"ARK-Turin", "4f125410563a2ab9"},
                                                        {"aws.nitro-enclaves", "f2caf5ecc6190b4a"}}));
  EXPECT_EQ(anchors.realm(), base::Realm::production);
  EXPECT_NE(anchors.sha256(), TrustAnchors::simulated({}).sha256());
}

TEST(TrustAnchors, ATestRootIsAnyCertificateButIntels) {
  EXPECT_FALSE(TestRoot::from_certificate(base::as_bytes("nothing")).has_value());
  EXPECT_FALSE(TestRoot::from_certificate({}).has_value());
}

TEST(DetectFormat, KnowsQuotesAndNothingElse) {
  EXPECT_EQ(detect_format(base::Bytes{3, 0, 2, 0, 0, 0}), EvidenceFormat::dcap_quote);
  EXPECT_EQ(detect_format(base::to_bytes("AwACAAAA")), EvidenceFormat::unknown);
  EXPECT_EQ(detect_format({}), EvidenceFormat::unknown);
}

TEST(CollateralSet, DigestDependsOnKindContentAndProblems) {
  const auto digest = [](std::vector<CollateralItem> items, std::vector<CollateralProblem> problems = {}) {
    return Collateral::make(std::move(items), std::move(problems))->digest();
  };
  const base::Bytes a = {1}, b = {2};
  EXPECT_EQ(digest({{CollateralKind::pck_crl, a}, {CollateralKind::tcb_info, b}}),
            digest({{CollateralKind::tcb_info, b}, {CollateralKind::pck_crl, a}}))
      << "order says nothing";
  EXPECT_NE(digest({{CollateralKind::pck_crl, a}}), digest({{CollateralKind::root_ca_crl, a}}));
  EXPECT_NE(digest({{CollateralKind::pck_crl, a}}), digest({{CollateralKind::pck_crl, b}}));
  EXPECT_NE(digest({}), digest({}, {{CollateralKind::pck_crl, "not hex"}}));
}

}  // namespace
}  // namespace attestry::attestation
