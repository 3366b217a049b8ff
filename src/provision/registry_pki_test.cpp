#include "provision/registry_pki.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/key_pem.h"

namespace attestry::provision {
namespace {

using base::as_bytes;
using base::hex;

constexpr base::UtcTime kNow{1'800'000'000};
const std::string kApp = "0123456789abcdef0123456789abcdef01234567.app";

class RegistryPki : public ::testing::Test {
 protected:
  static crypto::Secret master() {
    crypto::Secret out(32);
    for (std::uint8_t i = 0; i < 32; ++i) out.writable()[i] = i;
    return out;
  }
  static crypto::Certificate parsed(std::string_view pem) {
    return crypto::Certificate::parse(base::pem_decode(pem).value().at(0).der).value();
  }
  crypto::CsrFull csr(std::vector<std::string> dns, std::vector<base::Bytes> ips = {}, std::string cn = kApp) {
    const crypto::CsrSpec spec{.subject = {{"2.5.4.10", "Example", true}, {"2.5.4.3", std::move(cn), false}},
                               .dns = std::move(dns),
                               .ips = std::move(ips),
                               .extensions = {{"1.2.3.4", false, {5, 0}}}};
    return crypto::parse_csr_full(crypto::make_csr(spec, workload_).value()).value();
  }
  base::Result<std::string> issue(const crypto::CsrFull& request, const LeafRules& rules = {}) {
    return registry_leaf_pem(keys_, contract_, request, rules, kNow, random_);
  }

  crypto::SeededRandom random_{as_bytes("pki")};
  curves::Address contract_ = curves::parse_address("0x0123456789abcdef0123456789abcdef01234567").value();
  keys::RegistryAppKeys keys_ = keys::registry_app_keys(master(), contract_).value();
  crypto::EcPrivateKey workload_ = crypto::EcPrivateKey::generate(crypto::Curve::p256, random_);
};

TEST_F(RegistryPki, TheCaIsTheSameBytesForEver) {
  const std::string pem = registry_ca_pem(keys_, contract_).value();
  EXPECT_EQ(registry_ca_pem(keys::registry_app_keys(master(), contract_).value(), contract_).value(), pem);
  EXPECT_EQ(hex(crypto::sha256(as_bytes(pem))), "1f446b2ab62f8249e8ca8de7c313816c2c46ec53c99beeb4c69a8781572229d3");
  const auto ca = parsed(pem);
  EXPECT_TRUE(ca.signed_by(keys_.ca.public_key()));
  EXPECT_EQ(ca.subject_cn(), "CA for " + kApp);
  EXPECT_EQ(base::to_bytes(ca.subject_der()), base::to_bytes(ca.issuer_der()));
  EXPECT_TRUE(ca.is_ca());
  EXPECT_EQ(ca.path_length(), 1u);
  EXPECT_TRUE(ca.key_usage_cert_sign() && ca.key_usage_crl_sign() && ca.key_usage_digital_signature());
  EXPECT_TRUE(ca.extension("2.5.29.14").has_value());
}

TEST_F(RegistryPki, ALeafHasWhatTheRequestAskedFor) {
  const auto request = csr({kApp, "a." + kApp});
  const auto leaf = parsed(issue(request).value());
  EXPECT_TRUE(leaf.signed_by(keys_.ca.public_key()));
  EXPECT_EQ(base::to_bytes(leaf.subject_der()), crypto::der::name({{"2.5.4.3", kApp, true}}))
      << "an organisation is for others to certify";
  const auto as_asked = parsed(issue(request, {.strict = false}).value());
  EXPECT_EQ(base::to_bytes(as_asked.subject_der()), request.subject_der);
  EXPECT_EQ(base::to_bytes(leaf.spki()), workload_.public_key().spki());
  EXPECT_EQ(base::to_bytes(leaf.issuer_der()),
            base::to_bytes(parsed(registry_ca_pem(keys_, contract_).value()).subject_der()));
  EXPECT_EQ(base::to_bytes(*leaf.extension("2.5.29.17")), crypto::der::subject_alt_name(request.dns, {}));
  EXPECT_EQ(base::to_bytes(*leaf.extension("2.5.29.37")),
            crypto::der::extended_key_usage({"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"}));
  EXPECT_EQ(base::to_bytes(*leaf.extension("2.5.29.15")), (base::Bytes{0x03, 0x02, 0x05, 0xa0}));
  EXPECT_EQ(base::to_bytes(*leaf.extension("2.5.29.35")), crypto::der::authority_key_id(keys_.ca.public_key().spki()));
  EXPECT_FALSE(leaf.extension("1.2.3.4").has_value());
  EXPECT_FALSE(leaf.is_ca());
  EXPECT_LE(leaf.not_before(), kNow);
  EXPECT_EQ(leaf.not_after(), kNow + kRegistryLeafSeconds);
  EXPECT_NE(issue(request).value(), issue(request).value());  // another serial each time
}

TEST_F(RegistryPki, AShorterLifetimeIsKeptAndALongerOneCut) {
  const auto request = csr({});
  const auto until = [&](std::int64_t seconds) {
    return parsed(registry_leaf_pem(keys_, contract_, request, {}, kNow, random_, seconds).value()).not_after();
  };
  EXPECT_EQ(until(3600), kNow + 3600);
  EXPECT_EQ(until(10 * kRegistryLeafSeconds), kNow + kRegistryLeafSeconds);
}

TEST_F(RegistryPki, StrictRulesKeepEachAppToItsOwnNames) {
  const auto refused = [&](const crypto::CsrFull& request, const LeafRules& rules = {}) {
    const auto leaf = issue(request, rules);
    return !leaf.ok() && leaf.error().code == base::Code::denied;
  };
  const std::string other = "1123456789abcdef0123456789abcdef01234567.app";
  EXPECT_TRUE(refused(csr({}, {}, other)));
  EXPECT_TRUE(refused(csr({}, {}, "0123456789ABCDEF0123456789abcdef01234567.app")));
  EXPECT_TRUE(refused(csr({}, {}, "www.example.com")));
  EXPECT_TRUE(refused(csr({other})));
  EXPECT_TRUE(refused(csr({"x" + kApp})));
  EXPECT_TRUE(refused(csr({kApp, "www.example.com"})));
  EXPECT_TRUE(refused(csr({}, {{192, 0, 2, 1}})));
  const LeafRules rules{.domains = {"WWW.example.com"}, .ips = {{192, 0, 2, 1}}};
  EXPECT_FALSE(refused(csr({kApp, "www.Example.com"}, {{192, 0, 2, 1}}), rules));
  EXPECT_TRUE(refused(csr({"a.www.example.com"}), rules));
  EXPECT_TRUE(refused(csr({}, {{192, 0, 2, 2}}), rules));
  EXPECT_FALSE(refused(csr({"www.example.com"}, {{192, 0, 2, 1}}, "anything"), {.strict = false}));
}

TEST_F(RegistryPki, ALeafWithoutASubjectHasCriticalNames) {
  const auto request =
      crypto::parse_csr_full(
          crypto::make_csr({.subject = {}, .dns = {"a"}, .ips = {}, .extensions = {}}, workload_).value())
          .value();
  EXPECT_FALSE(issue(request).ok());
  const auto leaf = parsed(issue(request, {.strict = false}).value());
  EXPECT_EQ(leaf.unknown_critical_extensions(), std::vector<std::string>{"2.5.29.17"});
}

TEST_F(RegistryPki, OneAppsCaDoesNotCertifyForAnother) {
  auto other = contract_;
  other[0] ^= 1;
  const auto keys = keys::registry_app_keys(master(), other).value();
  EXPECT_FALSE(parsed(issue(csr({})).value()).signed_by(keys.ca.public_key()));
  EXPECT_NE(registry_ca_pem(keys, other).value(), registry_ca_pem(keys_, contract_).value());
}

TEST_F(RegistryPki, PemTextsOfTheAppKey) {
  EXPECT_EQ(hex(crypto::sha256(as_bytes(registry_app_pubkey_pem(keys_)))),
            "1a9368bd45d344234e4c0aa55aa52fc698cdc69624f5ae351b53886d27842f26");
  EXPECT_EQ(hex(crypto::sha256(registry_app_privkey_pem(keys_).reveal())),
            "9a3ace7298f5e4fe5eb4b650792c0db2b2db503bf3c414f2c1d00bb4ef72ef57");
}

// docs/formats/registry.md, "Known answers".
TEST_F(RegistryPki, KnownReportData) {
  curves::Address who{};
  who.fill(0x11);
  const std::string address = kApp.substr(0, 40);
  const std::string zeros(24, '0');
  EXPECT_EQ(hex(pki_report_data(contract_, "CA", "PUB")),
            address + "b00e6a7900c1b70a89e430cce570f80e5d100f57ac5b74f0acdb20e59b318ca4" + zeros);
  EXPECT_EQ(hex(secrets_report_data(contract_, who, "CERT", as_bytes("KEY"))),
            address + "83e13dca0c01c8c773608c4ea81bba75f48d1666cbdc9ba750ada2420344c1e8" + zeros);
  const std::string pem = registry_app_pubkey_pem(keys_);
  const auto nonce = onboard_nonce(0x0102030405);
  EXPECT_EQ(hex(onboard_report_data(contract_, as_bytes(pem), nonce, who)),
            address + "59a78effe61b1a8aac4d3427b89e916011aa7b03ac9e3446dc6255651f6dfd59" + zeros);
  EXPECT_EQ(hex(onboard_request_hash(as_bytes(pem), nonce, who, as_bytes("ATT"))),
            "fc1867df7fe08585cfb05ad8fc7deba4b978e7352ed4b53acb50ddb2f534a228");
}

// A nonce's bytes are its magnitude without leading zeros: none for 0, and the same for n and -n.
TEST_F(RegistryPki, NoncesOfReportDataAreMinimal) {
  const curves::Address who{};
  const auto expected = [&](const base::Bytes& nonce) {
    const auto hash = crypto::sha256({as_bytes("P"), nonce, who});
    ReportData out{};
    std::copy(contract_.begin(), contract_.end(), out.begin());
    std::copy(hash.begin(), hash.end(), out.begin() + 20);
    return out;
  };
  const auto made = [&](const OnboardNonce& nonce) {
    return onboard_report_data(contract_, as_bytes("P"), nonce, who);
  };
  EXPECT_EQ(made(onboard_nonce(0)), expected({}));
  EXPECT_EQ(made(onboard_nonce(255)), expected({0xff}));
  EXPECT_EQ(made(onboard_nonce(256)), expected({1, 0}));
  OnboardNonce negative{};
  negative.fill(0xff);
  EXPECT_EQ(made(negative), expected({1}));
  negative[31] = 0;
  EXPECT_EQ(made(negative), expected({1, 0}));
}

TEST_F(RegistryPki, OnboardHashesPadAndSeparateTheirParts) {
  const curves::Address who{};
  const auto nonce = onboard_nonce(1);
  const auto hash = [&](std::size_t pubkey, std::size_t attestation) {
    return onboard_request_hash(base::Bytes(pubkey, 1), nonce, who, base::Bytes(attestation, 1));
  };
  EXPECT_NE(hash(31, 33), hash(32, 32));
  EXPECT_NE(hash(0, 1), hash(1, 0));
  EXPECT_NE(hash(32, 0), hash(33, 0));
}

}  // namespace
}  // namespace attestry::provision
