// The vault's artefacts on the paths of Intel's PCS and AMD's KDS, as other people's clients ask for them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/testing/support.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/x509.h"
#include "forge/scenario.h"
#include "forge/snp.h"

namespace attestry::app {
namespace {

using attestation::CollateralItem;
using attestation::CollateralKind;
using base::Code;
using governance::testing::patient;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::int64_t kDay = 86400;

/// A vendor that knows what it is told, or is away.
class Vendor final : public collateral::Fetcher {
 public:
  base::Result<collateral::Origin> origin(const attestation::Artefact&) const override {
    return collateral::Origin{.host = "vendor.test"};
  }
  base::Result<collateral::Fetched> fetch(const attestation::Artefact& artefact, base::Deadline,
                                          collateral::Trouble& trouble) const override {
    ++calls;
    if (away) {
      trouble.away = true;
      return base::Error{Code::unavailable, "vendor.test: no answer"};
    }
    const auto found = items.find(artefact);
    if (found == items.end()) return base::Error{Code::collateral_missing, "vendor.test: status 404"};
    return collateral::Fetched{found->second, "https://vendor.test"};
  }

  std::map<attestation::Artefact, std::vector<CollateralItem>> items;
  std::atomic<bool> away = false;
  mutable std::atomic<int> calls = 0;
};

class CollateralServing : public ::testing::Test {
 protected:
  void SetUp() override {
    auto pki = forge::ForgePki::make(base::as_bytes("serving"));
    auto snp = forge::SnpPki::make(base::as_bytes("serving"), forge::SnpProduct::milan);
    ASSERT_TRUE(pki.ok() && snp.ok());
    auto intel = attestation::TestRoot::from_certificate(pki->root().der);
    auto amd = attestation::TestRoot::from_certificate(snp->ark().der);
    ASSERT_TRUE(intel.ok() && amd.ok());
    verifier_ = std::make_unique<attestation::Verifier>(
        attestation::TrustAnchors::simulated({*std::move(intel), *std::move(amd)}));
    const auto at = rooms_.house.clock.now();
    auto quote = forge::make_case(
        *pki, {.quote = forge::default_quote(*pki, forge::QuoteKind::tdx_v4), .platform = {}, .at = at});
    auto report = forge::make_snp_case(*snp, {.at = at});
    ASSERT_TRUE(quote.ok() && report.ok());
    quote_ = quote->evidence();
    intel_ = quote->collateral.collateral();
    report_ = *std::move(report);
    amd_ = attestation::Collateral::make({{.kind = CollateralKind::vek, .bytes = report_.vek},
                                          {.kind = CollateralKind::amd_chain, .bytes = base::to_bytes(report_.chain)},
                                          {.kind = CollateralKind::amd_crl, .bytes = report_.crl}});
    const auto needs = needs_of(attestation::Evidence{attestation::EvidenceFormat::snp_report, report_.report}, {});
    ASSERT_FALSE(needs.empty());
    for (const auto& artefact : needs.front().artefacts) {
      if (const auto* vcek = std::get_if<attestation::VcekOf>(&artefact)) vcek_ = *vcek;
    }
  }

  /// A vault that knows both platforms, or nothing yet but their vendor.
  void start(api::Serving serving, bool held, bool network = false) {
    vault_ = std::make_unique<collateral::Vault>(
        network ? &vendor_ : nullptr, *verifier_, rooms_.house.store.get(),
        collateral::VaultOptions{.background = false, .clock = &rooms_.house.clock});
    if (held) {
      for (const auto& set : {intel_, amd_}) {
        const auto imported =
            vault_->import(set->items(), {.source = "import test"}, rooms_.house.clock.now(), patient());
        ASSERT_TRUE(imported.ok()) << imported.error().text();
        for (const auto& one : *imported) {
          const auto* crl = one.artefact ? std::get_if<attestation::AmdCrlOf>(&*one.artefact) : nullptr;
          if (crl != nullptr && crl->vlek) continue;  // there is no chain of VLEKs that it could stand beside
          EXPECT_EQ(one.outcome, collateral::Imported::Outcome::added) << one.reason;
        }
      }
    }
    lane_ = std::make_unique<api::SlowLane>(2, 4);
    operators_lane_ = std::make_unique<api::SlowLane>(1);
    rooms_.deps.vault = vault_.get();
    rooms_.deps.slow = lane_.get();
    rooms_.deps.operators = operators_lane_.get();
    rooms_.deps.serving = serving;
    rooms_.deps.clock = &rooms_.house.clock;
    ASSERT_TRUE(api::add_routes(rooms_.router, rooms_.deps, {api::Service::collateral}).ok());
  }
  void TearDown() override {
    lane_.reset();
    operators_lane_.reset();
    vault_.reset();
  }

