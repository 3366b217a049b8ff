#include "crypto/internal/x509_reader.h"

#include <algorithm>
#include <array>
#include <ctime>

namespace attestry::crypto::internal {
namespace {

// ecdsa-with-SHA256, -SHA384 and -SHA512 with absent parameters (RFC 5758 3.2).
constexpr std::array<std::uint8_t, 12> kEcdsaSha256 = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                                       0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
constexpr std::array<std::uint8_t, 12> kEcdsaSha384 = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                                       0x48, 0xce, 0x3d, 0x04, 0x03, 0x03};
constexpr std::array<std::uint8_t, 12> kEcdsaSha512 = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                                       0x48, 0xce, 0x3d, 0x04, 0x03, 0x04};
// sha256WithRSAEncryption with the NULL that RFC 4055 5 asks for.
constexpr std::array<std::uint8_t, 15> kRsaSha256 = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                                     0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00};
// id-RSASSA-PSS (RFC 4055 3.1): SHA-384, MGF1 with SHA-384, salt of 48 bytes; only these parameters, byte for byte.
// AMD's intermediates spell out the default trailer field, which DER would leave away; nothing else differs.
constexpr std::array<std::uint8_t, 67> kRsaPssSha384 = {
    0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x34, 0xa0, 0x0f,
    0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa1, 0x1c,
    0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09,
    0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, 0x30};
constexpr std::array<std::uint8_t, 5> kTrailerField = {0xa3, 0x03, 0x02, 0x01, 0x01};
constexpr std::array<std::uint8_t, 3> kCommonName = {0x55, 0x04, 0x03};

/// Text that can stand in a log line or a comparison without surprises: printable ASCII or, in UTF8String, valid UTF-8
/// without control characters. Everything else counts as no name at all.
bool clean_text(CBS value, CBS_ASN1_TAG tag) {
  const bool utf8 = tag == CBS_ASN1_UTF8STRING;
  if (!utf8 && tag != CBS_ASN1_PRINTABLESTRING && tag != CBS_ASN1_IA5STRING) return false;
  bool ascii = true;
  for (const std::uint8_t c : view_of(value)) {
    if (c < 0x20 || c == 0x7f) return false;
    ascii = ascii && c < 0x80;
  }
  if (ascii) return true;
  if (!utf8) return false;
  // RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF; U+0080 to U+009F are control characters too.
  while (CBS_len(&value) > 0) {
    std::uint8_t lead = 0;
    CBS_get_u8(&value, &lead);
    const unsigned more = lead < 0x80 ? 0 : lead < 0xc2 ? 9 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : lead < 0xf5 ? 3 : 9;
    if (more > CBS_len(&value)) return false;
    std::uint32_t point = more == 0 ? lead : lead & (0x3fU >> more);
    for (unsigned i = 0; i < more; ++i) {
      std::uint8_t next = 0;
      CBS_get_u8(&value, &next);
      if ((next & 0xc0) != 0x80) return false;
      point = (point << 6) | (next & 0x3fU);
    }
    constexpr std::uint32_t kLeast[4] = {0, 0xa0, 0x800, 0x10000};
    if (point < kLeast[more] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return false;
  }
  return true;
}

SignatureAlgorithm algorithm_of(Curve curve) {
  switch (curve) {
    case Curve::p256:
      return SignatureAlgorithm::ecdsa_sha256;
    case Curve::p384:
      return SignatureAlgorithm::ecdsa_sha384;
    case Curve::p521:
      return SignatureAlgorithm::ecdsa_sha512;
  }
  return SignatureAlgorithm::other;
}

/// Both lengths grow by the trailer field's five bytes, everything else is the same.
bool is_rsa_pss_sha384(base::ByteView algorithm) {
  if (base::equal(algorithm, kRsaPssSha384)) return true;
  base::Bytes longer = base::to_bytes(kRsaPssSha384);
  longer[1] = static_cast<std::uint8_t>(longer[1] + kTrailerField.size());
  longer[14] = static_cast<std::uint8_t>(longer[14] + kTrailerField.size());
  base::append(longer, kTrailerField);
  return base::equal(algorithm, longer);
}

}  // namespace

base::Error malformed(std::string_view what) {
  return base::Error{.code = base::Code::malformed, .what = std::string(what)};
}

base::Result<Signed> read_signed(base::ByteView der) {
  CBS input = cbs_of(der);
  CBS body;
  CBS content;
  CBS algorithm;
  CBS bits;
  std::uint8_t unused = 0;
  if (CBS_get_asn1(&input, &body, CBS_ASN1_SEQUENCE) != 1 || CBS_len(&input) != 0) {
    return malformed("not one DER sequence");
  }
  if (CBS_get_asn1_element(&body, &content, CBS_ASN1_SEQUENCE) != 1 ||
      CBS_get_asn1_element(&body, &algorithm, CBS_ASN1_SEQUENCE) != 1 ||
      CBS_get_asn1(&body, &bits, CBS_ASN1_BITSTRING) != 1 || CBS_len(&body) != 0 || CBS_get_u8(&bits, &unused) != 1 ||
      unused != 0) {
    return malformed("not a signed structure (RFC 5280 4.1.1)");
  }
  Signed out{view_of(content), view_of(algorithm), SignatureAlgorithm::other, view_of(bits)};
  if (base::equal(out.algorithm, kEcdsaSha256)) out.kind = SignatureAlgorithm::ecdsa_sha256;
  if (base::equal(out.algorithm, kEcdsaSha384)) out.kind = SignatureAlgorithm::ecdsa_sha384;
  if (base::equal(out.algorithm, kEcdsaSha512)) out.kind = SignatureAlgorithm::ecdsa_sha512;
  if (base::equal(out.algorithm, kRsaSha256)) out.kind = SignatureAlgorithm::rsa_sha256;
  if (is_rsa_pss_sha384(out.algorithm)) out.kind = SignatureAlgorithm::rsa_pss_sha384;
  return out;
}

