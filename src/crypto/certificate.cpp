#include <algorithm>
#include <array>

#include "crypto/hash.h"
#include "crypto/internal/x509_reader.h"
#include "crypto/x509.h"

namespace attestry::crypto {

using internal::cbs_of;
using internal::ExtensionView;
using internal::malformed;
using internal::view_of;

struct Certificate::Impl {
  base::Bytes der;
  base::Digest32 sha256{};
  internal::Signed parts;  // this and every view below point into `der`
  internal::NameView subject;
  internal::NameView issuer;
  base::ByteView serial;
  base::ByteView spki;
  base::UtcTime not_before;
  base::UtcTime not_after;
  std::optional<EcPublicKey> key;
  std::optional<RsaPublicKey> rsa;
  std::vector<ExtensionView> extensions;
  std::vector<std::string> unknown_critical;
  bool has_basic_constraints = false;
  bool is_ca = false;
  std::optional<unsigned> path_length;
  std::optional<unsigned> key_usage;  // first byte of the BIT STRING

  base::Status read_tbs();
  base::Status read_spki(CBS& from);
  base::Status read_extensions(CBS& from);
  base::Status read_basic_constraints(const ExtensionView& extension);
  base::Status read_key_usage(const ExtensionView& extension);
};

namespace {

constexpr std::array<std::uint8_t, 3> kBasicConstraints = {0x55, 0x1d, 0x13};
constexpr std::array<std::uint8_t, 3> kKeyUsage = {0x55, 0x1d, 0x0f};
constexpr std::array<std::uint8_t, 7> kEcPublicKey = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
constexpr std::array<std::uint8_t, 9> kRsaEncryption = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
constexpr std::array<std::uint8_t, 3> kEd25519 = {0x2b, 0x65, 0x70};
constexpr CBS_ASN1_TAG kVersionTag = CBS_ASN1_CONSTRUCTED | CBS_ASN1_CONTEXT_SPECIFIC | 0;
constexpr CBS_ASN1_TAG kExtensionsTag = CBS_ASN1_CONSTRUCTED | CBS_ASN1_CONTEXT_SPECIFIC | 3;
constexpr std::size_t kMaxExtensions = 64;

base::Status read_version(CBS& tbs) {
  CBS version;
  std::uint64_t number = 0;
  if (CBS_get_asn1(&tbs, &version, kVersionTag) != 1 || CBS_get_asn1_uint64(&version, &number) != 1 ||
      CBS_len(&version) != 0 || number != 2) {
    return malformed("not a version 3 certificate");
  }
  return base::done();
}

}  // namespace

base::Status Certificate::Impl::read_spki(CBS& from) {
  CBS whole;
  if (CBS_get_asn1_element(&from, &whole, CBS_ASN1_SEQUENCE) != 1) return malformed("public key is not a sequence");
  spki = view_of(whole);
  CBS body;
  CBS algorithm;
  CBS oid;
  CBS bits;
  if (CBS_get_asn1(&whole, &body, CBS_ASN1_SEQUENCE) != 1 || CBS_get_asn1(&body, &algorithm, CBS_ASN1_SEQUENCE) != 1 ||
      CBS_get_asn1(&algorithm, &oid, CBS_ASN1_OBJECT) != 1 || CBS_get_asn1(&body, &bits, CBS_ASN1_BITSTRING) != 1 ||
      CBS_is_valid_asn1_bitstring(&bits) != 1 || CBS_len(&body) != 0) {
    return malformed("malformed public key");
  }
  if (base::equal(view_of(oid), kEcPublicKey)) {
    TRY(key, EcPublicKey::from_spki(spki));
    return base::done();
  }
  // Certificates for Ed25519 and for RSA keys out of range are read, so that a chain can be shown and its fields
  // judged; nothing verifies under them.
  if (base::equal(view_of(oid), kRsaEncryption)) {
    if (auto read = RsaPublicKey::from_spki(spki)) rsa = *std::move(read);
    return base::done();
  }
  if (base::equal(view_of(oid), kEd25519)) return base::done();
  return malformed("public key of an unknown kind");
}

base::Status Certificate::Impl::read_basic_constraints(const ExtensionView& extension) {
  CBS value = cbs_of(extension.value);
  CBS body;
  if (CBS_get_asn1(&value, &body, CBS_ASN1_SEQUENCE) != 1 || CBS_len(&value) != 0) {
    return malformed("malformed basicConstraints");
  }
  has_basic_constraints = true;
  if (CBS_peek_asn1_tag(&body, CBS_ASN1_BOOLEAN) == 1) {
    int ca = 0;
    if (CBS_get_asn1_bool(&body, &ca) != 1 || ca != 1) return malformed("basicConstraints is not DER");
    is_ca = true;
  }
  if (CBS_len(&body) > 0) {
    std::uint64_t length = 0;
    // RFC 5280 4.2.1.9: the length has a meaning only for CAs.
    if (CBS_get_asn1_uint64(&body, &length) != 1 || CBS_len(&body) != 0 || length > 255 || !is_ca) {
      return malformed("malformed basicConstraints");
    }
    path_length = static_cast<unsigned>(length);
  }
  return base::done();
}

base::Status Certificate::Impl::read_key_usage(const ExtensionView& extension) {
  CBS value = cbs_of(extension.value);
  CBS bits;
  if (CBS_get_asn1(&value, &bits, CBS_ASN1_BITSTRING) != 1 || CBS_len(&value) != 0 ||
      CBS_is_valid_asn1_bitstring(&bits) != 1) {
    return malformed("malformed keyUsage");
  }
  const base::ByteView view = view_of(bits);
  key_usage = view.size() > 1 ? view[1] : 0U;
  return base::done();
}

base::Status Certificate::Impl::read_extensions(CBS& from) {
  CBS wrapper;
  CBS list;
  if (CBS_get_asn1(&from, &wrapper, kExtensionsTag) != 1 || CBS_get_asn1(&wrapper, &list, CBS_ASN1_SEQUENCE) != 1 ||
      CBS_len(&wrapper) != 0 || CBS_len(&list) == 0) {
    return malformed("malformed extensions");
  }
  extensions.reserve(12);
  while (CBS_len(&list) > 0) {
    ExtensionView extension;
    TRY_OK(internal::read_extension(list, extension));
    // RFC 5280 4.2: no extension twice. The bound keeps this search from becoming work for an attacker to order.
    const bool twice =
        std::ranges::any_of(extensions, [&](const ExtensionView& e) { return base::equal(e.oid, extension.oid); });
    if (twice || extensions.size() == kMaxExtensions)
      return malformed("an extension is given twice, or there are too many");
    extensions.push_back(extension);
    if (base::equal(extension.oid, kBasicConstraints)) {
      TRY_OK(read_basic_constraints(extension));
    } else if (base::equal(extension.oid, kKeyUsage)) {
      TRY_OK(read_key_usage(extension));
    } else if (extension.critical) {
      unknown_critical.push_back(internal::dotted(extension.oid));
    }
  }
  return base::done();
}

base::Status Certificate::Impl::read_tbs() {
  CBS content = cbs_of(parts.content);
  CBS tbs;
  CBS algorithm;
  CBS validity;
  CBS_get_asn1(&content, &tbs, CBS_ASN1_SEQUENCE);
  TRY_OK(read_version(tbs));
  TRY_OK(internal::read_serial(tbs, serial));
  // RFC 5280 4.1.1.2: the algorithm outside is the one inside, or it would be unsigned.
  if (CBS_get_asn1_element(&tbs, &algorithm, CBS_ASN1_SEQUENCE) != 1 ||
      !base::equal(view_of(algorithm), parts.algorithm)) {
    return malformed("signature algorithms inside and outside differ");
  }
  TRY_OK(internal::read_name(tbs, issuer), "issuer");
  if (CBS_get_asn1(&tbs, &validity, CBS_ASN1_SEQUENCE) != 1) return malformed("validity is missing");
  TRY_OK(internal::read_time(validity, not_before), "notBefore");
  TRY_OK(internal::read_time(validity, not_after), "notAfter");
  if (CBS_len(&validity) != 0) return malformed("malformed validity");
  TRY_OK(internal::read_name(tbs, subject), "subject");
  TRY_OK(read_spki(tbs));
  // RFC 5280 4.1.2.8: unique identifiers are not used; what is left can only be the extensions.
  if (CBS_len(&tbs) > 0) TRY_OK(read_extensions(tbs));
  if (CBS_len(&tbs) != 0) return malformed("bytes behind the extensions");
  return base::done();
}

base::Result<Certificate> Certificate::parse(base::ByteView der) {
  auto impl = std::make_shared<Impl>();
  impl->der = base::to_bytes(der);
  TRY(impl->parts, internal::read_signed(impl->der), "certificate");
  TRY_OK(impl->read_tbs(), "certificate");
  impl->sha256 = crypto::sha256(impl->der);
  return Certificate(std::move(impl));
}

base::ByteView Certificate::der() const noexcept { return impl_->der; }
const base::Digest32& Certificate::sha256() const noexcept { return impl_->sha256; }
base::ByteView Certificate::subject_der() const noexcept { return impl_->subject.der; }
base::ByteView Certificate::issuer_der() const noexcept { return impl_->issuer.der; }
const std::string& Certificate::subject_cn() const noexcept { return impl_->subject.common_name; }
const std::string& Certificate::issuer_cn() const noexcept { return impl_->issuer.common_name; }
base::ByteView Certificate::serial() const noexcept { return impl_->serial; }
base::UtcTime Certificate::not_before() const noexcept { return impl_->not_before; }
base::UtcTime Certificate::not_after() const noexcept { return impl_->not_after; }
base::ByteView Certificate::spki() const noexcept { return impl_->spki; }
const std::optional<EcPublicKey>& Certificate::ec_key() const noexcept { return impl_->key; }
const std::optional<RsaPublicKey>& Certificate::rsa_key() const noexcept { return impl_->rsa; }
bool Certificate::has_basic_constraints() const noexcept { return impl_->has_basic_constraints; }
bool Certificate::is_ca() const noexcept { return impl_->is_ca; }
std::optional<unsigned> Certificate::path_length() const noexcept { return impl_->path_length; }
bool Certificate::has_key_usage() const noexcept { return impl_->key_usage.has_value(); }
bool Certificate::key_usage_cert_sign() const noexcept {
  return (impl_->key_usage.value_or(0) & der::KeyUsage::key_cert_sign) != 0;
}
bool Certificate::key_usage_crl_sign() const noexcept {
  return (impl_->key_usage.value_or(0) & der::KeyUsage::crl_sign) != 0;
}
bool Certificate::key_usage_digital_signature() const noexcept {
  return (impl_->key_usage.value_or(0) & der::KeyUsage::digital_signature) != 0;
}
const std::vector<std::string>& Certificate::unknown_critical_extensions() const noexcept {
  return impl_->unknown_critical;
}

std::optional<base::ByteView> Certificate::extension(std::string_view oid) const {
  const base::Bytes wanted = der::oid(oid);
  if (wanted.size() < 2) return std::nullopt;
  for (const ExtensionView& extension : impl_->extensions) {
    // der::oid gives tag and a length byte (no OID that anybody looks for has more than 127 bytes).
    if (base::equal(extension.oid, base::ByteView(wanted).subspan(2))) return extension.value;
  }
  return std::nullopt;
}

bool Certificate::signed_by(const EcPublicKey& issuer) const { return internal::verifies(impl_->parts, issuer); }
bool Certificate::signed_by(const RsaPublicKey& issuer) const { return internal::verifies(impl_->parts, issuer); }
bool Certificate::says_rsa_pss() const noexcept {
  return impl_->parts.kind == internal::SignatureAlgorithm::rsa_pss_sha384;
}

}  // namespace attestry::crypto
