// Forged Nitro documents under the verifier: each mistake that other verifiers made is a fault here, and the check that
// is there for it is the root cause.
#include "forge/nitro.h"

#include <gtest/gtest.h>

#include <map>

#include "attestation/binding.h"
#include "attestation/verifier.h"
#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::forge {
namespace {

using attestation::Outcome;
using attestation::Policy;
using attestation::Verdict;

constexpr base::UtcTime kAt{1795262400};
const base::ByteView kSeed = base::as_bytes("nitro test");

NitroCase forged(NitroSpec spec) {
  spec.at = kAt;
  return make_nitro_case(kSeed, spec).value();
}

attestation::TrustAnchors anchors_of(const NitroCase& made) {
  return attestation::TrustAnchors::simulated(
      {attestation::TestRoot::from_certificate(base::as_bytes(made.root_pem)).value()});
}

Verdict verified(const NitroCase& made, base::UtcTime at = kAt) {
  const attestation::Verifier verifier(anchors_of(made));
  return verifier.verify(made.evidence(), *attestation::Collateral::none(), at).value();
}

Verdict judged(const NitroCase& made, base::UtcTime at = kAt) {
  Verdict verdict = verified(made, at);
  evaluate(Policy::genuine(), verdict);
  return verdict;
}

std::string cause(const Verdict& verdict) {
  return verdict.root_cause() == nullptr ? "none" : std::string{info(verdict.root_cause()->check).id};
}

TEST(ForgedNitro, TheSameSeedGivesTheSameBytes) {
  EXPECT_EQ(forged({}).document, forged({}).document);
  const auto other = make_nitro_case(base::as_bytes("another"), {.at = kAt}).value();
  EXPECT_NE(other.document, forged({}).document);
  EXPECT_NE(other.root_pem, forged({}).root_pem);
  EXPECT_EQ(make_nitro_case(kSeed, {.at = kAt + 86400 * 365}).value().root_pem, forged({}).root_pem);
  EXPECT_FALSE(make_nitro_case({}, {.at = kAt}).ok());
}

TEST(ForgedNitro, EveryFaultHasItsRootCause) {
  using enum NitroFault;
  const std::map<NitroFault, std::string_view> causes{
      {truncated, "nitro.cose.structure"},
      {trailing_byte, "nitro.cose.structure"},
      {algorithm, "nitro.cose.algorithm"},
      {extra_parameter, "nitro.cose.algorithm"},
      {payload_nil, "nitro.cose.structure"},
      {signature_der, "nitro.cose.signature_size"},
      {signature_zero, "nitro.cose.signature"},
      {other_key, "nitro.cose.signature"},
      {payload_trailing, "nitro.document.structure"},
      {field_duplicate, "nitro.document.structure"},
      {deep_nesting, "nitro.document.structure"},
      {huge_count, "nitro.document.structure"},
      {certificate_missing, "nitro.document.structure"},
      {bundle_empty, "nitro.document.structure"},
      {user_data_large, "nitro.document.structure"},
      {nonce_text, "nitro.document.structure"},
      {digest, "nitro.document.digest"},
      {timestamp, "nitro.document.timestamp"},
      {pcr_duplicate, "nitro.document.structure"},
      {pcr_index, "nitro.document.pcrs"},
      {pcr_size, "nitro.document.pcrs"},
      {foreign_root, "nitro.chain.root"},
      {bundle_reversed, "nitro.chain.root"},
      {root_then_impostor, "nitro.chain.signatures"},
      {intermediate_missing, "nitro.chain.names"},
      {intermediate_expired, "nitro.chain.validity"},
      {intermediate_no_ca, "nitro.chain.constraints"},
      {path_length, "nitro.chain.constraints"},
      {leaf_expired, "nitro.chain.validity"},
      {leaf_as_ca, "nitro.chain.constraints"},
      {leaf_no_signature, "nitro.chain.constraints"},
      {leaf_critical, "nitro.chain.constraints"},
      {leaf_p256, "nitro.chain.leaf_key"},
      {debug, "policy.debug"},
  };
  for (const NitroFaultInfo& fault : nitro_faults()) {
    const Verdict verdict = judged(forged({.fault = fault.fault}));
    if (fault.accepted) {
      EXPECT_EQ(verdict.outcome, Outcome::accepted) << fault.name << ": " << cause(verdict);
      continue;
    }
    EXPECT_EQ(verdict.outcome, Outcome::refused) << fault.name;
    ASSERT_TRUE(causes.contains(fault.fault)) << fault.name;
    EXPECT_EQ(cause(verdict), causes.at(fault.fault)) << fault.name;
  }
}

TEST(ForgedNitro, NothingIsAcceptedUnderTheRootOfAws) {
  const attestation::Verifier verifier(attestation::TrustAnchors::production());
  const auto verdict = verifier.verify(forged({}).evidence(), *attestation::Collateral::none(), kAt).value();
  EXPECT_EQ(verdict.evidence, attestation::Genuineness::not_genuine);
  EXPECT_EQ(cause(verdict), "nitro.chain.root");
}

TEST(ForgedNitro, ClaimsAreWhatTheDocumentSays) {
  const base::Bytes user_data{1, 2, 3};
  const NitroCase made = forged({.user_data = user_data, .nonce = base::Bytes{}});
  const Verdict verdict = judged(made);
  EXPECT_EQ(verdict.outcome, Outcome::accepted);
  EXPECT_TRUE(verdict.simulated);
  EXPECT_EQ(verdict.report_data, user_data);
  EXPECT_EQ(verdict.claim("pcr0")->value, base::hex(made.pcr0));
  EXPECT_EQ(verdict.claim("user_data")->value, "010203");
  EXPECT_EQ(verdict.claim("nonce")->value, "");
  EXPECT_EQ(verdict.claim("public_key"), nullptr);
  EXPECT_EQ(verdict.claim("digest")->value, "SHA384");
  EXPECT_EQ(verdict.claim("timestamp_ms")->value, std::to_string(kAt.seconds * 1000));
  EXPECT_TRUE(verdict.claim("timestamp_ms")->is_number);
  EXPECT_EQ(verdict.valid_until, kAt + 7200);
}

TEST(ForgedNitro, TheExpectedReportDataIsComparedAsItIs) {
  const NitroCase made = forged({.user_data = base::Bytes{7, 0}});
  for (const auto& [expected, outcome] : std::map<base::Bytes, Outcome>{
           {{7, 0}, Outcome::accepted}, {{7}, Outcome::refused}, {{8, 0}, Outcome::refused}}) {
    Verdict verdict = verified(made);
    evaluate(Policy::genuine(), verdict, base::ByteView{expected});
    EXPECT_EQ(verdict.outcome, outcome) << base::hex(expected);
  }
  Verdict without = verified(forged({}));
  evaluate(Policy::genuine(), without, base::ByteView{base::as_bytes("x")});
  EXPECT_EQ(without.outcome, Outcome::refused);
}

attestation::BindingStatement statement() {
  return {.purpose = base::Purpose::instance_release,
          .audience = "example",
          .nonce = base::Bytes(42, 9),
          .tenant = base::Tenant::standard(),
          .app = base::AppRef::parse("name:app").value(),
          .csr_spki = base::Bytes{1, 2},
          .recipient = base::Bytes{0, 32}};
}

// FORMATS 3: user_data = B, nonce = the nonce; public_key absent or the SPKI.
TEST(ForgedNitro, IsBoundByUserDataNonceAndPublicKey) {
  const auto asked = statement();
  const auto b = asked.binding();
  const base::Bytes binding(b.begin(), b.end());
  const auto bound = [&](NitroSpec spec) {
    Verdict verdict = verified(forged(std::move(spec)));
    return attestation::bind(verdict, asked).ok();
  };
  EXPECT_TRUE(bound({.user_data = binding, .nonce = asked.nonce}));
  EXPECT_TRUE(bound({.user_data = binding, .nonce = asked.nonce, .public_key = asked.csr_spki}));
  EXPECT_FALSE(bound({.user_data = binding}));
  EXPECT_FALSE(bound({.user_data = binding, .nonce = base::Bytes(42, 8)}));
  EXPECT_FALSE(bound({.nonce = asked.nonce}));
  EXPECT_FALSE(bound({.user_data = binding, .nonce = asked.nonce, .public_key = base::Bytes{1, 3}}));
  EXPECT_FALSE(bound({.user_data = base::Bytes(64, 1), .nonce = asked.nonce}));
}

TEST(ForgedNitro, AChainSeenBeforeIsJudgedByTimeOnEveryCall) {
  const NitroCase made = forged({});
  const attestation::Verifier verifier(anchors_of(made));
  for (const auto& [at, evidence] :
       {std::pair{kAt, attestation::Genuineness::genuine}, std::pair{kAt + 7201, attestation::Genuineness::not_genuine},
        std::pair{kAt - 3601, attestation::Genuineness::not_genuine},
        std::pair{kAt + 7200, attestation::Genuineness::genuine}}) {
    const auto verdict = verifier.verify(made.evidence(), *attestation::Collateral::none(), at).value();
    EXPECT_EQ(verdict.evidence, evidence) << at.seconds;
  }
}

}  // namespace
}  // namespace attestry::forge
