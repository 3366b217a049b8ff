#include "forge/snp_pki.h"

#include <utility>

#include "attestation/snp/vek.h"
#include "base/encoding.h"
#include "crypto/random.h"
#include "crypto/x509.h"

namespace attestry::forge {
namespace {

using base::Bytes;
using base::ByteView;
namespace der = crypto::der;

/// AMD's own: other people's verifiers compare it (AMD 57230). What these certificates are stands in a comment.
constexpr std::string_view kOrganisation = "Advanced Micro Devices";
constexpr std::string_view kComment = "attestry forge (simulated)";
constexpr std::size_t kSaltSize = 48;
constexpr std::size_t kWideP384 = 56;
constexpr std::uint8_t kIa5String = 0x16;

/// AMD's order of the fields.
std::vector<crypto::NameField> amd_name(std::string_view common_name) {
  return {{"2.5.4.11", "Engineering", false},
          {"2.5.4.6", "US", true},
          {"2.5.4.7", "Santa Clara", false},
          {"2.5.4.8", "CA", false},
          {"2.5.4.10", std::string{kOrganisation}, false},
          {"2.5.4.3", std::string{common_name}, false}};
}

template <std::size_t N>
base::FixedBytes<N> stream(ByteView seed, SnpProduct product, std::string_view use, std::string_view label) {
  base::LpWriter input;
  input.lp("attestry/forge/snp/1").lp(seed).lp(to_text(product)).lp(use).lp(label);
  crypto::SeededRandom random(input.bytes());
  return random.bytes<N>();
}

crypto::RsaPrivateKey rsa_key(ByteView seed, SnpProduct product, std::string_view label, unsigned bits) {
  crypto::SeededRandom random(stream<32>(seed, product, "rsa", label));
  return crypto::RsaPrivateKey::generate(bits, random);
}

/// The salt of a signature: from the seed, another for each certificate.
Bytes salt_for(ByteView seed, SnpProduct product, std::string_view label) {
  const auto salt = stream<kSaltSize>(seed, product, "salt", label);
  return {salt.begin(), salt.end()};
}

/// Where AMD publishes the list that may revoke a CA: the two intermediates have different places for the same list.
std::string crl_place(SnpProduct product, std::string_view name) {
  const std::string_view kind = name.starts_with("SEV-VLEK") ? "vlek" : "vcek";
  return std::string("https://kdsintf.amd.com/").append(kind).append("/v1/").append(to_text(product)).append("/crl");
}

/// The Netscape comment, which nothing reads and `openssl x509 -text` shows.
crypto::ExtensionOut comment() {
  return {"2.16.840.1.113730.1.13", false, der::tlv(kIa5String, base::as_bytes(kComment))};
}

std::vector<crypto::ExtensionOut> ca_extensions(ByteView spki, ByteView issuer_spki, bool ca, bool root,
                                                const std::string& crl) {
  return {{"2.5.29.14", false, der::subject_key_id(spki)},
          {"2.5.29.35", false, der::authority_key_id(issuer_spki)},
          {"2.5.29.19", true, der::basic_constraints(ca, ca ? std::optional{root ? 1u : 0u} : std::nullopt)},
          {"2.5.29.15", true, der::key_usage(root ? der::key_cert_sign | der::crl_sign : der::key_cert_sign)},
          {"2.5.29.31", false, der::crl_distribution_point(crl)},
          comment()};
}

struct CaSpec {
  std::string name;
  Bytes serial;
  bool is_ca = true;
};

base::Result<Bytes> ca_certificate(ByteView seed, SnpProduct product, const CaSpec& ca,
                                   const crypto::RsaPrivateKey& key, const SnpCa* issuer) {
  const crypto::RsaPrivateKey& signer = issuer != nullptr ? issuer->key : key;
  crypto::CertificateSpec spec;
  spec.serial = ca.serial;
  spec.subject = amd_name(ca.name);
  spec.issuer = amd_name(issuer != nullptr ? issuer->name : ca.name);
  spec.not_before = long_validity().not_before;
  spec.not_after = long_validity().not_after;
  spec.spki = key.public_key().spki();
  spec.extensions =
      ca_extensions(spec.spki, signer.public_key().spki(), ca.is_ca, issuer == nullptr, crl_place(product, ca.name));
  return crypto::issue_certificate(spec, signer, salt_for(seed, product, ca.is_ca ? ca.name : ca.name + "/no-ca"));
}

base::Result<SnpCa> make_ca(ByteView seed, SnpProduct product, CaSpec spec, const SnpCa* issuer, unsigned bits) {
  auto key = rsa_key(seed, product, spec.name, bits);
  TRY(auto bytes, ca_certificate(seed, product, spec, key, issuer), spec.name);
  return SnpCa{std::move(spec.name), std::move(key), std::move(bytes), std::move(spec.serial)};
}

void add_extension(std::vector<crypto::ExtensionOut>& out, std::string_view name, Bytes value) {
  out.push_back({std::string{attestation::snp::kAmdArc}.append(name), false, std::move(value)});
}

/// AMD 57230, table of the VCEK's extensions. Turin has an FMC and no SPL 4.
std::vector<crypto::ExtensionOut> vek_extensions(const VekSpec& spec, SnpProduct product) {
  const bool turin = product == SnpProduct::turin;
  std::vector<crypto::ExtensionOut> out;
  if (spec.is_ca) out.push_back({"2.5.29.19", true, der::basic_constraints(true, std::nullopt)});
  add_extension(out, "1", der::integer(turin ? 1 : 0));
  add_extension(out, "2", der::tlv(kIa5String, base::as_bytes(spec.product_name)));
  add_extension(out, "3.1", der::integer(spec.tcb.boot_loader));
  add_extension(out, "3.2", der::integer(spec.tcb.tee));
  add_extension(out, "3.3", der::integer(spec.tcb.snp));
  for (const std::string_view reserved : {"3.4", "3.5", "3.6", "3.7"}) {
    if (!turin || reserved != "3.4") add_extension(out, reserved, der::integer(0));
  }
  add_extension(out, "3.8", der::integer(spec.tcb.microcode));
  if (turin) add_extension(out, "3.9", der::integer(spec.tcb.fmc));
  if (spec.hwid) add_extension(out, "4", *spec.hwid);  // raw, as AMD has it
  if (spec.csp_id) add_extension(out, "5", der::tlv(kIa5String, base::as_bytes(*spec.csp_id)));
  return out;
}

}  // namespace

std::string chip_label(std::string_view use, std::uint32_t chip) {
  std::string out{use};
  if (chip != 0) out.append(" ").append(std::to_string(chip));
  return out;
}

base::Result<SnpPki> SnpPki::make(ByteView seed, SnpProduct product, unsigned rsa_bits) {
  if (seed.empty()) {
    return base::Error{base::Code::malformed, "the forge's seed is empty", "at least one byte", "none"};
  }
  const std::string name{to_text(product)};
  const auto line = static_cast<std::uint8_t>(static_cast<unsigned>(product) + 1);
  TRY(auto ark, make_ca(seed, product, {"ARK-" + name, {line, 0, 0}}, nullptr, rsa_bits));
  TRY(auto ask, make_ca(seed, product, {"SEV-" + name, {line, 0, 1}}, &ark, rsa_bits));
  TRY(auto asvk, make_ca(seed, product, {"SEV-VLEK-" + name, {line, 0, 2}}, &ark, rsa_bits));
  return SnpPki(base::to_bytes(seed), product, std::move(ark), std::move(ask), std::move(asvk));
}

base::Result<crypto::EcPrivateKey> SnpPki::derive_key(std::string_view label) const {
  return crypto::EcPrivateKey::from_wide(crypto::Curve::p384, stream<kWideP384>(seed_, product_, "p384", label));
}

Bytes SnpPki::derive_bytes(std::string_view label, std::size_t size) const {
  crypto::SeededRandom random(stream<32>(seed_, product_, "bytes", label));
  Bytes out(size);
  random.fill(out);
  return out;
}

base::Result<Issued> SnpPki::vek(const VekSpec& spec, const SnpCa& issuer) const {
  TRY(auto key, derive_key(chip_label(spec.vlek ? "vlek" : "vcek", spec.chip)));
  crypto::CertificateSpec certificate;
  certificate.serial = {0};  // of every VCEK
  certificate.subject = amd_name(spec.common_name);
  certificate.issuer = amd_name(issuer.name);
  certificate.not_before = spec.validity.not_before;
  certificate.not_after = spec.validity.not_after;
  certificate.spki = key.public_key().spki();
  certificate.extensions = vek_extensions(spec, product_);
  TRY(auto bytes,
      crypto::issue_certificate(certificate, issuer.key,
                                salt_for(seed_, product_, chip_label(spec.common_name, spec.chip))),
      spec.common_name);
  return Issued{std::move(key), std::move(bytes), std::move(certificate.serial)};
}

base::Result<Bytes> SnpPki::without_ca(const SnpCa& intermediate) const {
  return ca_certificate(seed_, product_, {intermediate.name, intermediate.serial, false}, intermediate.key, &ark_);
}

base::Result<Bytes> SnpPki::crl(const SnpCa& named, const SnpCa& signer, const Validity& window,
                                const std::vector<Bytes>& revoked) const {
  TRY(const auto certificate, crypto::Certificate::parse(named.der));
  crypto::CrlSpec spec;
  spec.issuer_der = base::to_bytes(certificate.subject_der());
  spec.this_update = window.not_before;
  spec.next_update = window.not_after;
  for (const auto& serial : revoked) spec.entries.push_back({serial, window.not_before});
  spec.extensions = {{"2.5.29.35", false, der::authority_key_id(certificate.spki())},
                     {"2.5.29.20", false, der::crl_number(1)}};
  return crypto::issue_crl(spec, signer.key, salt_for(seed_, product_, "crl"));
}

}  // namespace attestry::forge
