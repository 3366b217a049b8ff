// Writes certificates and CRLs (RFC 5280 4.1, 5.1). The bytes follow from the specification alone, in its order, so
// that a simulated TEE's chain can be compared byte by byte; only the signature may differ, and not even that when
// deterministic.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

#include "crypto/internal/x509_writer.h"
#include "crypto/x509.h"

namespace attestry::crypto {

namespace internal {

base::Bytes signature_algorithm(Curve curve) {
  std::string_view oid;
  switch (curve) {  // RFC 5758 3.2
    case Curve::p256:
      oid = "1.2.840.10045.4.3.2";
      break;
    case Curve::p384:
      oid = "1.2.840.10045.4.3.3";
      break;
    case Curve::p521:
      oid = "1.2.840.10045.4.3.4";
      break;
  }
  return der::sequence({der::oid(oid)});
}

base::Bytes sign_structure(base::ByteView content, const EcPrivateKey& key, bool deterministic) {
  base::Bytes bits{0};
  base::append(bits, key.sign_der(content, deterministic));
  return der::sequence({content, signature_algorithm(key.curve()), der::tlv(0x03, bits)});
}

}  // namespace internal

namespace {

base::Error unwritable(std::string what) { return base::Error{.code = base::Code::malformed, .what = std::move(what)}; }

base::Result<base::Bytes> serial_number(base::ByteView serial) {
  while (serial.size() > 1 && serial[0] == 0) serial = serial.subspan(1);
  if (serial.empty() || serial.size() > 20) return unwritable("serial number must have 1 to 20 bytes");
  base::Bytes content;
  if ((serial[0] & 0x80) != 0) content.push_back(0);
  base::append(content, serial);
  return der::tlv(0x02, content);
}

/// UTCTime through 2049, GeneralizedTime from then on (RFC 5280 4.1.2.5).
base::Result<base::Bytes> time(base::UtcTime at) {
  using namespace std::chrono;
  const sys_seconds instant{seconds{at.seconds}};
  const sys_days day = floor<days>(instant);
  const year_month_day date{day};
  const hh_mm_ss clock{instant - day};
  const int year = static_cast<int>(date.year());
  if (at.seconds < -631152000 || at.seconds > 253402300799) return unwritable("time outside the years 1950 to 9999");
  std::array<char, 64> text{};
  const bool utc = year < 2050;
  const int size =
      std::snprintf(text.data(), text.size(), utc ? "%02d%02u%02u%02d%02d%02dZ" : "%04d%02u%02u%02d%02d%02dZ",
                    utc ? year % 100 : year, static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                    static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                    static_cast<int>(clock.seconds().count()));
  return der::tlv(utc ? 0x17 : 0x18, base::as_bytes({text.data(), static_cast<std::size_t>(size)}));
}

bool printable(char c) {
  // X.680 41.4: letters, digits and these.
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view(" '()+,-./:=?").find(c) != std::string_view::npos;
}

base::Result<base::Bytes> name(const std::vector<NameField>& fields) {
  for (const NameField& field : fields) {
    if (der::oid(field.oid).empty()) return unwritable("name field " + field.oid + " is not an object identifier");
    if (field.value.empty()) return unwritable("name field " + field.oid + " is empty");
    if (field.printable && !std::ranges::all_of(field.value, printable)) {
      return unwritable("name field " + field.oid + " has a character that a PrintableString cannot hold");
    }
  }
  return der::name(fields);
}

base::Result<base::Bytes> extensions(const std::vector<ExtensionOut>& list, std::uint8_t tag) {
  if (list.empty()) return base::Bytes{};
  constexpr std::uint8_t kTrue[] = {0x01, 0x01, 0xff};
  base::Bytes content;
  for (const ExtensionOut& extension : list) {
    const base::Bytes oid = der::oid(extension.oid);
    if (oid.empty()) return unwritable("extension " + extension.oid + " is not an object identifier");
    const base::ByteView critical = extension.critical ? base::ByteView(kTrue) : base::ByteView();
    base::append(content, der::sequence({oid, critical, der::octet_string(extension.value)}));
  }
  return der::tlv(tag, der::tlv(0x30, content));
}

}  // namespace

base::Result<base::Bytes> internal::written_name(const std::vector<NameField>& fields) { return name(fields); }

base::Result<base::Bytes> internal::written_extensions(const std::vector<ExtensionOut>& list) {
  return extensions(list, 0x31);
}

namespace {

/// RFC 4055 3.1, without the default trailer field.
base::Bytes pss_algorithm() {
  const base::Bytes sha384 = der::sequence({der::oid("2.16.840.1.101.3.4.2.2"), der::tlv(0x05, {})});
  const base::Bytes mgf1 = der::sequence({der::oid("1.2.840.113549.1.1.8"), sha384});
  const base::Bytes parameters =
      der::sequence({der::tlv(0xa0, sha384), der::tlv(0xa1, mgf1), der::tlv(0xa2, der::integer(48))});
  return der::sequence({der::oid("1.2.840.113549.1.1.10"), parameters});
}

base::Bytes pss_signed(base::ByteView content, const RsaPrivateKey& key, base::ByteView salt) {
  base::Bytes bits{0};
  base::append(bits, key.sign_pss_sha384(content, salt));
  return der::sequence({content, pss_algorithm(), der::tlv(0x03, bits)});
}

base::Result<base::Bytes> certificate_content(const CertificateSpec& spec, base::ByteView algorithm) {
  TRY(const base::Bytes serial, serial_number(spec.serial), "certificate");
  TRY(const base::Bytes not_before, time(spec.not_before), "notBefore");
  TRY(const base::Bytes not_after, time(spec.not_after), "notAfter");
  base::Bytes subject = spec.subject_der;
  if (subject.empty()) {
    TRY(subject, name(spec.subject), "subject");
  }
  base::Bytes issuer_name = spec.issuer_der;
  if (issuer_name.empty()) {
    TRY(issuer_name, name(spec.issuer), "issuer");
  }
  TRY(const base::Bytes extension_list, extensions(spec.extensions, 0xa3), "certificate");
  if (spec.spki.empty()) return unwritable("certificate without a public key");
  const base::Bytes version = der::tlv(0xa0, der::integer(2));
  const base::Bytes validity = der::sequence({not_before, not_after});
  return der::sequence({version, serial, algorithm, issuer_name, validity, subject, spec.spki, extension_list});
}

base::Result<base::Bytes> crl_content(const CrlSpec& spec, base::ByteView algorithm) {
  TRY(const base::Bytes this_update, time(spec.this_update), "thisUpdate");
  TRY(const base::Bytes next_update, time(spec.next_update), "nextUpdate");
  TRY(const base::Bytes extension_list, extensions(spec.extensions, 0xa0), "CRL");
  if (spec.issuer_der.empty()) return unwritable("CRL without an issuer");
  base::Bytes entries;
  for (const CrlEntry& entry : spec.entries) {
    TRY(const base::Bytes serial, serial_number(entry.serial), "CRL entry");
    TRY(const base::Bytes at, time(entry.revoked_at), "CRL entry");
    base::append(entries, der::sequence({serial, at}));
  }
  // RFC 5280 5.1.2.6: the list is absent when nothing is revoked.
  const base::Bytes revoked = spec.entries.empty() ? base::Bytes{} : der::tlv(0x30, entries);
  return der::sequence(
      {der::integer(1), algorithm, spec.issuer_der, this_update, next_update, revoked, extension_list});
}

}  // namespace

base::Result<base::Bytes> issue_certificate(const CertificateSpec& spec, const EcPrivateKey& issuer,
                                            bool deterministic) {
  TRY(const base::Bytes content, certificate_content(spec, internal::signature_algorithm(issuer.curve())));
  return internal::sign_structure(content, issuer, deterministic);
}

base::Result<base::Bytes> issue_certificate(const CertificateSpec& spec, const RsaPrivateKey& issuer,
                                            base::ByteView salt) {
  TRY(const base::Bytes content, certificate_content(spec, pss_algorithm()));
  return pss_signed(content, issuer, salt);
}

base::Result<base::Bytes> issue_crl(const CrlSpec& spec, const EcPrivateKey& issuer, bool deterministic) {
  TRY(const base::Bytes content, crl_content(spec, internal::signature_algorithm(issuer.curve())));
  return internal::sign_structure(content, issuer, deterministic);
}

base::Result<base::Bytes> issue_crl(const CrlSpec& spec, const RsaPrivateKey& issuer, base::ByteView salt) {
  TRY(const base::Bytes content, crl_content(spec, pss_algorithm()));
  return pss_signed(content, issuer, salt);
}

}  // namespace attestry::crypto
