#include "provision/pki.h"

#include <algorithm>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/x509.h"

namespace attestry::provision {

using base::Result;

namespace {

constexpr std::int64_t kMaxInstanceSeconds = 24 * 3600;
constexpr std::int64_t kBackdateSeconds = 60;  // clocks of workloads run a little behind
// A CA certificate that every replica computes alike cannot depend on the time of its making: RFC 5280 4.1.2.5 gives
// 99991231235959Z the meaning "no well-defined expiration date".
const base::UtcTime kCaNotBefore = base::from_civil(2020, 1, 1, 0, 0, 0);
const base::UtcTime kCaNotAfter = base::from_civil(9999, 12, 31, 23, 59, 59);

std::string app_uri(const governance::Grant& grant, std::string_view audience) {
  return "attestry://" + std::string{audience} + "/" + grant.tenant().text() + "/" + grant.app().text();
}

// RFC 5280 appendix A.1 bounds a common name to 64 characters, which an app's name may pass: the name is a short digest
// and the URI in the subjectAltName says whose CA it is.
std::vector<crypto::NameField> ca_name(const governance::Grant& grant, std::string_view audience) {
  const auto digest = crypto::sha256(base::as_bytes(app_uri(grant, audience)));
  return {{"2.5.4.10", "attestry app CA", false}, {"2.5.4.3", base::hex(digest).substr(0, 32), false}};
}

base::Bytes serial_from(base::ByteView digest) {
  base::Bytes serial = base::to_bytes(digest.first(16));
  serial[0] = static_cast<std::uint8_t>((serial[0] & 0x7f) | 0x40);  // positive, and never a leading zero
  return serial;
}

Result<crypto::EcPrivateKey> ca_key(const crypto::Secret& app_root) {
  TRY(const auto derived, keys::derive_key(app_root, kAppCaLabel, keys::Algorithm::p256, ""), "app CA key");
  TRY(auto key, crypto::EcPrivateKey::from_scalar(crypto::Curve::p256, derived.private_key.reveal()), "app CA key");
  return key;
}

}  // namespace

/// Nothing secret: the key is derived anew for every certificate and lives no longer than that.
struct Issuer::Authority {
  base::Bytes certificate;
  base::Bytes name;  ///< DER
  base::Bytes spki;

  static Result<Authority> make(const governance::Grant& grant, const crypto::Secret& app_root,
                                std::string_view audience);
};

Result<Issuer::Authority> Issuer::Authority::make(const governance::Grant& grant, const crypto::Secret& app_root,
                                                  std::string_view audience) {
  TRY(const auto key, ca_key(app_root));
  const auto spki = key.public_key().spki();
  const auto name = ca_name(grant, audience);
  crypto::CertificateSpec spec{
      .serial = serial_from(crypto::sha256(spki)),
      .subject = name,
      .issuer = name,
      .issuer_der = {},
      .not_before = kCaNotBefore,
      .not_after = kCaNotAfter,
      .spki = spki,
      .extensions = {{"2.5.29.19", true, crypto::der::basic_constraints(true, 0u)},
                     {"2.5.29.15", true, crypto::der::key_usage(crypto::der::key_cert_sign | crypto::der::crl_sign)},
                     {"2.5.29.14", false, crypto::der::subject_key_id(spki)},
                     {"2.5.29.17", false, crypto::der::subject_alt_name({}, {app_uri(grant, audience)})}}};
  TRY(auto certificate, crypto::issue_certificate(spec, key, /*deterministic=*/true), "app CA certificate");
  TRY(const auto read, crypto::Certificate::parse(certificate), "app CA certificate");
  return Authority{std::move(certificate), base::to_bytes(read.subject_der()), spki};
}

Result<Issuer::Shared> Issuer::authority(const governance::Grant& grant, const crypto::Secret& app_root,
                                         std::string_view audience) const {
  base::LpWriter of;
  of.lp("attestry/issuer/1").lp(app_uri(grant, audience));
  const base::Digest32 name = crypto::hmac_sha256(app_root.reveal(), of.bytes());
  {
    const base::MutexLock lock(mutex_);
    if (const auto found = kept_.find(name); found != kept_.end()) return found->second;
  }
  TRY(auto made, Authority::make(grant, app_root, audience));
  auto shared = std::make_shared<const Authority>(std::move(made));
  const base::MutexLock lock(mutex_);
  if (kept_.size() >= max_kept_) kept_.clear();
  if (max_kept_ != 0) kept_.emplace(name, shared);
  return shared;
}

Result<base::Bytes> Issuer::app_ca_certificate(const governance::Grant& grant, const crypto::Secret& app_root,
                                               std::string_view audience) const {
  TRY(const auto ca, authority(grant, app_root, audience));
  return ca->certificate;
}

Result<InstanceCertificate> Issuer::issue(const governance::Grant& grant, const crypto::Secret& app_root,
                                          std::string_view audience, std::string_view instance, base::UtcTime now,
                                          crypto::Random& random) const {
  TRY(const auto ca, authority(grant, app_root, audience));
  const base::UtcTime not_after = std::min(grant.expires(), now + kMaxInstanceSeconds);
  const std::string uri = app_uri(grant, audience) + "/" + std::string{instance};
  const auto serial = random.bytes<16>();
  crypto::CertificateSpec spec{
      .serial = serial_from(serial),
      .subject = {{"2.5.4.10", "attestry instance", false}, {"2.5.4.3", std::string{instance}, false}},
      .issuer = {},
      .issuer_der = ca->name,
      .not_before = now - kBackdateSeconds,
      .not_after = not_after,
      .spki = grant.spki(),
      .extensions = {{"2.5.29.19", true, crypto::der::basic_constraints(false, {})},
                     {"2.5.29.15", true, crypto::der::key_usage(crypto::der::digital_signature)},
                     {"2.5.29.37", false, crypto::der::extended_key_usage({"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"})},
                     {"2.5.29.14", false, crypto::der::subject_key_id(grant.spki())},
                     {"2.5.29.35", false, crypto::der::authority_key_id(ca->spki)},
                     {"2.5.29.17", false, crypto::der::subject_alt_name({}, {uri})}}};
  TRY(const auto key, ca_key(app_root));
  TRY(auto leaf, crypto::issue_certificate(spec, key), "instance certificate");
  InstanceCertificate out;
  out.chain_pem = base::pem_encode("CERTIFICATE", leaf) + base::pem_encode("CERTIFICATE", ca->certificate);
  out.leaf_der = std::move(leaf);
  out.not_after = not_after;
  return out;
}

}  // namespace attestry::provision
