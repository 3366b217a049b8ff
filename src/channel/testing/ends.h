// Ends of a channel for tests: evidence of a TEE that says the report data in clear, and one's verdict on it.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>

#include "base/encoding.h"
#include "channel/session.h"
#include "crypto/ec.h"
#include "crypto/key_pem.h"
#include "crypto/x509.h"

namespace attestry::channel::testing {

using attestation::Evidence;
using attestation::VerifiedReport;
using base::Code;
using base::Error;
using base::Result;

inline constexpr base::UtcTime kNow{1'795'261'432};  // 2026-11-21T11:43:52Z
inline constexpr std::string_view kGenuine = "genuine evidence: ";

inline base::Deadline soon(int seconds = 30) {
  return std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
}

class FixedClock final : public base::Clock {
 public:
  base::UtcTime now() const override { return kNow; }
  std::chrono::steady_clock::time_point steady() const override { return std::chrono::steady_clock::now(); }
};
inline const FixedClock kClock;

inline Evidence made_for(const base::FixedBytes<64>& report_data) {
  Evidence out;
  out.bytes = base::to_bytes(kGenuine);
  base::append(out.bytes, report_data);
  return out;
}

struct Judge {
  bool simulated = true;
  bool allowed = true;
  std::int64_t lifetime = 3600;
  std::optional<Error> outage{};

  Result<VerifiedReport> operator()(const Evidence& evidence, const base::FixedBytes<64>& report_data,
                                    base::Deadline) const {
    if (outage) return *outage;
    attestation::Verdict verdict;
    const base::ByteView bytes = evidence.bytes;
    const bool genuine = bytes.size() == kGenuine.size() + 64 && base::as_text(bytes).starts_with(kGenuine);
    verdict.evidence = genuine ? attestation::Genuineness::genuine : attestation::Genuineness::not_genuine;
    verdict.outcome = genuine ? attestation::Outcome::accepted : attestation::Outcome::refused;
    if (genuine) verdict.report_data = base::to_bytes(bytes.last(64));
    verdict.platform = attestation::Platform::tdx;
    verdict.simulated = simulated;
    verdict.tcb = attestation::TcbSummary{
        .status = allowed ? "UpToDate" : "Revoked", .advisory_ids = {}, .date = {}, .evaluation_number = {}};
    verdict.claims = {{.name = "td_attributes", .value = "0000001000000000"}};
    verdict.at = kNow;
    verdict.valid_until = kNow + lifetime;
    return attestation::appraise_report_data(attestation::Policy::genuine(), verdict, report_data);
  }
};

inline End end_of(const Judge& judge = {}, std::string audience = "key:00") {
  End out;
  out.audience = std::move(audience);
  out.realm = base::Realm::simulated;
  out.attest = [](const base::FixedBytes<64>& data) -> Result<Evidence> { return made_for(data); };
  out.verify = judge;
  out.clock = &kClock;
  return out;
}

inline net::PeerCredentials credentials(const crypto::EcPrivateKey& key) {
  const std::vector<crypto::NameField> name{{"2.5.4.3", "test", false}};
  const auto der = crypto::issue_certificate({.serial = {1},
                                              .subject = name,
                                              .issuer = name,
                                              .issuer_der = {},
                                              .not_before = kNow,
                                              .not_after = kNow + 60,
                                              .spki = key.public_key().spki(),
                                              .extensions = {}},
                                             key);
  return {.certificate_pem = base::pem_encode("CERTIFICATE", *der),
          .key_pem = crypto::secret_pem("PRIVATE KEY", key.pkcs8())};
}
inline crypto::EcPrivateKey new_key() {
  return crypto::EcPrivateKey::generate(crypto::Curve::p256, crypto::system_random());
}

template <class T>
void refused(const Result<T>& result, Code code, const std::string& words) {
  ASSERT_FALSE(result.ok()) << "expected: " << words;
  EXPECT_EQ(result.error().code, code) << result.error().text();
  EXPECT_THAT(result.error().text(), ::testing::HasSubstr(words));
}

}  // namespace attestry::channel::testing
