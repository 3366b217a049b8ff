#include "provision/registry_evidence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "provision/registry_operator.h"

namespace attestry::provision {
namespace {

using attestation::EvidenceFormat;
using base::Bytes;
using crypto::ExtensionOut;
using ::testing::HasSubstr;

constexpr base::UtcTime kNow{1'800'000'000};
constexpr std::string_view kDummyOid = "1.3.6.1.4.1.66704.98645.404";
const Bytes kQuote{4, 0, 1, 2};
const Bytes kToken = base::to_bytes(base::as_bytes("a.b.c"));

class RegistryEvidence : public ::testing::Test {
 protected:
  static ExtensionOut carrying(std::string_view oid, const Bytes& value) { return {std::string{oid}, false, value}; }
  static ExtensionOut quote() { return carrying(kDcapEvidenceOid, kQuote); }
  static ExtensionOut token() { return carrying(kMaaEvidenceOid, kToken); }

  crypto::CsrFull request(std::vector<ExtensionOut> extensions) {
    const crypto::CsrSpec spec{
        .subject = {{"2.5.4.3", "workload", false}}, .dns = {}, .ips = {}, .extensions = extensions};
    return crypto::parse_csr_full(crypto::make_csr(spec, key_).value()).value();
  }
  Bytes certificate(const crypto::EcPrivateKey& key, std::vector<ExtensionOut> extensions) {
    const crypto::CertificateSpec spec{.serial = Bytes{1},
                                       .subject = {{"2.5.4.3", "workload", false}},
                                       .issuer = {{"2.5.4.3", "workload", false}},
                                       .issuer_der = {},
                                       .not_before = kNow,
                                       .not_after = kNow + 3600,
                                       .spki = key.public_key().spki(),
                                       .extensions = std::move(extensions)};
    return crypto::issue_certificate(spec, key).value();
  }
  static std::string failure(const base::Result<CarriedEvidence>& read) { return read ? "" : read.error().text(); }
  std::string failure_of(std::vector<ExtensionOut> extensions) {
    return failure(carried_evidence(request(std::move(extensions)), nullptr));
  }

  crypto::SeededRandom random_{base::as_bytes("evidence")};
  crypto::EcPrivateKey key_ = crypto::EcPrivateKey::generate(crypto::Curve::p256, random_);
  crypto::EcPrivateKey other_ = crypto::EcPrivateKey::generate(crypto::Curve::p256, random_);
};

TEST_F(RegistryEvidence, TheExtensionSaysWhatItIs) {
  const auto quoted = carried_evidence(request({quote()}), nullptr);
  ASSERT_TRUE(quoted.ok()) << quoted.error().text();
  EXPECT_EQ(quoted->evidence.format, EvidenceFormat::dcap_quote);
  EXPECT_EQ(quoted->evidence.bytes, kQuote);
  EXPECT_FALSE(quoted->key_proved);
  const auto told = carried_evidence(request({token()}), nullptr);
  ASSERT_TRUE(told.ok()) << told.error().text();
  EXPECT_EQ(told->evidence.format, EvidenceFormat::maa_token);
  EXPECT_EQ(told->evidence.bytes, kToken);
}

TEST_F(RegistryEvidence, TheDummysExtensionIsNoneAndDisturbsNone) {
  EXPECT_THAT(failure_of({carrying(kDummyOid, kQuote)}), HasSubstr("invalid measurements: no evidence"));
  const auto both = carried_evidence(request({carrying(kDummyOid, kToken), quote()}), nullptr);
  ASSERT_TRUE(both.ok()) << both.error().text();
  EXPECT_EQ(both->evidence.bytes, kQuote);
}

TEST_F(RegistryEvidence, ARequestCarriesOnePiece) {
  EXPECT_THAT(failure_of({}), HasSubstr("no evidence"));
  EXPECT_THAT(failure_of({quote(), token()}), HasSubstr("more than once"));
  EXPECT_THAT(failure_of({quote(), quote()}), HasSubstr("more than once"));
  EXPECT_THAT(failure_of({token(), token()}), HasSubstr("more than once"));
}

TEST_F(RegistryEvidence, ACertificateCountsWhenItIsOfTheRequestsKey) {
  const Bytes own = certificate(key_, {quote()});
  const auto proved = carried_evidence(request({}), &own);
  ASSERT_TRUE(proved.ok()) << proved.error().text();
  EXPECT_TRUE(proved->key_proved);
  EXPECT_EQ(proved->evidence.bytes, kQuote);
  const Bytes told = certificate(key_, {token()});
  EXPECT_EQ(carried_evidence(request({}), &told)->evidence.format, EvidenceFormat::maa_token);
  const Bytes foreign = certificate(other_, {quote()});
  EXPECT_THAT(failure(carried_evidence(request({}), &foreign)), HasSubstr("no evidence"));
  const auto alone = carried_evidence(request({token()}), &foreign);
  ASSERT_TRUE(alone.ok()) << alone.error().text();
  EXPECT_FALSE(alone->key_proved);
}

TEST_F(RegistryEvidence, RequestAndCertificateSayTheSame) {
  const Bytes with_quote = certificate(key_, {quote()});
  EXPECT_TRUE(carried_evidence(request({quote()}), &with_quote).ok());
  EXPECT_THAT(failure(carried_evidence(request({token()}), &with_quote)), HasSubstr("different evidence"));
  const Bytes with_both = certificate(key_, {quote(), token()});
  EXPECT_THAT(failure(carried_evidence(request({}), &with_both)), HasSubstr("more than once"));
  const Bytes broken{1, 2, 3};
  EXPECT_THAT(failure(carried_evidence(request({quote()}), &broken)), HasSubstr("client certificate"));
}

}  // namespace
}  // namespace attestry::provision
