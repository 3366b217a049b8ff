// A real server and its own vault: evidence of AMD, AWS and Azure over HTTP, with the forge's KDS as the only vendor.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "app/cli.h"
#include "app/wire.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "forge/kds.h"
#include "forge/maa.h"
#include "forge/nitro.h"
#include "forge/snp.h"
#include "net/client.h"
#include "net/server.h"
#include "state/testing/support.h"

namespace attestry::app {
namespace {

using forge::SnpPki;
using forge::SnpProduct;
using state::testing::patient;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::uint32_t kChips = 12;

class VaultServer : public ::testing::Test {
 protected:
  void SetUp() override {
    static const SnpPki milan = *SnpPki::make(base::as_bytes("vault server"), SnpProduct::milan);
    pki_ = &milan;
    kds_ = std::make_unique<forge::ForgeKds>(std::vector<const SnpPki*>{pki_}, kChips);
    auto router = std::make_shared<net::Router>();
    ASSERT_TRUE(router
                    ->add({.path = "/{rest*}",
                           .auth = net::Auth::none,
                           .operation_id = "kds",
                           .summary = "The forge's KDS",
                           .any_query = true,
                           .handler =
                               [this](net::Request request, net::Responder responder) {
                                 const auto reply = kds_->get(request.target, base::system_clock().now());
                                 net::Response out{.status = away_ ? 500 : reply.status,
                                                   .content_type = "application/octet-stream",
                                                   .body = std::string{base::as_text(reply.body)},
                                                   .headers = {}};
                                 responder.send(std::move(out));
                               }})
                    .ok());
    auto vendor =
        net::Server::start({.listeners = {{"127.0.0.1:0", {net::Role::public_}}}, .limits = {}, .workers = 2}, router);
    ASSERT_TRUE(vendor.ok()) << vendor.error().text();
    vendor_ = *std::move(vendor);
    http_ = *net::HttpClient::make();
  }

  void start(std::map<std::string, std::string> more = {}) {
    server_.reset();
    std::map<std::string, std::string> flags{
        {"server.data", folder_.file("data")},    {"server.realm", "simulated"},
        {"server.listen", "127.0.0.1:0"},         {"server.admin_listen", "127.0.0.1:0"},
        {"server.metrics_listen", "127.0.0.1:0"}, {"tls.mode", "off"},
        {"collateral.pcs", vendor_->url()},       {"collateral.kds", vendor_->url()},
        {"collateral.kds_vcek_burst", "100"},     {"log.level", "error"}};
    flags.merge(more);
    const auto settings = Settings::load("", flags, {});
    ASSERT_TRUE(settings.ok()) << settings.error().text();
    auto roots = std::vector{*attestation::TestRoot::from_certificate(pki_->ark().der)};
    roots.push_back(*attestation::TestRoot::from_certificate(base::as_bytes(nitro().root_pem)));
    auto server = RunningServer::start(*settings, {.anchors = attestation::TrustAnchors::simulated(std::move(roots))});
    ASSERT_TRUE(server.ok()) << server.error().text();
    server_ = *std::move(server);
  }
  void TearDown() override { server_.reset(); }

  static forge::NitroCase nitro() {
    return *forge::make_nitro_case(base::as_bytes("vault server"), {.at = base::system_clock().now()});
  }
  base::Bytes report(std::uint32_t chip, bool vlek = false) const {
    return forge::make_snp_case(*pki_, {.vlek = vlek, .at = base::system_clock().now(), .chip = chip})->report;
  }
  net::Response post(base::ByteView evidence) const {
    const auto body = base::JsonOut{base::JsonOutObject{{"evidence", base::base64url(evidence)}}}.compact();
    auto response = http_->post(server_->url() + "/v1/verify", body, "application/json", patient());
    EXPECT_TRUE(response.ok()) << response.error().text();
    return response.ok() ? *std::move(response) : net::Response{};
  }
  std::string get(const std::string& url) const {
    const auto response = http_->get(url, patient());
    EXPECT_TRUE(response.ok()) << response.error().text();
    return response.ok() ? response->body : std::string{};
  }
  static void expect_accepted(const net::Response& response) {
    EXPECT_EQ(response.status, 200) << response.body;
    EXPECT_THAT(response.body, HasSubstr(R"("verdict":"accepted")"));
  }

