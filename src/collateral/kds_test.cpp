#include "collateral/kds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collateral/jwks.h"
#include "collateral/vendors.h"

namespace attestry::collateral {
namespace {

using attestation::Artefact;
using attestation::snp::Product;
using base::Code;
using ::testing::HasSubstr;

class OneReply final : public net::HttpTransport {
 public:
  base::Result<net::Response> send(const net::HttpRequest& request) override {
    asked.push_back(request.url);
    return reply;
  }
  net::Response reply{.status = 404, .content_type = {}, .body = {}, .headers = {}};
  std::vector<std::string> asked;
};

constexpr attestation::snp::Tcb kTcb{.fmc = 1, .boot_loader = 3, .tee = 0, .snp = 8, .microcode = 115};
Artefact vcek(Product product) {
  return attestation::VcekOf{product, base::Bytes(product == Product::turin ? 8 : 64, 0xab), kTcb};
}

class Kds : public ::testing::Test {
 protected:
  base::Result<Fetched> fetch(const Artefact& artefact) { return client_.fetch(artefact, {}, trouble_); }

  OneReply service_;
  Trouble trouble_;
  KdsClient client_{service_, {.base_url = "https://kds.test/"}};
};

// AMD 57230: Turin has an FMC and a hwid of 8 bytes.
TEST_F(Kds, AsksAsAmdDocumentsIt) {
  const std::string chip = std::string(128, 'x');
  EXPECT_THAT(
      client_.url(vcek(Product::milan)),
      ::testing::MatchesRegex("https://kds.test/vcek/v1/Milan/(ab){64}\\?blSPL=03&teeSPL=00&snpSPL=08&ucodeSPL=115"));
  EXPECT_EQ(client_.url(vcek(Product::turin)),
            "https://kds.test/vcek/v1/Turin/abababababababab?fmcSPL=01&blSPL=03&teeSPL=00&snpSPL=08&ucodeSPL=115");
  EXPECT_EQ(client_.url(attestation::AmdChainOf{Product::genoa, false}), "https://kds.test/vcek/v1/Genoa/cert_chain");
  EXPECT_EQ(client_.url(attestation::AmdChainOf{Product::genoa, true}), "https://kds.test/vlek/v1/Genoa/cert_chain");
  EXPECT_EQ(client_.url(attestation::AmdCrlOf{Product::turin, false}), "https://kds.test/vcek/v1/Turin/crl");
  EXPECT_EQ(client_.url(attestation::AmdCrlOf{Product::milan, true}), "https://kds.test/vlek/v1/Milan/crl");
}

TEST_F(Kds, SaysThatAVlekIsTheProvidersToGive) {
  const Artefact vlek = attestation::VlekOf{Product::milan, kTcb};
  const auto given = fetch(vlek);
  ASSERT_FALSE(given.ok());
  EXPECT_EQ(given.error().code, Code::collateral_missing);
  EXPECT_THAT(given.error().remedy, HasSubstr("provider hands it to its guests"));
  EXPECT_TRUE(service_.asked.empty());
  const Vendors vendors{nullptr, &client_, nullptr};
  EXPECT_EQ(vendors.origin(vlek).error().code, Code::collateral_missing);
}

TEST_F(Kds, TellsWhatIsUnknownFromWhatIsAwayAndWhatIsThrottled) {
  for (const int status : {400, 404}) {
    service_.reply.status = status;
    EXPECT_EQ(fetch(vcek(Product::milan)).error().code, Code::collateral_missing) << status;
    EXPECT_FALSE(trouble_.throttled || trouble_.away);
  }
  for (const int status : {500, 502, 503}) {
    service_.reply.status = status;
    EXPECT_EQ(fetch(vcek(Product::milan)).error().code, Code::unavailable) << status;
    EXPECT_TRUE(trouble_.away && !trouble_.throttled);
  }
  service_.reply.headers.add("Retry-After", "7");
  for (const int status : {429, 503}) {
    service_.reply.status = status;
    EXPECT_EQ(fetch(vcek(Product::milan)).error().code, Code::unavailable) << status;
    EXPECT_TRUE(trouble_.throttled && !trouble_.away);
    EXPECT_EQ(trouble_.retry_after, "7");
  }
}

TEST_F(Kds, TakesNothingThatCannotBeWhatItAskedFor) {
  service_.reply.status = 200;
  for (const Artefact& artefact : {vcek(Product::milan), Artefact{attestation::AmdChainOf{Product::milan, false}},
                                   Artefact{attestation::AmdCrlOf{Product::milan, false}}}) {
    for (const char* body : {"", "<html>", "-----BEGIN CERTIFICATE-----\n"}) {
      service_.reply.body = body;
      EXPECT_EQ(fetch(artefact).error().code, Code::unavailable) << to_text(artefact);
    }
  }
}

TEST(VendorsOf, EachArtefactGoesToItsOwnHost) {
  OneReply service;
  const PcsClient pcs{service, {.base_url = "https://pccs.test:8081"}};
  const KdsClient kds{service};
  const JwksClient jwks{service};
  const Vendors vendors{&pcs, &kds, &jwks};
  const auto host = [&](const Artefact& artefact) { return vendors.origin(artefact)->host; };
  EXPECT_EQ(host(attestation::TcbInfoOf{}), "pccs.test:8081");
  EXPECT_EQ(host(attestation::RootCrlOf{}), "pccs.test:8081");
  EXPECT_EQ(host(vcek(Product::milan)), "kdsintf.amd.com");
  EXPECT_EQ(host(attestation::JwksOf{"https://shareduks.uks.attest.azure.net"}), "shareduks.uks.attest.azure.net");
  EXPECT_TRUE(vendors.origin(vcek(Product::milan))->scarce);
  EXPECT_FALSE(vendors.origin(attestation::AmdChainOf{})->scarce);
  const Vendors none{nullptr, nullptr, nullptr};
  EXPECT_EQ(none.origin(attestation::TcbInfoOf{}).error().code, Code::collateral_missing);
}

TEST(Jwks, ComeOverTlsAlone) {
  OneReply service;
  service.reply = {.status = 200, .content_type = {}, .body = R"({"keys":[]})", .headers = {}};
  const JwksClient client{service};
  Trouble trouble;
  EXPECT_EQ(client.fetch({"http://issuer.test"}, {}, trouble).error().code, Code::unavailable);
  EXPECT_TRUE(service.asked.empty());
  EXPECT_TRUE(client.fetch({"https://issuer.test"}, {}, trouble).ok());
  EXPECT_EQ(service.asked.back(), "https://issuer.test/certs");
  service.reply.body = "[]";
  EXPECT_EQ(client.fetch({"https://issuer.test"}, {}, trouble).error().code, Code::unavailable);
}

}  // namespace
}  // namespace attestry::collateral
