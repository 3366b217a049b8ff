// Forged cases through the real verifier: every kind accepted under the test root, every fault refused by the check
// that exists for it.
#include "forge/scenario.h"

#include <gtest/gtest.h>

#include <map>

#include "attestation/verifier.h"
#include "base/json.h"

namespace attestry::forge {
namespace {

constexpr base::UtcTime kAt{1'795'261'432};  // 2026-11-21T11:43:52Z

const ForgePki& pki() {
  static const ForgePki one = ForgePki::make(base::as_bytes("scenario test")).value();
  return one;
}

Case case_of(QuoteKind kind, Fault fault = Fault::none, PlatformSpec platform = {}) {
  return make_case(pki(), {default_quote(pki(), kind), platform, kAt, fault}).value();
}

const attestation::Verifier& test_verifier() {
  static const attestation::Verifier one(attestation::TrustAnchors::simulated(
      {attestation::TestRoot::from_certificate(base::as_bytes(pki().root().pem())).value()}));
  return one;
}

attestation::Verdict verdict_of(const Case& c, const attestation::Verifier& verifier = test_verifier()) {
  return verifier.verify(c.evidence(), *c.collateral.collateral(), c.scenario.at).value();
}

std::string root_cause(const attestation::Verdict& verdict) {
  const auto* cause = verdict.root_cause();
  return cause == nullptr ? "none" : std::string{attestation::info(cause->check).id};
}

/// The check that must name each fault. A fault that leaves the evidence genuine has none.
const std::map<Fault, std::string>& causes() {
  static const std::map<Fault, std::string> all{
      {Fault::none, "none"},
      {Fault::truncated, "dcap.quote.structure"},
      {Fault::trailing_byte, "dcap.quote.structure"},
      {Fault::vendor_id, "dcap.quote.vendor"},
      {Fault::certification_type, "dcap.quote.certification_data"},
      {Fault::quote_signature, "dcap.quote.signature"},
      {Fault::other_attestation_key, "dcap.qe.binding"},
      {Fault::qe_report_data_tail, "dcap.qe.binding"},
      {Fault::qe_report_signature, "dcap.qe.signature"},
      {Fault::qe_mr_signer, "dcap.qe.mrsigner"},
      {Fault::qe_prod_id, "dcap.qe.isvprodid"},
      {Fault::qe_svn_below_all, "dcap.qe.level"},
      {Fault::qe_debug, "dcap.qe.attributes"},
      {Fault::debug, "none"},  // genuine; the policy refuses it
      {Fault::seam_attributes, "tdx.module.attributes"},
      {Fault::module_unknown, "tdx.module.identity"},
      {Fault::foreign_root, "dcap.pck.root"},
      {Fault::chain_order, "dcap.pck.chain.format"},
      {Fault::pck_expired, "dcap.pck.validity"},
      {Fault::pck_revoked, "dcap.crl.pck.revoked"},
      {Fault::intermediate_revoked, "dcap.crl.intermediate.revoked"},
      {Fault::tcb_signing_revoked, "dcap.crl.tcb_signing.revoked"},
      {Fault::tcb_info_signature, "dcap.tcb_info.signature"},
      {Fault::tcb_info_expired, "dcap.tcb_info.validity"},
      {Fault::tcb_info_future, "dcap.tcb_info.validity"},
      {Fault::fmspc, "dcap.tcb_info.fmspc"},
      {Fault::pce_id, "dcap.tcb_info.pceid"},
      {Fault::other_tee, "dcap.tcb_info.id"},
      {Fault::qe_identity_signature, "dcap.qe_identity.signature"},
      {Fault::qe_identity_expired, "dcap.qe_identity.validity"},
      {Fault::qe_identity_other_tee, "dcap.qe_identity.id"},
      {Fault::root_crl_expired, "dcap.crl.root.validity"},
      {Fault::pck_crl_expired, "dcap.crl.pck.validity"},
      {Fault::pck_crl_other_ca, "dcap.crl.pck.issuer"},
      {Fault::sw_hardening, "none"},
      {Fault::out_of_date, "none"},
      {Fault::platform_revoked, "dcap.tcb.revoked"},
      {Fault::tcb_not_supported, "dcap.tcb.level"},
      {Fault::qe_out_of_date, "none"},
      {Fault::module_out_of_date, "none"},
      {Fault::relaunch_advised, "none"},
  };
  return all;
}

TEST(ForgedCases, EveryKindIsGenuineUnderItsRoot) {
  for (const QuoteKind kind : all_quote_kinds()) {
    SCOPED_TRACE(to_text(kind));
    const auto verdict = verdict_of(case_of(kind));
    EXPECT_EQ(verdict.evidence, attestation::Genuineness::genuine) << root_cause(verdict);
    EXPECT_TRUE(verdict.simulated);
    EXPECT_EQ(verdict.platform, is_tdx(kind) ? attestation::Platform::tdx : attestation::Platform::sgx);
    ASSERT_TRUE(verdict.tcb.has_value());
    EXPECT_EQ(verdict.tcb->status, "UpToDate");
    EXPECT_TRUE(verdict.tcb->advisory_ids.empty());
  }
}

TEST(ForgedCases, TheProcessorCaWorksAsWell) {
  PlatformSpec platform;
  platform.ca = CaKind::processor;
  for (const QuoteKind kind : {QuoteKind::sgx_v3, QuoteKind::tdx_v4}) {
    const auto verdict = verdict_of(case_of(kind, Fault::none, platform));
    EXPECT_EQ(verdict.evidence, attestation::Genuineness::genuine) << root_cause(verdict);
  }
}

TEST(ForgedCases, ProductionRootsRefuseAll) {
  const attestation::Verifier production(attestation::TrustAnchors::production());
  for (const QuoteKind kind : all_quote_kinds()) {
    const auto verdict = verdict_of(case_of(kind), production);
    EXPECT_EQ(verdict.evidence, attestation::Genuineness::not_genuine);
    EXPECT_FALSE(verdict.simulated);
    EXPECT_EQ(root_cause(verdict), "dcap.pck.root");
  }
}

TEST(ForgedCases, EveryFaultIsNamedByItsCheck) {
  ASSERT_EQ(causes().size(), faults().size());
  for (const QuoteKind kind : {QuoteKind::sgx_v3, QuoteKind::tdx_v4, QuoteKind::tdx_v5}) {
    for (const auto& fault : faults()) {
      if (!applies(fault.fault, kind)) continue;
      SCOPED_TRACE(std::string{to_text(kind)} + " " + std::string{fault.name});
      const auto c = case_of(kind, fault.fault);
      const auto verdict = verdict_of(c);
      const std::string& cause = causes().at(fault.fault);
      EXPECT_EQ(root_cause(verdict), cause);
      EXPECT_EQ(verdict.evidence == attestation::Genuineness::genuine, cause == "none");
      EXPECT_EQ(verdict.debug, fault.fault == Fault::debug);
      if (fault.tcb_status.empty()) continue;
      ASSERT_TRUE(verdict.tcb.has_value());
      EXPECT_EQ(verdict.tcb->status, fault.tcb_status);
      EXPECT_EQ(verdict.tcb->advisory_ids, c.advisories);
    }
  }
}

TEST(ForgedCases, ClaimsAreWhatTheCaseSays) {
  const auto c = case_of(QuoteKind::tdx_v5);
  const auto verdict = verdict_of(c);
  const auto document = base::JsonDocument::parse(c.case_json("one")).value();
  const auto expect = document->root().get("expect").value();
  EXPECT_EQ(expect.get("result").value().string("result").value(), "ok");
  const auto measurements = expect.get("measurements").value();
  EXPECT_GT(measurements.size(), 10u);
  for (auto value = measurements.first(); value; value = value->next()) {
    const auto* claim = verdict.claim(value->key());
    ASSERT_NE(claim, nullptr) << value->key();
    EXPECT_EQ(claim->value, value->string("measurement").value()) << value->key();
  }
}

TEST(ForgedCases, PlatformsShareCollateral) {
  const auto first = case_of(QuoteKind::tdx_v4);
  PlatformSpec platform;
  platform.index = 41;
  const auto second = case_of(QuoteKind::tdx_v4, Fault::none, platform);
  EXPECT_NE(first.quote, second.quote);
  EXPECT_EQ(first.collateral.json(), second.collateral.json());
  EXPECT_EQ(verdict_of(second).evidence, attestation::Genuineness::genuine);
}

TEST(ForgedCases, NamesOfFaultsRoundTrip) {
  for (const auto& fault : faults()) EXPECT_EQ(parse_fault(fault.name), fault.fault);
  EXPECT_FALSE(parse_fault("no-such-fault").has_value());
}

TEST(ForgedCases, AFaultThatTheTeeCannotHaveIsRefused) {
  EXPECT_FALSE(
      make_case(pki(), {default_quote(pki(), QuoteKind::sgx_v3), {}, kAt, Fault::seam_attributes}).has_value());
  EXPECT_FALSE(
      make_case(pki(), {default_quote(pki(), QuoteKind::tdx_v4), {}, kAt, Fault::relaunch_advised}).has_value());
}

}  // namespace
}  // namespace attestry::forge
