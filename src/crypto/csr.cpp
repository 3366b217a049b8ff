#include <algorithm>

#include "base/encoding.h"
#include "crypto/internal/any_signature.h"
#include "crypto/internal/x509_reader.h"
#include "crypto/internal/x509_writer.h"
#include "crypto/x509.h"

namespace attestry::crypto {

using internal::cbs_of;
using internal::malformed;
using internal::view_of;

namespace {

constexpr CBS_ASN1_TAG kAttributesTag = CBS_ASN1_CONSTRUCTED | CBS_ASN1_CONTEXT_SPECIFIC | 0;

base::Result<base::Bytes> der_of(base::ByteView pem_or_der) {
  constexpr std::uint8_t kSequence = 0x30;
  if (!pem_or_der.empty() && pem_or_der[0] == kSequence) return base::to_bytes(pem_or_der);
  TRY(const std::vector<base::PemBlock> blocks, base::pem_decode(base::as_text(pem_or_der), 1));
  if (blocks.size() != 1 ||
      (blocks[0].label != "CERTIFICATE REQUEST" && blocks[0].label != "NEW CERTIFICATE REQUEST")) {
    return malformed("not one PEM block of a certificate request");
  }
  return blocks[0].der;
}

constexpr std::string_view kExtensionRequest = "1.2.840.113549.1.9.14";  // RFC 2985 5.4.2
constexpr std::string_view kSubjectAltName = "2.5.29.17";
// More names or extensions than these are no request of a workload.
constexpr std::size_t kMaxNames = 128;
constexpr std::size_t kMaxExtensions = 64;

/// CertificationRequestInfo (RFC 2986 4.1).
struct Info {
  internal::NameView subject;
  base::ByteView spki;
  CBS attributes{};  ///< contents; empty when absent
};

base::Result<Info> read_info(base::ByteView signed_content) {
  CBS content = cbs_of(signed_content);
  CBS info;
  std::uint64_t version = 1;
  CBS spki;
  Info out;
  CBS_get_asn1(&content, &info, CBS_ASN1_SEQUENCE);
  if (CBS_get_asn1_uint64(&info, &version) != 1 || version != 0)
    return malformed("not a version 1 request (RFC 2986 4.1)");
  TRY_OK(internal::read_name(info, out.subject), "subject");
  if (CBS_get_asn1_element(&info, &spki, CBS_ASN1_SEQUENCE) != 1) return malformed("public key is missing");
  out.spki = view_of(spki);
  CBS_init(&out.attributes, nullptr, 0);
  // Some writers leave an empty set out.
  if (CBS_len(&info) > 0 && CBS_get_asn1(&info, &out.attributes, kAttributesTag) != 1)
    return malformed("malformed attributes");
  if (CBS_len(&info) != 0) return malformed("bytes behind the attributes");
  return out;
}

base::Result<Csr> read(base::ByteView der) {
  TRY(const internal::Signed parts, internal::read_signed(der));
  // Attributes are signed but say nothing that counts here (FORMATS 3).
  TRY(const Info info, read_info(parts.content));
  TRY(EcPublicKey key, EcPublicKey::from_spki(info.spki));
  if (!internal::verifies(parts, key)) {
    return base::Error{.code = base::Code::malformed,
                       .what = "the request is not signed by its own key",
                       .expected = "ECDSA with SHA-256 on P-256, SHA-384 on P-384 or SHA-512 on P-521"};
  }
  return Csr{base::to_bytes(info.spki), std::move(key)};
}

bool is_dns_text(base::ByteView name) {
  constexpr std::size_t kLongest = 253;
  return !name.empty() && name.size() <= kLongest &&
         std::ranges::all_of(name, [](std::uint8_t c) { return c > 0x20 && c < 0x7f; });
}

/// GeneralNames (RFC 5280 4.2.1.6): DNS names and addresses; the other kinds are left out.
base::Status read_alt_names(base::ByteView value, CsrFull& out) {
  constexpr CBS_ASN1_TAG kDns = CBS_ASN1_CONTEXT_SPECIFIC | 2;
  constexpr CBS_ASN1_TAG kIp = CBS_ASN1_CONTEXT_SPECIFIC | 7;
  CBS input = cbs_of(value);
  CBS names;
  if (CBS_get_asn1(&input, &names, CBS_ASN1_SEQUENCE) != 1 || CBS_len(&input) != 0)
    return malformed("malformed subjectAltName");
  while (CBS_len(&names) > 0) {
    CBS one;
    CBS_ASN1_TAG tag = 0;
    if (CBS_get_any_asn1(&names, &one, &tag) != 1) return malformed("malformed subjectAltName");
    const base::ByteView name = view_of(one);
    if (tag == kDns) {
      if (!is_dns_text(name)) return malformed("a DNS name has a character that no name has");
      out.dns.emplace_back(base::as_text(name));
    } else if (tag == kIp) {
      if (name.size() != 4 && name.size() != 16) return malformed("an IP address has neither 4 nor 16 bytes");
      out.ips.push_back(base::to_bytes(name));
    }
    if (out.dns.size() + out.ips.size() > kMaxNames) return malformed("the request asks for too many names");
  }
  return base::done();
}

/// The values of one extensionRequest attribute.
base::Status read_extensions(CBS values, CsrFull& out) {
  CBS list;
  if (CBS_get_asn1(&values, &list, CBS_ASN1_SEQUENCE) != 1 || CBS_len(&values) != 0)
    return malformed("malformed extension request");
  while (CBS_len(&list) > 0) {
    internal::ExtensionView extension;
    TRY_OK(internal::read_extension(list, extension));
    std::string oid = internal::dotted(extension.oid);
    if (oid.empty()) return malformed("malformed extension");
    if (out.extensions.size() == kMaxExtensions) return malformed("the request asks for too many extensions");
    if (oid == kSubjectAltName) {
      if (!out.dns.empty() || !out.ips.empty()) return malformed("two subjectAltNames");
      TRY_OK(read_alt_names(extension.value, out));
    }
    out.extensions.emplace_back(std::move(oid), base::to_bytes(extension.value));
  }
  return base::done();
}

base::Status read_attributes(CBS attributes, CsrFull& out) {
  while (CBS_len(&attributes) > 0) {
    CBS attribute;
    CBS type;
    CBS values;
    if (CBS_get_asn1(&attributes, &attribute, CBS_ASN1_SEQUENCE) != 1 ||
        CBS_get_asn1(&attribute, &type, CBS_ASN1_OBJECT) != 1 || CBS_get_asn1(&attribute, &values, CBS_ASN1_SET) != 1 ||
        CBS_len(&attribute) != 0) {
      return malformed("malformed attribute");
    }
    if (internal::dotted(view_of(type)) == kExtensionRequest) TRY_OK(read_extensions(values, out));
  }
  return base::done();
}

base::Result<CsrFull> read_full(base::ByteView der) {
  TRY(const internal::Signed parts, internal::read_signed(der));
  TRY(const Info info, read_info(parts.content));
  if (!internal::verifies_any(parts, info.spki)) {
    return base::Error{.code = base::Code::malformed,
                       .what = "the request is not signed by its own key",
                       .expected = "ECDSA on P-224 to P-521, RSA of 2048 to 8192 bits or Ed25519"};
  }
  CsrFull out;
  out.spki = base::to_bytes(info.spki);
  out.subject_der = base::to_bytes(info.subject.der);
  out.common_name = info.subject.common_name;
  TRY_OK(read_attributes(info.attributes, out));
  return out;
}

/// CertificationRequestInfo with the extensions as one extensionRequest attribute.
base::Result<base::Bytes> written_info(const CsrSpec& spec, base::ByteView spki) {
  TRY(const base::Bytes subject, internal::written_name(spec.subject), "subject");
  std::vector<ExtensionOut> extensions;
  if (!spec.dns.empty() || !spec.ips.empty()) {
    extensions.push_back({std::string(kSubjectAltName), false, der::subject_alt_name(spec.dns, {}, spec.ips)});
  }
  extensions.insert(extensions.end(), spec.extensions.begin(), spec.extensions.end());
  TRY(const base::Bytes values, internal::written_extensions(extensions), "CSR");
  base::Bytes attributes;
  if (!values.empty()) attributes = der::sequence({der::oid(kExtensionRequest), values});
  return der::sequence({der::integer(0), subject, spki, der::tlv(0xa0, attributes)});
}

base::Bytes signed_by_hand(base::ByteView content, base::ByteView algorithm, base::ByteView signature) {
  base::Bytes bits{0};
  base::append(bits, signature);
  return der::sequence({content, algorithm, der::tlv(0x03, bits)});
}

}  // namespace

base::Result<Csr> parse_csr(base::ByteView pem_or_der) {
  TRY(const base::Bytes der, der_of(pem_or_der), "CSR");
  TRY(Csr csr, read(der), "CSR");
  return csr;
}

base::Result<CsrFull> parse_csr_full(base::ByteView pem_or_der) {
  TRY(const base::Bytes der, der_of(pem_or_der), "CSR");
  TRY(CsrFull csr, read_full(der), "CSR");
  return csr;
}

base::Result<base::Bytes> make_csr(const CsrSpec& spec, const EcPrivateKey& key) {
  TRY(const base::Bytes content, written_info(spec, key.public_key().spki()));
  return internal::sign_structure(content, key, false);
}

base::Result<base::Bytes> make_csr(const CsrSpec& spec, const Ed25519PrivateKey& key) {
  const base::Bytes algorithm = der::sequence({der::oid("1.3.101.112")});  // RFC 8410 3
  base::Bytes bits{0};
  base::append(bits, key.public_key());
  TRY(const base::Bytes content, written_info(spec, der::sequence({algorithm, der::tlv(0x03, bits)})));
  return signed_by_hand(content, algorithm, key.sign(content));
}

base::Result<base::Bytes> make_csr(const CsrSpec& spec, const RsaPrivateKey& key) {
  TRY(const base::Bytes content, written_info(spec, key.public_key().spki()));
  const base::Bytes algorithm = der::sequence({der::oid("1.2.840.113549.1.1.11"), der::tlv(0x05, {})});  // RFC 4055 5
  return signed_by_hand(content, algorithm, key.sign_pkcs1_sha256(content));
}

base::Result<base::Bytes> make_csr(const EcPrivateKey& key, std::string_view common_name) {
  std::vector<NameField> subject;
  if (!common_name.empty()) subject.push_back({"2.5.4.3", std::string(common_name), false});
  const base::Bytes content =
      der::sequence({der::integer(0), der::name(subject), key.public_key().spki(), der::tlv(0xa0, {})});
  return internal::sign_structure(content, key, false);
}

}  // namespace attestry::crypto
