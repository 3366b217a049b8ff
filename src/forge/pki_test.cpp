#include "forge/pki.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/encoding.h"

namespace attestry::forge {
namespace {

using base::as_bytes;

ForgePki pki_of(std::string_view seed) { return ForgePki::make(as_bytes(seed)).value(); }

crypto::Certificate parsed(const Issued& issued) { return crypto::Certificate::parse(issued.der).value(); }

TEST(ForgePki, SameSeedGivesTheSameBytes) {
  const auto a = pki_of("seed");
  const auto b = pki_of("seed");
  EXPECT_EQ(a.root().der, b.root().der);
  EXPECT_EQ(a.tcb_signing().der, b.tcb_signing().der);
  EXPECT_EQ(a.platform({}).value().pck.der, b.platform({}).value().pck.der);
  const Validity window{{1'780'000'000}, {1'790'000'000}};
  EXPECT_EQ(a.root_crl(window).value(), b.root_crl(window).value());
  EXPECT_EQ(a.sign_tcb("text"), b.sign_tcb("text"));
}

TEST(ForgePki, AnotherSeedGivesOtherKeys) {
  const auto a = pki_of("seed");
  const auto b = pki_of("seed2");
  EXPECT_NE(a.root().key.public_key().raw(), b.root().key.public_key().raw());
  EXPECT_NE(a.platform({}).value().ppid, b.platform({}).value().ppid);
}

TEST(ForgePki, AnEmptySeedIsRefused) { EXPECT_FALSE(ForgePki::make({}).has_value()); }

TEST(ForgePki, KeysOfTheSamePkiAreUnrelated) {
  const auto pki = pki_of("seed");
  const auto root = pki.root().key.public_key().raw();
  EXPECT_NE(root, pki.ca(CaKind::platform).key.public_key().raw());
  EXPECT_NE(root, pki.ca(CaKind::processor).key.public_key().raw());
  EXPECT_NE(root, pki.tcb_signing().key.public_key().raw());
}

TEST(ForgePki, RootAndCasHaveIntelsProfile) {
  const auto pki = pki_of("seed");
  const auto root = parsed(pki.root());
  EXPECT_EQ(root.subject_cn(), "Intel SGX Root CA");
  EXPECT_TRUE(root.signed_by(*root.ec_key()));
  EXPECT_TRUE(root.is_ca() && root.key_usage_cert_sign() && root.key_usage_crl_sign());
  EXPECT_FALSE(root.key_usage_digital_signature());
  EXPECT_EQ(root.path_length(), 1u);
  for (const CaKind kind : {CaKind::platform, CaKind::processor}) {
    const auto ca = parsed(pki.ca(kind));
    EXPECT_EQ(ca.subject_cn(), kind == CaKind::platform ? "Intel SGX PCK Platform CA" : "Intel SGX PCK Processor CA");
    EXPECT_TRUE(base::equal(ca.issuer_der(), root.subject_der()));
    EXPECT_TRUE(ca.signed_by(*root.ec_key()));
    EXPECT_TRUE(ca.is_ca() && ca.key_usage_cert_sign());
    EXPECT_EQ(ca.path_length(), 0u);
    EXPECT_TRUE(ca.unknown_critical_extensions().empty());
  }
}

TEST(ForgePki, TheOrganisationSaysThatItIsSimulated) {
  const auto pki = pki_of("seed");
  EXPECT_NE(base::as_text(parsed(pki.root()).subject_der()).find("attestry forge (simulated)"), std::string_view::npos);
  const auto pck = parsed(pki.platform({}).value().pck);
  EXPECT_NE(base::as_text(pck.subject_der()).find("attestry forge (simulated)"), std::string_view::npos);
}

TEST(ForgePki, TcbSigningIsALeafUnderTheRoot) {
  const auto pki = pki_of("seed");
  const auto signing = parsed(pki.tcb_signing());
  EXPECT_EQ(signing.subject_cn(), "Intel SGX TCB Signing");
  EXPECT_FALSE(signing.is_ca());
  EXPECT_TRUE(signing.key_usage_digital_signature());
  EXPECT_TRUE(signing.signed_by(*parsed(pki.root()).ec_key()));
  EXPECT_TRUE(signing.ec_key()->verify_raw(as_bytes("text"), pki.sign_tcb("text")));
}

TEST(ForgePki, PckCertificatesCarryTheSgxExtension) {
  const auto pki = pki_of("seed");
  PlatformSpec spec;
  spec.cpu_svn[5] = 255;  // an INTEGER of two bytes in DER
  const auto platform = pki.platform(spec).value();
  const auto pck = parsed(platform.pck);
  EXPECT_EQ(pck.subject_cn(), "Intel SGX PCK Certificate");
  EXPECT_TRUE(pck.signed_by(*parsed(pki.ca(CaKind::platform)).ec_key()));
  EXPECT_FALSE(pck.is_ca());
  const auto extension = pck.extension("1.2.840.113741.1.13.1");
  ASSERT_TRUE(extension.has_value());
  const auto text = base::hex(*extension);
  const auto contains = [&text](std::string_view part) { return text.find(part) != std::string::npos; };
  EXPECT_TRUE(contains("060a2a864886f84d010d01010410" + base::hex(platform.ppid)));
  EXPECT_TRUE(contains("060b2a864886f84d010d010206020200ff"));
  EXPECT_TRUE(contains("060b2a864886f84d010d01021102010d"));
  EXPECT_TRUE(contains("060b2a864886f84d010d0102120410060603030" + std::string{"4ff00030000000000000000"}));
  EXPECT_TRUE(contains("060a2a864886f84d010d010304020000"));
  EXPECT_TRUE(contains("060a2a864886f84d010d01040406509060200000"));
  EXPECT_TRUE(contains("060a2a864886f84d010d01050a0101"));
}

TEST(ForgePki, PlatformsDiffer) {
  const auto pki = pki_of("seed");
  PlatformSpec other;
  other.index = 1;
  const auto a = pki.platform({}).value();
  const auto b = pki.platform(other).value();
  EXPECT_NE(a.pck.key.public_key().raw(), b.pck.key.public_key().raw());
  EXPECT_NE(a.pck.serial, b.pck.serial);
  EXPECT_NE(a.ppid, b.ppid);
  EXPECT_NE(a.qe_id, b.qe_id);
}

TEST(ForgePki, ChainsAreInIntelsOrder) {
  const auto pki = pki_of("seed");
  PlatformSpec spec;
  spec.ca = CaKind::processor;
  const auto chain = base::pem_decode(pki.pck_chain_pem(pki.platform(spec).value())).value();
  ASSERT_EQ(chain.size(), 3u);
  EXPECT_EQ(crypto::Certificate::parse(chain[0].der).value().issuer_cn(), "Intel SGX PCK Processor CA");
  EXPECT_EQ(crypto::Certificate::parse(chain[1].der).value().subject_cn(), "Intel SGX PCK Processor CA");
  EXPECT_EQ(chain[2].der, pki.root().der);
  EXPECT_EQ(base::pem_decode(pki.tcb_chain_pem()).value().size(), 2u);
}

TEST(ForgePki, CrlsRevokeWhatTheyList) {
  const auto pki = pki_of("seed");
  const Validity window{{1'780'000'000}, {1'790'000'000}};
  const auto platform = pki.platform({}).value();
  const auto empty = crypto::Crl::parse(pki.pck_crl(CaKind::platform, window).value()).value();
  EXPECT_EQ(empty.size(), 0u);
  const auto crl = crypto::Crl::parse(pki.pck_crl(CaKind::platform, window, {platform.pck.serial}).value()).value();
  EXPECT_TRUE(crl.revokes(parsed(platform.pck).serial()));
  EXPECT_FALSE(crl.revokes(parsed(pki.root()).serial()));
  EXPECT_TRUE(crl.signed_by(pki.ca(CaKind::platform).key.public_key()));
  EXPECT_FALSE(crl.signed_by(pki.root().key.public_key()));
  EXPECT_EQ(crl.this_update(), window.not_before);
  EXPECT_EQ(crl.next_update(), window.not_after);
  const auto root_crl = crypto::Crl::parse(pki.root_crl(window, {pki.ca(CaKind::platform).serial}).value()).value();
  EXPECT_TRUE(root_crl.revokes(parsed(pki.ca(CaKind::platform)).serial()));
}

}  // namespace
}  // namespace attestry::forge
