#include "forge/pki.h"

#include <algorithm>
#include <utility>

#include "base/encoding.h"
#include "crypto/random.h"

namespace attestry::forge {
namespace {

using base::Bytes;
using base::ByteView;
namespace der = crypto::der;

// Reserved names (RFC 2606): nobody's client can be led to a real service by a forged certificate.
constexpr std::string_view kRootCrlUri = "https://certificates.forge.invalid/IntelSGXRootCA.der";
constexpr std::string_view kPckCrlUri = "https://pcs.forge.invalid/sgx/certification/v4/pckcrl?encoding=der&ca=";
constexpr std::string_view kOrganisation = "attestry forge (simulated)";
constexpr std::string_view kSgxExtension = "1.2.840.113741.1.13.1";

/// Names as Intel writes them: CN, O, L, ST in UTF8String, C in PrintableString.
std::vector<crypto::NameField> intel_name(std::string_view common_name) {
  return {{"2.5.4.3", std::string{common_name}, false},
          {"2.5.4.10", std::string{kOrganisation}, false},
          {"2.5.4.7", "Santa Clara", false},
          {"2.5.4.8", "CA", false},
          {"2.5.4.6", "US", true}};
}

/// The extensions of every Intel certificate, in Intel's order.
std::vector<crypto::ExtensionOut> intel_extensions(ByteView spki, ByteView issuer_spki, std::string_view crl_uri,
                                                   unsigned key_usage, bool ca, std::optional<unsigned> path_length) {
  return {{"2.5.29.35", false, der::authority_key_id(issuer_spki)},
          {"2.5.29.31", false, der::crl_distribution_point(crl_uri)},
          {"2.5.29.14", false, der::subject_key_id(spki)},
          {"2.5.29.15", true, der::key_usage(key_usage)},
          {"2.5.29.19", true, der::basic_constraints(ca, path_length)}};
}

Bytes numbered(std::string_view suffix, ByteView value) {
  return der::sequence({der::oid(std::string{kSgxExtension} + std::string{suffix}), value});
}

Bytes boolean_true() {
  const std::uint8_t yes = 0xff;
  return der::tlv(0x01, {&yes, 1});
}

Bytes concatenated(const std::vector<Bytes>& parts) {
  Bytes all;
  for (const auto& part : parts) base::append(all, part);
  return all;
}

/// 1.2.840.113741.1.13.1 of a PCK certificate (Intel SGX PCK Certificate and CRL Profile Specification 1.5,
/// section 1.3.5).
Bytes sgx_extension(const PlatformSpec& spec, ByteView ppid, ByteView instance) {
  std::vector<Bytes> tcb;
  for (std::size_t i = 0; i < spec.cpu_svn.size(); ++i) {
    tcb.push_back(numbered(".2." + std::to_string(i + 1), der::integer(spec.cpu_svn[i])));
  }
  tcb.push_back(numbered(".2.17", der::integer(spec.pce_svn)));
  tcb.push_back(numbered(".2.18", der::octet_string(spec.cpu_svn)));
  std::vector<Bytes> all;
  all.push_back(numbered(".1", der::octet_string(ppid)));
  all.push_back(numbered(".2", der::tlv(0x30, concatenated(tcb))));
  all.push_back(numbered(".3", der::octet_string(spec.pce_id)));
  all.push_back(numbered(".4", der::octet_string(spec.fmspc)));
  all.push_back(numbered(".5", der::tlv(0x0a, {&spec.sgx_type, 1})));
  if (spec.ca == CaKind::platform) {  // the processor CA issues for single-package machines, which have none of these
    all.push_back(numbered(".6", der::octet_string(instance)));
    all.push_back(numbered(".7", der::sequence({numbered(".7.1", boolean_true()), numbered(".7.2", boolean_true()),
                                                numbered(".7.3", boolean_true())})));
  }
  return der::tlv(0x30, concatenated(all));
}

base::Result<crypto::EcPrivateKey> key_from(ByteView seed, std::string_view label) {
  base::LpWriter input;
  input.lp("attestry/forge/key/1").lp(seed).lp(label);
  crypto::SeededRandom random(input.bytes());
  return crypto::EcPrivateKey::from_wide(crypto::Curve::p256, random.bytes<48>());
}

/// The SHA-1 key id alone: Intel's CAs use it as serial number too.
Bytes key_id(ByteView spki) {
  const Bytes octets = der::subject_key_id(spki);
  return Bytes(octets.begin() + 2, octets.end());
}

struct CaSpec {
  std::string_view label;
  std::string_view common_name;
  bool is_ca = true;
  std::optional<unsigned> path_length{};
};

/// Certificates that the root issues, or the root itself when `issuer` is null.
base::Result<Issued> issue_under_root(ByteView seed, const CaSpec& ca, const crypto::EcPrivateKey* issuer) {
  TRY(auto key, key_from(seed, ca.label));
  const crypto::EcPrivateKey& signer = issuer != nullptr ? *issuer : key;
  const Bytes spki = key.public_key().spki();
  const Bytes issuer_spki = signer.public_key().spki();
  const unsigned usage = ca.is_ca ? der::key_cert_sign | der::crl_sign : der::digital_signature | der::non_repudiation;
  crypto::CertificateSpec spec;
  spec.serial = key_id(spki);
  spec.subject = intel_name(ca.common_name);
  spec.issuer = intel_name("Intel SGX Root CA");
  spec.not_before = long_validity().not_before;
  spec.not_after = long_validity().not_after;
  spec.spki = spki;
  spec.extensions = intel_extensions(spki, issuer_spki, kRootCrlUri, usage, ca.is_ca, ca.path_length);
  TRY(auto bytes, crypto::issue_certificate(spec, signer, true), ca.common_name);
  return Issued{std::move(key), std::move(bytes), std::move(spec.serial)};
}

base::Result<Bytes> make_crl(const Issued& issuer, const Validity& window, const std::vector<Bytes>& revoked) {
  TRY(auto certificate, crypto::Certificate::parse(issuer.der));
  crypto::CrlSpec spec;
  spec.issuer_der = base::to_bytes(certificate.subject_der());
  spec.this_update = window.not_before;
  spec.next_update = window.not_after;
  for (const auto& serial : revoked) spec.entries.push_back({serial, window.not_before});
  spec.extensions = {{"2.5.29.20", false, der::crl_number(1)},
                     {"2.5.29.35", false, der::authority_key_id(certificate.spki())}};
  return crypto::issue_crl(spec, issuer.key, true);
}

}  // namespace

std::string_view to_text(CaKind ca) noexcept { return ca == CaKind::platform ? "platform" : "processor"; }

Validity long_validity() noexcept {
  return {base::from_civil(2018, 5, 21, 10, 45, 10), base::from_civil(2049, 12, 31, 23, 59, 59)};
}

std::string Issued::pem() const { return base::pem_encode("CERTIFICATE", der); }

base::Result<ForgePki> ForgePki::make(ByteView seed) {
  if (seed.empty()) {
    return base::Error{base::Code::malformed, "the forge's seed is empty", "at least one byte", "none"};
  }
  TRY(auto root, issue_under_root(seed, {"root", "Intel SGX Root CA", true, 1}, nullptr));
  TRY(auto platform, issue_under_root(seed, {"platform-ca", "Intel SGX PCK Platform CA", true, 0}, &root.key));
  TRY(auto processor, issue_under_root(seed, {"processor-ca", "Intel SGX PCK Processor CA", true, 0}, &root.key));
  TRY(auto signing, issue_under_root(seed, {"tcb-signing", "Intel SGX TCB Signing", false, {}}, &root.key));
  return ForgePki(base::to_bytes(seed), std::move(root), std::move(platform), std::move(processor), std::move(signing));
}

base::Result<crypto::EcPrivateKey> ForgePki::derive_key(std::string_view label) const { return key_from(seed_, label); }

Bytes ForgePki::derive_bytes(std::string_view label, std::size_t size) const {
  base::LpWriter input;
  input.lp("attestry/forge/bytes/1").lp(seed_).lp(label);
  crypto::SeededRandom random(input.bytes());
  Bytes out(size);
  random.fill(out);
  return out;
}

base::Result<Platform> ForgePki::platform(const PlatformSpec& spec) const {
  const std::string name = "platform/" + std::string{to_text(spec.ca)} + "/" + std::to_string(spec.index);
  TRY(auto key, derive_key(name + "/pck"));
  Bytes serial = derive_bytes(name + "/serial", 20);
  serial[0] = static_cast<std::uint8_t>((serial[0] & 0x3f) | 0x40);  // positive and 20 bytes long, whatever the seed
  const Bytes ppid = derive_bytes(name + "/ppid", 16);
  const Issued& issuer = ca(spec.ca);
  const Bytes spki = key.public_key().spki();
  crypto::CertificateSpec certificate;
  certificate.serial = serial;
  certificate.subject = intel_name("Intel SGX PCK Certificate");
  certificate.issuer =
      intel_name(spec.ca == CaKind::platform ? "Intel SGX PCK Platform CA" : "Intel SGX PCK Processor CA");
  certificate.not_before = spec.validity.not_before;
  certificate.not_after = spec.validity.not_after;
  certificate.spki = spki;
  certificate.extensions =
      intel_extensions(spki, issuer.key.public_key().spki(), std::string{kPckCrlUri} + std::string{to_text(spec.ca)},
                       der::digital_signature | der::non_repudiation, false, {});
  certificate.extensions.push_back(
      {std::string{kSgxExtension}, false, sgx_extension(spec, ppid, derive_bytes(name + "/instance", 16))});
  TRY(auto bytes, crypto::issue_certificate(certificate, issuer.key, true), "PCK certificate");
  Platform out{spec, Issued{std::move(key), std::move(bytes), std::move(serial)}, {}, {}};
  std::copy(ppid.begin(), ppid.end(), out.ppid.begin());
  std::ranges::copy(derive_bytes(name + "/qe-id", 16), out.qe_id.begin());
  return out;
}

std::string ForgePki::pck_chain_pem(const Platform& platform) const {
  return platform.pck.pem() + ca_chain_pem(platform.spec.ca);
}

std::string ForgePki::ca_chain_pem(CaKind kind) const { return ca(kind).pem() + root_.pem(); }

std::string ForgePki::tcb_chain_pem() const { return tcb_signing_.pem() + root_.pem(); }

base::Result<Bytes> ForgePki::root_crl(const Validity& window, const std::vector<Bytes>& revoked) const {
  return make_crl(root_, window, revoked);
}

base::Result<Bytes> ForgePki::pck_crl(CaKind kind, const Validity& window, const std::vector<Bytes>& revoked) const {
  return make_crl(ca(kind), window, revoked);
}

Bytes ForgePki::sign_tcb(std::string_view text) const { return tcb_signing_.key.sign_raw(base::as_bytes(text), true); }

}  // namespace attestry::forge
