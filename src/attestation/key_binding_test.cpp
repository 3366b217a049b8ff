#include "attestation/key_binding.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::attestation {
namespace {

const base::Bytes kSpki(91, 0x30);

Verdict verdict_with(base::ByteView report_data) {
  Verdict verdict;
  verdict.evidence = Genuineness::genuine;
  verdict.platform = Platform::tdx;
  verdict.outcome = Outcome::accepted;
  verdict.report_data = base::to_bytes(report_data);
  verdict.tcb = TcbSummary{.status = "UpToDate", .advisory_ids = {}, .date = {}, .evaluation_number = {}};
  verdict.claims = {{.name = "td_attributes", .value = "0000001000000000"}};
  verdict.at = base::UtcTime{1'760'000'000};
  verdict.valid_until = verdict.at + 3600;
  return verdict;
}

TEST(KeyBinding, ReportDataIsTheDigestOfTheKeyAndZeros) {
  const auto data = key_report_data(kSpki);
  const auto digest = crypto::sha256(kSpki);
  EXPECT_TRUE(base::equal(base::ByteView{data}.first(32), digest));
  EXPECT_EQ(base::ByteView{data}.back(), 0);
  EXPECT_EQ(base::hex(key_report_data(base::as_bytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" + std::string(64, '0'));
}

TEST(KeyBinding, GenuineEvidenceWithTheKeyIsAccepted) {
  Verdict verdict = verdict_with(key_report_data(kSpki));
  const auto key = appraise_key(Policy::genuine(), verdict, kSpki);
  ASSERT_TRUE(key.ok()) << key.error().text();
  EXPECT_EQ(key->spki(), kSpki);
  EXPECT_EQ(key->policy_sha256(), Policy::genuine().sha256());
}

TEST(KeyBinding, AnotherKeyIsFalseEvidence) {
  base::Bytes other = kSpki;
  other.back() ^= 1;
  Verdict verdict = verdict_with(key_report_data(other));
  const auto key = appraise_key(Policy::genuine(), verdict, kSpki);
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, base::Code::evidence_false);
  EXPECT_NE(key.error().what.find("made for something else"), std::string::npos) << key.error().text();
}

/// The digest may not stand anywhere but in front, with nothing behind it.
TEST(KeyBinding, TheWholeFieldCounts) {
  auto data = key_report_data(kSpki);
  data.back() = 1;
  Verdict verdict = verdict_with(data);
  EXPECT_FALSE(appraise_key(Policy::genuine(), verdict, kSpki).ok());
}

TEST(KeyBinding, EvidenceThatIsNotGenuineVouchesForNoKey) {
  Verdict verdict = verdict_with(key_report_data(kSpki));
  verdict.evidence = Genuineness::not_genuine;
  const auto key = appraise_key(Policy::genuine(), verdict, kSpki);
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, base::Code::evidence_false);
}

TEST(KeyBinding, APolicyMayRefuse) {
  Verdict verdict = verdict_with(key_report_data(kSpki));
  verdict.debug = true;
  const auto key = appraise_key(Policy::genuine(), verdict, kSpki);
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, base::Code::denied);
}

}  // namespace
}  // namespace attestry::attestation
