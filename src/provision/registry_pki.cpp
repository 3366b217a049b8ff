#include "provision/registry_pki.h"

#include <algorithm>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/key_pem.h"
#include "curves/keccak.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;

namespace {

// The same in every replica and after every restart, so neither the clock nor chance may have a part in it; RFC 5280
// 4.1.2.5 gives 99991231235959Z the meaning "no well-defined expiration date".
const base::UtcTime kCaNotBefore = base::from_civil(2020, 1, 1, 0, 0, 0);
const base::UtcTime kCaNotAfter = base::from_civil(9999, 12, 31, 23, 59, 59);
constexpr std::int64_t kBackdateSeconds = 60;  // clocks of workloads run a little behind
constexpr std::string_view kAppSuffix = ".app";

/// The registry's clients write names as Go does: PrintableString, O before CN.
std::vector<crypto::NameField> ca_name(const curves::Address& contract) {
  return {{"2.5.4.10", "SimpleKMS", true}, {"2.5.4.3", "CA for " + registry_app_name(contract), true}};
}

base::Bytes serial_from(base::ByteView digest) {
  base::Bytes serial = base::to_bytes(digest.first(16));
  serial[0] = static_cast<std::uint8_t>((serial[0] & 0x7f) | 0x40);  // positive, and never a leading zero
  return serial;
}

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

Error denied(std::string what, std::string expected, std::string found) {
  return Error{
      .code = Code::denied, .what = std::move(what), .expected = std::move(expected), .found = std::move(found)};
}

/// An app's CA must not certify another's names: whoever trusts two apps would take one for the other.
base::Status check_names(const crypto::CsrFull& csr, const std::string& app, const LeafRules& rules) {
  if (!rules.strict) return base::done();
  if (csr.common_name != app) return denied("the request's common name", app, csr.common_name);
  for (const std::string& dns : csr.dns) {
    const std::string name = lower(dns);
    const bool listed = std::ranges::any_of(rules.domains, [&](const std::string& one) { return lower(one) == name; });
    if (name != app && !name.ends_with("." + app) && !listed) {
      return denied("a DNS name that is not this app's", app + ", a name under it or a listed domain", dns);
    }
  }
  for (const base::Bytes& ip : csr.ips) {
    if (std::ranges::find(rules.ips, ip) == rules.ips.end()) {
      return denied("an address that is not this app's", "a listed address", base::hex(ip));
    }
  }
  return base::done();
}

std::vector<crypto::ExtensionOut> leaf_extensions(const crypto::CsrFull& csr, base::ByteView ca_spki) {
  namespace der = crypto::der;
  std::vector<crypto::ExtensionOut> out = {
      {"2.5.29.15", true, der::key_usage(der::digital_signature | der::key_encipherment)},
      {"2.5.29.37", false, der::extended_key_usage({"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"})},
      {"2.5.29.19", true, der::basic_constraints(false, {})},
      {"2.5.29.35", false, der::authority_key_id(ca_spki)}};
  if (!csr.dns.empty() || !csr.ips.empty()) {
    // RFC 5280 4.2.1.6: critical where there is no other name.
    const bool nameless = csr.subject_der == der::name({});
    out.push_back({"2.5.29.17", nameless, der::subject_alt_name(csr.dns, {}, csr.ips)});
  }
  return out;
}

/// The app's CA says of a workload that it is of the app, and nothing of what else a request may claim (an
/// organisation, a group, an address of mail): other programs read rights out of those.
base::Bytes subject(const crypto::CsrFull& csr, const LeafRules& rules) {
  return rules.strict ? crypto::der::name({{"2.5.4.3", csr.common_name, true}}) : csr.subject_der;
}

ReportData report_data(const curves::Address& contract, const base::Digest32& hash) {
  ReportData out{};
  std::ranges::copy(hash, std::ranges::copy(contract, out.begin()).out);
  return out;
}

/// The magnitude without leading zeros, as Go's big integers give it.
base::Bytes minimal(const OnboardNonce& nonce) {
  OnboardNonce magnitude = nonce;
  if ((nonce[0] & 0x80) != 0) {
    unsigned carry = 1;
    for (std::size_t i = magnitude.size(); i-- > 0;) {
      const unsigned sum = static_cast<std::uint8_t>(~nonce[i]) + carry;
      magnitude[i] = static_cast<std::uint8_t>(sum);
      carry = sum >> 8;
    }
  }
  const auto first = std::ranges::find_if(magnitude, [](std::uint8_t byte) { return byte != 0; });
  return {first, magnitude.end()};
}

void abi_number(base::LpWriter& out, std::uint64_t value) { out.u64(0).u64(0).u64(0).u64(value); }

void abi_bytes(base::LpWriter& out, base::ByteView value) {
  abi_number(out, value.size());
  out.raw(value).raw(base::Bytes((32 - value.size() % 32) % 32, 0));
}

}  // namespace

