#include <algorithm>

#include "base/encoding.h"
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

base::Result<Csr> read(base::ByteView der) {
  TRY(const internal::Signed parts, internal::read_signed(der));
  CBS content = cbs_of(parts.content);
  CBS info;
  std::uint64_t version = 1;
  internal::NameView subject;
  CBS spki;
  CBS_get_asn1(&content, &info, CBS_ASN1_SEQUENCE);
  if (CBS_get_asn1_uint64(&info, &version) != 1 || version != 0)
    return malformed("not a version 1 request (RFC 2986 4.1)");
  TRY_OK(internal::read_name(info, subject), "subject");
  if (CBS_get_asn1_element(&info, &spki, CBS_ASN1_SEQUENCE) != 1) return malformed("public key is missing");
  // Attributes are signed but say nothing that counts here (FORMATS 3); some writers leave an empty set out.
  CBS attributes;
  if (CBS_len(&info) > 0 && CBS_get_asn1(&info, &attributes, kAttributesTag) != 1)
    return malformed("malformed attributes");
  if (CBS_len(&info) != 0) return malformed("bytes behind the attributes");
  TRY(EcPublicKey key, EcPublicKey::from_spki(view_of(spki)));
  if (!internal::verifies(parts, key)) {
    return base::Error{.code = base::Code::malformed,
                       .what = "the request is not signed by its own key",
                       .expected = "ecdsa-with-SHA256 on P-256 or ecdsa-with-SHA384 on P-384"};
  }
  return Csr{base::to_bytes(view_of(spki)), std::move(key)};
}

}  // namespace

base::Result<Csr> parse_csr(base::ByteView pem_or_der) {
  TRY(const base::Bytes der, der_of(pem_or_der), "CSR");
  TRY(Csr csr, read(der), "CSR");
  return csr;
}

base::Result<base::Bytes> make_csr(const EcPrivateKey& key, std::string_view common_name) {
  std::vector<NameField> subject;
  if (!common_name.empty()) subject.push_back({"2.5.4.3", std::string(common_name), false});
  const base::Bytes content =
      der::sequence({der::integer(0), der::name(subject), key.public_key().spki(), der::tlv(0xa0, {})});
  return internal::sign_structure(content, key, false);
}

}  // namespace attestry::crypto