  state::testing::TempFolder folder_;
  const SnpPki* pki_ = nullptr;
  std::unique_ptr<forge::ForgeKds> kds_;
  std::atomic<bool> away_ = false;
  std::unique_ptr<net::Server> vendor_;
  std::unique_ptr<net::HttpClient> http_;
  std::unique_ptr<RunningServer> server_;
};

TEST_F(VaultServer, FetchesOnceForManyRequestsAndRemembersOverARestart) {
  start();
  {
    std::vector<std::jthread> fleet;
    for (std::uint32_t i = 0; i < 60; ++i) fleet.emplace_back([&, i] { expect_accepted(post(report(i % kChips))); });
  }
  EXPECT_EQ(kds_->counts().vceks, kChips);
  EXPECT_EQ(kds_->counts().others, 2u);
  const std::string metrics = get(server_->metrics_url() + "/metrics");
  EXPECT_THAT(metrics, HasSubstr("attestry_collateral_age_seconds{artefact=\"amd_crl/Milan/vcek\"}"));
  EXPECT_THAT(get(server_->url() + "/health/ready"), HasSubstr(R"("collateral":{"ready":true})"));

  away_ = true;
  start();
  for (std::uint32_t chip = 0; chip < kChips; ++chip) expect_accepted(post(report(chip)));
  EXPECT_EQ(kds_->counts().vceks, kChips);
}

TEST_F(VaultServer, AVendorThatIsAwayIsAnErrorAndNoRefusal) {
  start();
  away_ = true;
  const auto response = post(report(0));
  EXPECT_EQ(response.status, 503) << response.body;
  EXPECT_THAT(response.body, HasSubstr("urn:attestry:error:unavailable"));
  EXPECT_THAT(response.body, HasSubstr("status 500"));
}

TEST_F(VaultServer, SaysWhatIsMissingForAVlekAndTakesItFromAFile) {
  start();
  const auto evidence = report(0, true);
  const auto without = post(evidence);
  EXPECT_EQ(without.status, 200);
  EXPECT_THAT(without.body, HasSubstr(R"("verdict":"undecided")"));
  EXPECT_THAT(without.body, HasSubstr("provider hands it to its guests"));

  const auto made = forge::make_snp_case(*pki_, {.vlek = true, .at = base::system_clock().now()});
  std::filesystem::create_directory(folder_.file("extra"));
  std::ofstream{folder_.file("extra/vlek.der"), std::ios::binary} << base::as_text(made->vek);
  std::ofstream{folder_.file("extra/cert_chain.pem"), std::ios::binary} << made->chain;
  start({{"collateral.files", folder_.file("extra")}});
  expect_accepted(post(evidence));
}

TEST_F(VaultServer, JudgesTokensOfConfiguredIssuersAndDocumentsThatNeedNothing) {
  const forge::MaaService issuer{base::as_bytes("vault server")};
  const auto token = issuer.make({.at = base::system_clock().now()});
  std::filesystem::create_directory(folder_.file("extra"));
  std::ofstream{folder_.file("extra/jwks.json"), std::ios::binary} << token.jwks;
  start({{"collateral.issuers", std::string{forge::kForgeIssuer}}, {"collateral.files", folder_.file("extra")}});
  EXPECT_THAT(post(base::as_bytes(token.token)).body, HasSubstr(R"("evidence":"genuine")"));

  EXPECT_THAT(post(nitro().document).body, HasSubstr(R"("evidence":"genuine")"));
}

TEST_F(VaultServer, TheCommandLineFetchesFromTheSameService) {
  std::ofstream{folder_.file("report.bin"), std::ios::binary} << base::as_text(report(3));
  std::ofstream{folder_.file("root.pem")} << base::pem_encode("CERTIFICATE", pki_->ark().der);
  const auto verify = [&](std::vector<std::string> more) {
    std::istringstream in;
    std::ostringstream out;
    std::ostringstream err;
    Context context{.clock = base::system_clock(), .in = in, .out = out, .err = err};
    more.insert(more.begin(), {"verify", folder_.file("report.bin"), "--trust", folder_.file("root.pem")});
    const int code = run(more, context);
    return std::pair{code, out.str() + err.str()};
  };
  const auto [code, text] = verify({"--kds", vendor_->url()});
  EXPECT_EQ(code, kExitOk) << text;
  EXPECT_EQ(kds_->counts().vceks, 1u);
  EXPECT_EQ(verify({}).first, kExitUndecided) << "nobody asks AMD about a test root";
  away_ = true;
  const auto [undecided, why] = verify({"--kds", vendor_->url()});
  EXPECT_EQ(undecided, kExitUndecided);
  EXPECT_THAT(why, HasSubstr("status 500"));
}

TEST_F(VaultServer, OfflineSaysWhatItDoesNotHold) {
  start({{"collateral.offline", "true"}});
  const auto response = post(report(0));
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.body, HasSubstr(R"("verdict":"undecided")"));
  EXPECT_THAT(response.body, HasSubstr("not held, and the network is not asked"));
  EXPECT_EQ(kds_->counts().vceks, 0u);
}

}  // namespace
}  // namespace attestry::app