bool verifies(const Signed& what, const EcPublicKey& key) {
  return what.kind == algorithm_of(key.curve()) && key.verify_der(what.content, what.signature);
}

bool verifies(const Signed& what, const RsaPublicKey& key) {
  switch (what.kind) {
    case SignatureAlgorithm::rsa_sha256:
      return key.verify_pkcs1_sha256(what.content, what.signature);
    case SignatureAlgorithm::rsa_pss_sha384:
      return key.verify_pss_sha384(what.content, what.signature);
    case SignatureAlgorithm::other:
    case SignatureAlgorithm::ecdsa_sha256:
    case SignatureAlgorithm::ecdsa_sha384:
    case SignatureAlgorithm::ecdsa_sha512:
      return false;
  }
  return false;
}

base::Status read_name(CBS& from, NameView& out) {
  CBS whole;
  if (CBS_get_asn1_element(&from, &whole, CBS_ASN1_SEQUENCE) != 1) return malformed("name is not a sequence");
  out.der = view_of(whole);
  CBS rdns;
  CBS_get_asn1(&whole, &rdns, CBS_ASN1_SEQUENCE);
  unsigned common_names = 0;
  while (CBS_len(&rdns) > 0) {
    CBS rdn;
    if (CBS_get_asn1(&rdns, &rdn, CBS_ASN1_SET) != 1 || CBS_len(&rdn) == 0) return malformed("name holds an empty set");
    while (CBS_len(&rdn) > 0) {
      CBS attribute;
      CBS type;
      CBS value;
      CBS_ASN1_TAG tag = 0;
      if (CBS_get_asn1(&rdn, &attribute, CBS_ASN1_SEQUENCE) != 1 ||
          CBS_get_asn1(&attribute, &type, CBS_ASN1_OBJECT) != 1 || CBS_is_valid_asn1_oid(&type) != 1 ||
          CBS_get_any_asn1(&attribute, &value, &tag) != 1 || CBS_len(&attribute) != 0) {
        return malformed("name holds a malformed attribute");
      }
      if (!base::equal(view_of(type), kCommonName)) continue;
      ++common_names;
      if (clean_text(value, tag)) out.common_name = base::as_text(view_of(value));
    }
  }
  if (common_names != 1) out.common_name.clear();
  return base::done();
}

base::Status read_time(CBS& from, base::UtcTime& out) {
  CBS text;
  CBS_ASN1_TAG tag = 0;
  std::tm fields{};
  if (CBS_get_any_asn1(&from, &text, &tag) != 1) return malformed("time is missing");
  const bool good = tag == CBS_ASN1_UTCTIME           ? CBS_parse_utc_time(&text, &fields, 0) == 1
                    : tag == CBS_ASN1_GENERALIZEDTIME ? CBS_parse_generalized_time(&text, &fields, 0) == 1
                                                      : false;
  if (!good) return malformed("time is not of the form that RFC 5280 4.1.2.5 asks for");
  out = base::from_civil(fields.tm_year + 1900, static_cast<unsigned>(fields.tm_mon + 1),
                         static_cast<unsigned>(fields.tm_mday), static_cast<unsigned>(fields.tm_hour),
                         static_cast<unsigned>(fields.tm_min), static_cast<unsigned>(fields.tm_sec));
  return base::done();
}

base::Status read_serial(CBS& from, base::ByteView& out) {
  CBS number;
  if (CBS_get_asn1(&from, &number, CBS_ASN1_INTEGER) != 1 || CBS_is_unsigned_asn1_integer(&number) != 1) {
    return malformed("serial number is not a non-negative integer");
  }
  out = view_of(number);
  // RFC 5280 4.1.2.2 wants it positive; AMD numbers every VCEK 0, so zero passes. A leading zero byte is only the sign.
  if (out.size() > 20 && (out.size() > 21 || out[0] != 0)) return malformed("serial number is longer than 20 bytes");
  return base::done();
}

base::Status read_extension(CBS& from, ExtensionView& out) {
  CBS body;
  CBS oid;
  CBS value;
  if (CBS_get_asn1(&from, &body, CBS_ASN1_SEQUENCE) != 1 || CBS_get_asn1(&body, &oid, CBS_ASN1_OBJECT) != 1 ||
      CBS_is_valid_asn1_oid(&oid) != 1) {
    return malformed("malformed extension");
  }
  out.critical = false;
  if (CBS_peek_asn1_tag(&body, CBS_ASN1_BOOLEAN) == 1) {
    // X.690 11.5: the default FALSE is not written, and 11.1: TRUE is ff.
    int critical = 0;
    if (CBS_get_asn1_bool(&body, &critical) != 1 || critical != 1)
      return malformed("extension's critical flag is not DER");
    out.critical = true;
  }
  if (CBS_get_asn1(&body, &value, CBS_ASN1_OCTETSTRING) != 1 || CBS_len(&body) != 0) {
    return malformed("malformed extension");
  }
  out.oid = view_of(oid);
  out.value = view_of(value);
  return base::done();
}

std::string dotted(base::ByteView oid) {
  const CBS cbs = cbs_of(oid);
  const bssl::UniquePtr<char> text(CBS_asn1_oid_to_text(&cbs));
  ERR_clear_error();
  return text == nullptr ? std::string{} : std::string{text.get()};
}

}  // namespace attestry::crypto::internal