  net::Response get(const std::string& target, net::Headers headers = {}) {
    net::Request request;
    request.method = net::Method::get;
    request.target = target;
    request.headers = std::move(headers);
    return rooms_.send(net::Role::public_, std::move(request));
  }
  std::string vcek_path(const std::string& changed = {}) const {
    const auto& tcb = vcek_.tcb;
    return "/vcek/v1/Milan/" + base::hex(vcek_.hwid) + "?blSPL=" + std::to_string(tcb.boot_loader) +
           "&teeSPL=" + std::to_string(tcb.tee) + "&snpSPL=" + std::to_string(tcb.snp) +
           "&ucodeSPL=" + (changed.empty() ? std::to_string(tcb.microcode) : changed);
  }
  std::string tcb_path() const { return "/tdx/certification/v4/tcb?fmspc=" + base::hex(forge::kForgeFmspc); }
  std::string_view text_of(CollateralKind kind) const { return base::as_text(intel_->find(kind)->bytes); }

  api::testing::Rooms rooms_;
  std::unique_ptr<attestation::Verifier> verifier_;
  attestation::Evidence quote_;
  std::shared_ptr<const attestation::Collateral> intel_;
  forge::SnpCase report_;
  std::shared_ptr<const attestation::Collateral> amd_;
  attestation::VcekOf vcek_;
  Vendor vendor_;
  std::unique_ptr<collateral::Vault> vault_;
  std::unique_ptr<api::SlowLane> lane_;
  std::unique_ptr<api::SlowLane> operators_lane_;
};

TEST_F(CollateralServing, GivesSignedDocumentsByteForByteWithTheirChains) {
  start(api::Serving::held, true);
  const auto tcb = get(tcb_path() + "&update=standard");
  ASSERT_EQ(tcb.status, 200) << tcb.body;
  EXPECT_EQ(tcb.content_type, "application/json");
  EXPECT_EQ(tcb.body, "{\"tcbInfo\":" + std::string{text_of(CollateralKind::tcb_info)} + ",\"signature\":\"" +
                          base::hex(intel_->find(CollateralKind::tcb_info_signature)->bytes) + "\"}");
  EXPECT_EQ(tcb.headers.get("TCB-Info-Issuer-Chain"), net::percent_encode(text_of(CollateralKind::tcb_info_chain)));
  for (const auto* path : {"/tdx/certification/v4/qe/identity", "/tdx/certification/v4/qe/identity?update=STANDARD"}) {
    const auto identity = get(path);
    ASSERT_EQ(identity.status, 200) << identity.body;
    EXPECT_THAT(identity.body, StartsWith("{\"enclaveIdentity\":" + std::string{text_of(CollateralKind::qe_identity)}));
    EXPECT_EQ(identity.headers.get("SGX-Enclave-Identity-Issuer-Chain"),
              net::percent_encode(text_of(CollateralKind::qe_identity_chain)));
  }
}

TEST_F(CollateralServing, GivesRevocationListsInEveryEncodingThatClientsKnow) {
  start(api::Serving::held, true);
  const base::Bytes& crl = intel_->find(CollateralKind::pck_crl)->bytes;
  const base::Bytes& root = intel_->find(CollateralKind::root_ca_crl)->bytes;
  for (const std::string base : {"/sgx/certification/v4/", "/sgx/certification/v3/"}) {
    const auto der = get(base + "pckcrl?ca=PLATFORM&encoding=der");
    ASSERT_EQ(der.status, 200) << der.body;
    EXPECT_EQ(der.content_type, "application/pkix-crl");
    EXPECT_EQ(der.body, base::as_text(crl));
    EXPECT_EQ(der.headers.get("SGX-PCK-CRL-Issuer-Chain"), net::percent_encode(text_of(CollateralKind::pck_crl_chain)));
    EXPECT_EQ(get(base + "pckcrl?ca=platform").body, base::hex(crl));
    EXPECT_THAT(get(base + "pckcrl?ca=platform&encoding=pem").body, StartsWith("-----BEGIN X509 CRL-----"));
    EXPECT_EQ(get(base + "rootcacrl").body, base::hex(root));
    EXPECT_EQ(get(base + "crl?uri=https://certificates.trustedservices.intel.com/IntelSGXRootCA.der").body,
              base::as_text(root));
    EXPECT_EQ(get(base + "crl?uri=https://elsewhere.test/list.der").status, 404);
  }
}

TEST_F(CollateralServing, GivesAmdsCertificatesAndLists) {
  start(api::Serving::held, true);
  const auto vcek = get(vcek_path());
  ASSERT_EQ(vcek.status, 200) << vcek.body;
  EXPECT_EQ(vcek.content_type, "application/octet-stream");
  EXPECT_EQ(vcek.body, base::as_text(report_.vek));
  EXPECT_EQ(get("/vcek/v1/Milan/cert_chain").body, report_.chain);
  EXPECT_EQ(get("/vcek/v1/Milan/crl").body, base::as_text(report_.crl));
  EXPECT_EQ(get("/vlek/v1/Milan/cert_chain").status, 404);
  EXPECT_EQ(get("/vcek/v1/Genoa/cert_chain").status, 404);
}

TEST_F(CollateralServing, SaysWhatIsWrongWithARequest) {
  start(api::Serving::held, true);
  for (const auto* wrong :
       {"/tdx/certification/v4/tcb", "/tdx/certification/v4/tcb?fmspc=12",
        "/tdx/certification/v4/tcb?fmspc=00g06f000000",
        "/sgx/certification/v4/tcb?fmspc=00606a000000&fmspc=00606a000000",
        "/sgx/certification/v4/tcb?fmspc=00606a000000&update=later",
        "/sgx/certification/v4/tcb?fmspc=00606a000000&tcbEvaluationDataNumber=x", "/sgx/certification/v4/pckcrl",
        "/sgx/certification/v4/pckcrl?ca=root", "/sgx/certification/v4/pckcrl?ca=platform&encoding=xml",
        "/sgx/certification/v4/crl", "/vcek/v1/Milan/00"}) {
    EXPECT_EQ(get(wrong).status, 400) << wrong;
  }
  EXPECT_EQ(get(vcek_path("256")).status, 400);
  EXPECT_EQ(get(vcek_path("-1")).status, 400);
  EXPECT_EQ(get("/vcek/v1/Rome/cert_chain").status, 404);
  EXPECT_EQ(get(tcb_path() + "&customParameters=abc").status, 200) << "what a client adds for its own PCCS is ignored";
}

TEST_F(CollateralServing, NeverAnswersWithAnotherSetThanTheOneAskedFor) {
  start(api::Serving::held, true);
  EXPECT_EQ(get(tcb_path() + "&update=early").status, 404);
  EXPECT_EQ(get(tcb_path() + "&tcbEvaluationDataNumber=20").status, 200);
  EXPECT_EQ(get(tcb_path() + "&tcbEvaluationDataNumber=21").status, 404);
}

TEST_F(CollateralServing, SaysHowLongAnAnswerMayBeKept) {
  start(api::Serving::held, true);
  rooms_.house.clock.pass(100);
  const auto first = get(tcb_path());
  EXPECT_EQ(first.headers.get("ETag"), "\"" + base::hex(crypto::sha256(base::as_bytes(first.body))) + "\"");
  EXPECT_EQ(first.headers.get("Age"), "100");
  EXPECT_THAT(std::string{first.headers.get("Cache-Control")}, StartsWith("public, max-age="));
  EXPECT_FALSE(first.headers.find("Warning").has_value());
  for (const std::string& tag : {std::string{first.headers.get("ETag")}, std::string{"*"},
                                 "\"other\", W/" + std::string{first.headers.get("ETag")}}) {
    const auto again = get(tcb_path(), {{"If-None-Match", tag}});
    EXPECT_EQ(again.status, 304) << tag;
    EXPECT_TRUE(again.body.empty());
    EXPECT_EQ(again.headers.get("ETag"), first.headers.get("ETag"));
  }
  EXPECT_EQ(get(tcb_path(), {{"If-None-Match", "\"other\""}}).status, 200);
}

TEST_F(CollateralServing, GivesNothingPastItsEnd) {
  start(api::Serving::held, true);
  rooms_.house.clock.pass(40 * kDay);
  EXPECT_EQ(get(tcb_path()).status, 404);
  EXPECT_EQ(get(vcek_path()).status, 200) << "the certificate lives on";
}

TEST_F(CollateralServing, NeverAsksAVendorForStrangers) {
  start(api::Serving::held, false, true);
  const auto reply = get(tcb_path());
  EXPECT_EQ(reply.status, 404);
  EXPECT_THAT(reply.body, HasSubstr("attestry collateral fetch"));
  EXPECT_EQ(get(vcek_path()).status, 404);
  EXPECT_EQ(vendor_.calls, 0);
}

TEST_F(CollateralServing, FetchesWhereItIsToldToAndOnlyOnce) {
  vendor_.items[attestation::AmdChainOf{attestation::snp::Product::milan, false}] = {
      {.kind = CollateralKind::amd_chain, .bytes = base::to_bytes(report_.chain)}};
  vendor_.items[vcek_] = {{.kind = CollateralKind::vek, .bytes = report_.vek}};
  start(api::Serving::fetch, false, true);
  EXPECT_EQ(get(vcek_path()).body, base::as_text(report_.vek));
  EXPECT_EQ(get(vcek_path()).body, base::as_text(report_.vek));
  EXPECT_EQ(vendor_.calls, 2) << "the certificate, and the chain that it is judged by";
  EXPECT_EQ(get(vcek_path("7")).status, 404);
}

TEST_F(CollateralServing, SaysWhenToComeBackToAVendorThatIsAway) {
  vendor_.away = true;
  start(api::Serving::fetch, false, true);
  const auto reply = get(tcb_path());
  EXPECT_EQ(reply.status, 503) << reply.body;
  EXPECT_TRUE(reply.headers.find("Retry-After").has_value());
}

TEST_F(CollateralServing, StrangersKeepNoOperatorWaiting) {
  start(api::Serving::fetch, true);
  api::SlowLane taken(0);  // as when every thread for strangers waits for a vendor
  rooms_.deps.slow = &taken;
  net::Request request;
  request.method = net::Method::post;
  request.target = "/v1/collateral/fetch";
  request.body = R"({"artefact":")" + to_text(attestation::Artefact{vcek_}) + R"("})";
  request.headers.set("Content-Type", "application/json");
  request.headers.set("Authorization", "Bearer token");
  rooms_.router.set_authenticator(api::make_authenticator(crypto::sha256(base::as_bytes("token"))));
  const auto answer = rooms_.send(net::Role::admin, std::move(request));
  EXPECT_EQ(answer.status, 200) << answer.body;
}

TEST_F(CollateralServing, IsAbsentWhenItIsOff) {
  start(api::Serving::off, true);
  EXPECT_EQ(get(tcb_path()).status, 404);
  for (const auto* route : rooms_.router.routes()) {
    for (const std::string_view prefix : {"/sgx/", "/tdx/", "/vcek/", "/vlek/"}) {
      EXPECT_FALSE(route->path.starts_with(prefix)) << route->path;
    }
  }
}

TEST(SlowLaneTest, RefusesWhatIsTooMuchAndDropsTheRestAtItsEnd) {
  std::promise<void> begun;
  std::promise<void> go;
  int done = 0;
  {
    api::SlowLane lane{1, 1};
    api::SlowLane::Task first = [&] {
      begun.set_value();
      go.get_future().wait();
      ++done;
    };
    ASSERT_TRUE(lane.run(first));
    begun.get_future().wait();
    api::SlowLane::Task second = [&] { ++done; };
    api::SlowLane::Task third = [&] { ++done; };
    EXPECT_TRUE(lane.run(second));
    EXPECT_FALSE(lane.run(third));
    EXPECT_TRUE(static_cast<bool>(third)) << "still the caller's";
    std::thread ender{[&go] { go.set_value(); }};
    ender.join();
  }
  EXPECT_GE(done, 1);
  EXPECT_LE(done, 2);
}

}  // namespace
}  // namespace attestry::app
