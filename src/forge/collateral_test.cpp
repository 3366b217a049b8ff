#include "forge/collateral.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "base/json.h"
#include "forge/pcs.h"

namespace attestry::forge {
namespace {

constexpr base::UtcTime kAt{1'795'261'432};  // 2026-11-21T11:43:52Z

const ForgePki& pki() {
  static const ForgePki one = ForgePki::make(base::as_bytes("collateral test")).value();
  return one;
}

std::string member(const std::string& text, std::string_view name) {
  return base::JsonDocument::parse(text).value()->root().get(name).value().string(name).value();
}

TEST(ForgeCollateral, TextsAreCompactJsonInIntelsOrder) {
  const auto made = make_collateral(pki(), default_collateral(true, kAt)).value();
  EXPECT_TRUE(made.tcb_info.starts_with(
      R"({"id":"TDX","version":3,"issueDate":"2026-11-20T00:00:00Z","nextUpdate":"2026-12-20T00:00:00Z",)"
      R"("fmspc":"509060200000","pceId":"0000","tcbType":0,"tcbEvaluationDataNumber":20,"tdxModule":{"mrsigner":")"));
  EXPECT_TRUE(made.qe_identity.starts_with(
      R"({"id":"TD_QE","version":2,"issueDate":"2026-11-20T00:00:00Z","nextUpdate":"2026-12-20T00:00:00Z",)"
      R"("tcbEvaluationDataNumber":20,"miscselect":"00000000","miscselectMask":"FFFFFFFF",)"));
  const auto document = base::JsonDocument::parse(made.tcb_info).value();
  EXPECT_EQ(document->root().get("tcbLevels").value().size(), 4u);
  EXPECT_EQ(document->root().get("tdxModuleIdentities").value().size(), 2u);
}

TEST(ForgeCollateral, SgxHasNoModule) {
  const auto text = tcb_info_text(default_collateral(false, kAt).tcb_info);
  const auto document = base::JsonDocument::parse(text).value();
  EXPECT_FALSE(document->root().find("tdxModule").has_value());
  EXPECT_EQ(text.find("tdxtcbcomponents"), std::string::npos);
  EXPECT_EQ(member(text, "id"), "SGX");
  EXPECT_EQ(member(qe_identity_text(default_collateral(false, kAt).qe_identity), "id"), "QE");
}

TEST(ForgeCollateral, SignaturesCoverTheExactTexts) {
  const auto made = make_collateral(pki(), default_collateral(true, kAt)).value();
  const auto key = pki().tcb_signing().key.public_key();
  EXPECT_TRUE(key.verify_raw(base::as_bytes(made.tcb_info), made.tcb_info_signature));
  EXPECT_TRUE(key.verify_raw(base::as_bytes(made.qe_identity), made.qe_identity_signature));
  EXPECT_FALSE(key.verify_raw(base::as_bytes(made.tcb_info + " "), made.tcb_info_signature));
}

TEST(ForgeCollateral, StaysTheSameForAWholeDay) {
  const auto made = make_collateral(pki(), default_collateral(true, kAt)).value().json();
  EXPECT_EQ(made, make_collateral(pki(), default_collateral(true, kAt + 3600)).value().json());
  EXPECT_NE(made, make_collateral(pki(), default_collateral(true, kAt + 86400)).value().json());
}

TEST(ForgeCollateral, BundleHasTheMembersOfQuoteCollateralV3) {
  const auto made = make_collateral(pki(), default_collateral(true, kAt)).value();
  const auto json = made.json();
  EXPECT_EQ(member(json, "tcb_info"), made.tcb_info);
  EXPECT_EQ(member(json, "qe_identity"), made.qe_identity);
  EXPECT_EQ(base::hex_decode(member(json, "root_ca_crl")).value(), made.root_ca_crl);
  EXPECT_EQ(base::hex_decode(member(json, "pck_crl")).value(), made.pck_crl);
  EXPECT_EQ(base::hex_decode(member(json, "tcb_info_signature")).value(), made.tcb_info_signature);
  EXPECT_EQ(base::hex_decode(member(json, "qe_identity_signature")).value(), made.qe_identity_signature);
  for (const auto* chain : {"pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain"}) {
    EXPECT_EQ(base::pem_decode(member(json, chain)).value().size(), 2u) << chain;
  }
}

TEST(ForgeCollateral, GivesEveryKindThatAQuoteNeeds) {
  using attestation::CollateralKind;
  const auto set = make_collateral(pki(), default_collateral(true, kAt)).value().collateral();
  for (const auto kind :
       {CollateralKind::tcb_info, CollateralKind::tcb_info_signature, CollateralKind::tcb_info_chain,
        CollateralKind::qe_identity, CollateralKind::qe_identity_signature, CollateralKind::qe_identity_chain,
        CollateralKind::pck_crl, CollateralKind::pck_crl_chain, CollateralKind::root_ca_crl}) {
    EXPECT_NE(set->find(kind), nullptr) << attestation::to_text(kind);
  }
}

std::string header(const PcsReply& reply, std::string_view name) {
  for (const auto& [key, value] : reply.headers) {
    if (key == name) return value;
  }
  return {};
}

TEST(ForgePcs, TcbInfoIsSignedAndCarriesItsChain) {
  const ForgePcs pcs(pki());
  for (const std::string tee : {"sgx", "tdx"}) {
    const auto reply = pcs.get("/" + tee + "/certification/v4/tcb?fmspc=509060200000", kAt);
    ASSERT_EQ(reply.status, 200);
    const auto document = base::JsonDocument::parse(std::string{base::as_text(reply.body)}).value();
    const auto text = document->root().get("tcbInfo").value().source();
    const auto signature =
        base::hex_decode(document->root().get("signature").value().string("signature").value()).value();
    EXPECT_TRUE(pki().tcb_signing().key.public_key().verify_raw(base::as_bytes(text), signature));
    EXPECT_EQ(base::percent_decode(header(reply, "TCB-Info-Issuer-Chain")).value(), pki().tcb_chain_pem());
    EXPECT_EQ(member(std::string{text}, "id"), tee == "tdx" ? "TDX" : "SGX");
  }
}

TEST(ForgePcs, IdentityIsSignedAndCarriesItsChain) {
  const ForgePcs pcs(pki());
  const auto reply = pcs.get("/tdx/certification/v4/qe/identity?update=standard", kAt);
  ASSERT_EQ(reply.status, 200);
  const auto document = base::JsonDocument::parse(std::string{base::as_text(reply.body)}).value();
  EXPECT_EQ(member(std::string{document->root().get("enclaveIdentity").value().source()}, "id"), "TD_QE");
  EXPECT_EQ(base::percent_decode(header(reply, "SGX-Enclave-Identity-Issuer-Chain")).value(), pki().tcb_chain_pem());
}

TEST(ForgePcs, CrlsInTheirEncodings) {
  const ForgePcs pcs(pki());
  const auto der = pcs.get("/sgx/certification/v4/pckcrl?ca=processor&encoding=der", kAt);
  ASSERT_EQ(der.status, 200);
  EXPECT_TRUE(crypto::Crl::parse(der.body).value().signed_by(pki().ca(CaKind::processor).key.public_key()));
  EXPECT_EQ(base::percent_decode(header(der, "SGX-PCK-CRL-Issuer-Chain")).value(),
            pki().ca_chain_pem(CaKind::processor));
  const auto pem = pcs.get("/sgx/certification/v4/pckcrl?ca=processor", kAt);
  EXPECT_EQ(base::pem_decode(base::as_text(pem.body)).value().at(0).der, der.body);
  const auto root_hex = pcs.get("/sgx/certification/v4/rootcacrl", kAt);
  const auto root_der = pcs.get("/IntelSGXRootCA.der", kAt);
  EXPECT_EQ(base::hex_decode(base::as_text(root_hex.body)).value(), root_der.body);
  EXPECT_TRUE(crypto::Crl::parse(root_der.body).value().signed_by(pki().root().key.public_key()));
}

TEST(ForgePcs, HeadersStayOnOneLine) {
  const auto reply = ForgePcs(pki()).get("/sgx/certification/v4/qe/identity", kAt);
  for (const auto& [name, value] : reply.headers) EXPECT_EQ(value.find_first_of("\r\n"), std::string::npos) << name;
}

TEST(ForgePcs, RefusesWhatIntelRefuses) {
  const ForgePcs pcs(pki());
  EXPECT_EQ(pcs.get("/sgx/certification/v4/tcb", kAt).status, 400);
  EXPECT_EQ(pcs.get("/sgx/certification/v4/tcb?fmspc=50906020000", kAt).status, 400);
  EXPECT_EQ(pcs.get("/sgx/certification/v4/tcb?fmspc=000000000000", kAt).status, 404);
  EXPECT_EQ(pcs.get("/sgx/certification/v4/pckcrl?encoding=der", kAt).status, 400);
  EXPECT_EQ(pcs.get("/sgx/certification/v4/pckcrl?ca=other", kAt).status, 400);
  EXPECT_EQ(pcs.get("/tdx/certification/v4/pckcrl?ca=platform", kAt).status, 404);
  EXPECT_EQ(pcs.get("/sgx/certification/v3/tcb?fmspc=509060200000", kAt).status, 404);
  EXPECT_EQ(pcs.get("", kAt).status, 404);
  EXPECT_EQ(pcs.get("/sgx/certification/v4/", kAt).status, 404);
  EXPECT_EQ(pcs.get("?&&=&", kAt).status, 404);
}

}  // namespace
}  // namespace attestry::forge