std::string registry_app_name(const curves::Address& contract) {
  return curves::address_hex(contract) + std::string(kAppSuffix);
}

Result<std::string> registry_ca_pem(const keys::RegistryAppKeys& keys, const curves::Address& contract) {
  namespace der = crypto::der;
  const base::Bytes spki = keys.ca.public_key().spki();
  const auto name = ca_name(contract);
  const crypto::CertificateSpec spec{
      .serial = serial_from(crypto::sha256({base::as_bytes("attestry/registry-ca/1"), contract, spki})),
      .subject = name,
      .issuer = name,
      .issuer_der = {},
      .not_before = kCaNotBefore,
      .not_after = kCaNotAfter,
      .spki = spki,
      .extensions = {{"2.5.29.15", true, der::key_usage(der::digital_signature | der::key_cert_sign | der::crl_sign)},
                     {"2.5.29.19", true, der::basic_constraints(true, 1u)},
                     {"2.5.29.14", false, der::subject_key_id(spki)}}};
  TRY(const base::Bytes certificate, crypto::issue_certificate(spec, keys.ca, /*deterministic=*/true), "CA");
  return base::pem_encode("CERTIFICATE", certificate);
}

std::string registry_app_pubkey_pem(const keys::RegistryAppKeys& keys) {
  return crypto::spki_pem(keys.app.public_key().spki());
}

crypto::Secret registry_app_privkey_pem(const keys::RegistryAppKeys& keys) { return crypto::sec1_pem(keys.app); }

Result<std::string> registry_leaf_pem(const keys::RegistryAppKeys& keys, const curves::Address& contract,
                                      const crypto::CsrFull& csr, const LeafRules& rules, base::UtcTime now,
                                      crypto::Random& random, std::int64_t lifetime) {
  TRY_OK(check_names(csr, registry_app_name(contract), rules), "certificate request");
  const crypto::CertificateSpec spec{.serial = serial_from(random.bytes<16>()),
                                     .subject = {},
                                     .issuer = {},
                                     .issuer_der = crypto::der::name(ca_name(contract)),
                                     .not_before = now - kBackdateSeconds,
                                     .not_after = now + std::min(lifetime, kRegistryLeafSeconds),
                                     .spki = csr.spki,
                                     .extensions = leaf_extensions(csr, keys.ca.public_key().spki()),
                                     .subject_der = subject(csr, rules)};
  TRY(const base::Bytes certificate, crypto::issue_certificate(spec, keys.ca), "certificate");
  return base::pem_encode("CERTIFICATE", certificate);
}

ReportData pki_report_data(const curves::Address& contract, std::string_view ca_pem, std::string_view app_pub_pem) {
  return report_data(contract, crypto::sha256({base::as_bytes(ca_pem), base::as_bytes(app_pub_pem)}));
}

ReportData secrets_report_data(const curves::Address& contract, const curves::Address& kms_operator,
                               std::string_view leaf_pem, base::ByteView app_privkey_pem) {
  return report_data(contract, crypto::sha256({kms_operator, base::as_bytes(leaf_pem), app_privkey_pem}));
}

OnboardNonce onboard_nonce(std::uint64_t value) noexcept {
  OnboardNonce out{};
  for (std::size_t i = 0; i < 8; ++i) out[31 - i] = static_cast<std::uint8_t>(value >> (8 * i));
  return out;
}

ReportData onboard_report_data(const curves::Address& kms_contract, base::ByteView pubkey_pem,
                               const OnboardNonce& nonce, const curves::Address& operator_address) {
  return report_data(kms_contract, crypto::sha256({pubkey_pem, minimal(nonce), operator_address}));
}

base::Digest32 onboard_request_hash(base::ByteView pubkey_pem, const OnboardNonce& nonce,
                                    const curves::Address& operator_address, base::ByteView attestation) {
  constexpr std::uint64_t kHead = 4 * 32;
  base::LpWriter out;
  abi_number(out, kHead);
  out.raw(nonce).raw(base::Bytes(12, 0)).raw(operator_address);
  abi_number(out, kHead + 32 + (pubkey_pem.size() + 31) / 32 * 32);
  abi_bytes(out, pubkey_pem);
  abi_bytes(out, attestation);
  return curves::keccak256(out.bytes());
}

}  // namespace attestry::provision
