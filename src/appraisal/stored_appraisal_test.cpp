#include "appraisal/stored_appraisal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "appraisal/replay.h"
#include "attestation/verifier.h"
#include "base/encoding.h"
#include "base/json_writer.h"
#include "crypto/hash.h"

namespace attestry::appraisal {
namespace {

using attestation::Collateral;
using attestation::CollateralKind;
using base::Code;
using ::testing::HasSubstr;

constexpr base::UtcTime kAt{1'780'000'000};

/// Evidence that says nothing, judged by rooms that do not mind: what an appraisal holds does not depend on its worth.
AppraisalInputs inputs() {
  auto collateral = Collateral::make(
      {{CollateralKind::tcb_info, base::to_bytes("{}"), {}}, {CollateralKind::root_ca_crl, base::to_bytes("{}"), {}}},
      {{CollateralKind::pck_crl, "field pck_crl: not hex", false},
       {CollateralKind::qe_identity, "the PCS is away", true}},
      77);
  return {.evidence = {.format = attestation::EvidenceFormat::dcap_quote,
                       .bytes = base::Bytes(700, 4),
                       .supplements = {{attestation::SupplementKind::tcg_event_log, base::to_bytes("log")}}},
          .collateral = std::move(collateral),
          .at = kAt,
          .anchors = attestation::TrustAnchors::production().with_token_issuers({"https://issuer.example"}).value(),
          .policy = attestation::Policy::standard(),
          .report_data = base::Bytes{1, 2, 3}};
}

StoredAppraisal judged(AppraisalInputs in) {
  const attestation::Verifier verifier(in.anchors);
  auto made = judge(verifier.verify(in.evidence, *in.collateral, in.at).value(), in);
  return StoredAppraisal::make(std::move(in), attestation::to_json(made.verdict));
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

void refused(const std::string& exported, std::string_view reason) {
  const auto read = read_export(exported);
  ASSERT_FALSE(read.ok()) << "expected: " << reason;
  EXPECT_EQ(read.error().code, Code::malformed) << read.error().text();
  EXPECT_THAT(read.error().text(), HasSubstr(std::string{reason}));
}

TEST(StoredAppraisal, AnExportIsReadBackToTheSameAppraisalAndReplaysByteForByte) {
  const auto one = judged(inputs());
  EXPECT_EQ(one.id(), crypto::sha256(base::as_bytes(one.document())));
  EXPECT_EQ(one.catalogue(), attestation::kCatalogueVersion);
  const auto two = read_export(write_export(one));
  ASSERT_TRUE(two.ok()) << two.error().text();
  EXPECT_EQ(two->id(), one.id());
  EXPECT_EQ(two->document(), one.document());
  EXPECT_EQ(two->verdict_json(), one.verdict_json());
  EXPECT_EQ(write_export(*two), write_export(one));
  EXPECT_EQ(two->inputs().collateral->digest(), one.inputs().collateral->digest());
  const auto again = replay(*two);
  ASSERT_TRUE(again.ok()) << again.error().text();
  EXPECT_TRUE(again->same);
  EXPECT_TRUE(again->same_catalogue);
  EXPECT_TRUE(again->same_anchors);
}

TEST(StoredAppraisal, AnotherSpellingOfTheSameJsonIsTheSameAppraisal) {
  const auto one = judged(inputs());
  const base::JsonOut raw{base::JsonOut::Raw{write_export(one)}};
  const auto two = read_export(raw.canonical() + "\n\n");
  ASSERT_TRUE(two.ok()) << two.error().text();
  EXPECT_EQ(two->id(), one.id());
}

TEST(StoredAppraisal, WhatDiffersInAnInputHasAnotherId) {
  const auto one = judged(inputs());
  auto other = inputs();
  other.evidence.bytes[600] ^= 1;
  EXPECT_NE(judged(std::move(other)).id(), one.id());
  other = inputs();
  other.at = kAt + 1;
  EXPECT_NE(judged(std::move(other)).id(), one.id());
  other = inputs();
  other.report_data.reset();
  EXPECT_NE(judged(std::move(other)).id(), one.id());
  other = inputs();
  other.anchors = attestation::TrustAnchors::production();
  EXPECT_NE(judged(std::move(other)).id(), one.id());
}

TEST(StoredAppraisal, EachPieceOfBytesStandsThereOnce) {
  const auto one = judged(inputs());
  // Evidence, log, "{}" of two documents once, policy, verdict.
  EXPECT_EQ(one.blobs().size(), 5u);
}

TEST(StoredAppraisal, ABindingIsKeptAndReplayed) {
  auto in = inputs();
  in.report_data.reset();
  in.binding = attestation::BindingStatement{.purpose = base::Purpose::instance_release,
                                             .audience = "attestry.local/1",
                                             .nonce = base::Bytes(42, 9),
                                             .tenant = base::Tenant::standard(),
                                             .app = base::AppRef::parse("web").value(),
                                             .csr_spki = base::Bytes(91, 8),
                                             .recipient = base::Bytes(34, 7)};
  const auto one = judged(std::move(in));
  const auto two = read_export(write_export(one));
  ASSERT_TRUE(two.ok()) << two.error().text();
  EXPECT_EQ(two->inputs().binding->binding(), one.inputs().binding->binding());
  EXPECT_THAT(two->verdict_json(), HasSubstr("binding.report_data"));
  EXPECT_TRUE(replay(*two)->same);
}

TEST(StoredAppraisal, AnotherPolicySaysWhatItWouldSay) {
  const auto one = judged(inputs());
  const auto again = replay(one, &attestation::Policy::strict());
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(again->same);
  EXPECT_EQ(again->verdict.policy_sha256, attestation::Policy::strict().sha256());
}

TEST(StoredAppraisal, AnotherCatalogueOrOtherRootsAreSaid) {
  const auto one = judged(inputs());
  const std::string old = replaced(one.verdict_json(), attestation::kCatalogueVersion, "1999.1");
  const auto document = [&](std::string text) {
    text = replaced(std::move(text), attestation::kCatalogueVersion, "1999.1");
    const auto was = crypto::sha256(base::as_bytes(one.verdict_json()));
    text = replaced(std::move(text), base::hex(was), base::hex(crypto::sha256(base::as_bytes(old))));
    return text;
  };
  const auto find = [&](const base::Digest32& sha256) -> base::Result<base::Bytes> {
    if (sha256 == crypto::sha256(base::as_bytes(old))) return base::to_bytes(old);
    for (const auto& blob : one.blobs()) {
      if (blob.sha256 == sha256) return base::to_bytes(blob.bytes);
    }
    return base::Error{Code::malformed, "missing"};
  };
  const auto restored = StoredAppraisal::restore(document(one.document()), find);
  ASSERT_TRUE(restored.ok()) << restored.error().text();
  const auto again = replay(*restored);
  EXPECT_FALSE(again->same);
  EXPECT_FALSE(again->same_catalogue);

  const std::string anchors = base::hex(one.inputs().anchors.sha256());
  const std::string other = base::hex(crypto::sha256(base::as_bytes("other roots")));
  const auto elsewhere = StoredAppraisal::restore(replaced(document(one.document()), anchors, other), find);
  ASSERT_TRUE(elsewhere.ok()) << elsewhere.error().text();
  EXPECT_FALSE(elsewhere->same_anchors());
}

TEST(StoredAppraisal, NothingThatWasChangedIsRead) {
  const std::string good = write_export(judged(inputs()));
  refused(replaced(good, "\"stale_seconds\":77", "\"stale_seconds\":78"), "the appraisal was changed");
  refused(replaced(good, "attestry/appraisal-export", "something else"), "type");
  refused(replaced(good, "\"format\":1", "\"format\":2"), "format");
  refused(replaced(good, "\"binding\":null", "\"binding\":null,\"more\":1"), "more");
  refused(replaced(good, "\"dcap_quote\"", "\"smoke_signal\""), "a word that this version of attestry knows");
  refused(replaced(good, "\"realm\":\"production\"", "\"realm\":\"simulated\""), "");
  const auto evidence = base::hex(crypto::sha256(base::Bytes(700, 4)));
  refused(replaced(good, "\"" + evidence + "\":", "\"00\":"), "bytes are missing");
  refused(replaced(good, base::base64url(base::to_bytes("log")), base::base64url(base::to_bytes("fog"))),
          "bytes that are not those that the appraisal names");
  refused("{}", "");
  refused("", "");
}

// A file that somebody sends must not make a production root of its own key.
TEST(StoredAppraisal, ProductionRootsAreThisProgramsOwn) {
  auto in = inputs();
  const auto one = judged(std::move(in));
  const auto two = read_export(write_export(one));
  EXPECT_EQ(two->inputs().anchors.sha256(), one.inputs().anchors.sha256());
  EXPECT_EQ(two->inputs().anchors.roots(), attestation::TrustAnchors::production().roots());
}

}  // namespace
}  // namespace attestry::appraisal
