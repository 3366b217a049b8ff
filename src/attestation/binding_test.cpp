#include "attestation/binding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::attestation {
namespace {

using ::testing::HasSubstr;

BindingStatement statement() {
  base::Bytes nonce(42);
  for (std::size_t i = 0; i < nonce.size(); ++i) nonce[i] = static_cast<std::uint8_t>(i);
  base::Bytes spki{0x30, 0x59};
  spki.resize(91, 0xa5);
  base::Bytes recipient{0x00, 0x20};
  recipient.resize(34, 0x11);
  return {.purpose = base::Purpose::instance_release,
          .audience = "log.example/attestry",
          .nonce = std::move(nonce),
          .tenant = base::Tenant::standard(),
          .app = *base::AppRef::parse("name:web"),
          .csr_spki = std::move(spki),
          .recipient = std::move(recipient)};
}

Verdict verdict_with(base::ByteView report_data) {
  Verdict verdict;
  verdict.evidence = Genuineness::genuine;
  verdict.platform = Platform::tdx;
  verdict.report_data = base::to_bytes(report_data);
  verdict.tcb = TcbSummary{.status = "UpToDate"};
  verdict.claims = {{.name = "mrtd", .value = std::string(96, 'a')},
                    {.name = "td_attributes", .value = "0000001000000000"}};
  return verdict;
}

const CheckResult* result_of(const Verdict& verdict, CheckId check) {
  const auto found = std::ranges::find(verdict.checks, check, &CheckResult::check);
  return found == verdict.checks.end() ? nullptr : &*found;
}

// Known answers from Python's hashlib over FORMATS 3, written down independently of this code.
TEST(BindingStatement, GivesTheTranscriptAndBindingOfFormats3) {
  BindingStatement s = statement();
  EXPECT_EQ(s.transcript().size(), 257u);
  EXPECT_EQ(base::hex(crypto::sha256(s.transcript())),
            "24beb71b6eaa240e0dcfd04424581e646fdb8e97d14e34e2a5afa79a614fa228");
  EXPECT_EQ(base::hex(s.binding()),
            "740b39553070bb422f535963ddfe998471e4766c1641cc9f249c064bd6b36544"
            "f0784da170fe7d84906914a704c729c4fb3b0b9718a7c4d739c40aac2aa5fcd0");
  s.purpose = base::Purpose::secret_read;
  s.subordinate_sha256 = base::Bytes(32, 7);
  EXPECT_EQ(s.transcript().size(), 289u);
  EXPECT_EQ(base::hex(s.binding()),
            "126564af944b7d3242b6e72339c0e52d92cccfe67f5d520f0b9d5859f2814c66"
            "e6be438c13fc688f413887c9d9639ab23c3c046418ecd6997b2ef797034bc5a4");
}

TEST(BindingStatement, EveryPartChangesTheBinding) {
  const auto base_line = statement().binding();
  std::vector<BindingStatement> others(7, statement());
  others[0].purpose = base::Purpose::token;
  others[1].audience += "x";
  others[2].nonce.back() ^= 1;
  others[3].tenant = *base::Tenant::parse("other");
  others[4].app = *base::AppRef::parse("near:web");
  others[5].csr_spki.back() ^= 1;
  others[6].recipient.back() ^= 1;
  for (const BindingStatement& other : others) EXPECT_NE(other.binding(), base_line);
}

TEST(Bind, GenuineEvidenceMadeForTheRequestIsBound) {
  Verdict verdict = verdict_with(statement().binding());
  const auto bound = bind(verdict, statement());
  ASSERT_TRUE(bound.ok()) << bound.error().text();
  EXPECT_EQ(bound->binding(), statement().binding());
  ASSERT_NE(result_of(bound->verdict(), CheckId::binding_report_data), nullptr);
  EXPECT_EQ(result_of(verdict, CheckId::binding_report_data)->status, CheckStatus::pass);
}

TEST(Bind, AnotherBindingIsFalseEvidence) {
  BindingStatement other = statement();
  other.nonce.front() ^= 1;
  Verdict verdict = verdict_with(other.binding());
  const auto bound = bind(verdict, statement());
  ASSERT_FALSE(bound.ok());
  EXPECT_EQ(bound.error().code, base::Code::evidence_false);
  EXPECT_EQ(verdict.outcome, Outcome::refused);
  EXPECT_EQ(verdict.root_cause()->check, CheckId::binding_report_data);
  EXPECT_EQ(verdict.root_cause()->expected, base::hex(statement().binding()));
}

TEST(Bind, RefusesAPrefixOfTheBinding) {
  const auto binding = statement().binding();
  Verdict verdict = verdict_with(base::ByteView{binding}.first(32));
  EXPECT_FALSE(bind(verdict, statement()).ok());
}

TEST(Bind, EvidenceThatIsNotGenuineIsNeverBound) {
  Verdict verdict = verdict_with(statement().binding());
  verdict.evidence = Genuineness::not_genuine;
  const auto bound = bind(verdict, statement());
  ASSERT_FALSE(bound.ok());
  EXPECT_EQ(bound.error().code, base::Code::evidence_false);
  EXPECT_EQ(result_of(verdict, CheckId::binding_report_data)->status, CheckStatus::pass);
}

TEST(Bind, UndecidedEvidenceIsMissingCollateralUnlessTheBindingIsWrong) {
  Verdict verdict = verdict_with(statement().binding());
  verdict.evidence = Genuineness::undecided;
  verdict.checks = {{.check = CheckId::dcap_crl_root_present, .status = CheckStatus::fail, .undecided = true}};
  const auto bound = bind(verdict, statement());
  ASSERT_FALSE(bound.ok());
  EXPECT_EQ(bound.error().code, base::Code::collateral_missing);
  EXPECT_THAT(bound.error().what, HasSubstr("dcap.crl.root.present"));
  EXPECT_EQ(verdict.outcome, Outcome::undecided);

  Verdict wrong = verdict_with(base::Bytes(64, 1));
  wrong.evidence = Genuineness::undecided;
  EXPECT_EQ(bind(wrong, statement()).error().code, base::Code::evidence_false);
}

TEST(Appraise, AcceptedEvidenceIsVerifiedAndCarriesThePolicy) {
  Verdict verdict = verdict_with(statement().binding());
  auto bound = bind(verdict, statement());
  ASSERT_TRUE(bound.ok());
  Verdict out;
  const auto verified = appraise(Policy::standard(), *std::move(bound), out);
  ASSERT_TRUE(verified.ok()) << verified.error().text();
  EXPECT_EQ(verified->policy_sha256(), Policy::standard().sha256());
  EXPECT_EQ(verified->verdict().outcome, Outcome::accepted);
  EXPECT_EQ(to_json(verified->verdict()), to_json(out));
}

TEST(Appraise, ARefusalNamesTheRuleAndLeavesTheVerdict) {
  Verdict verdict = verdict_with(statement().binding());
  verdict.debug = true;
  auto bound = bind(verdict, statement());
  ASSERT_TRUE(bound.ok());
  Verdict out;
  const auto verified = appraise(Policy::standard(), *std::move(bound), out);
  ASSERT_FALSE(verified.ok());
  EXPECT_EQ(verified.error().code, base::Code::denied);
  EXPECT_THAT(verified.error().what, HasSubstr("policy.debug"));
  EXPECT_EQ(out.outcome, Outcome::refused);
  EXPECT_EQ(out.root_cause()->check, CheckId::policy_debug);
}

}  // namespace
}  // namespace attestry::attestation
