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

namespace {

constexpr std::array<std::uint8_t, 3> kAuthorityKeyId = {0x55, 0x1d, 0x23};
constexpr std::array<std::uint8_t, 3> kCrlNumber = {0x55, 0x1d, 0x14};
constexpr std::array<std::uint8_t, 3> kReasonCode = {0x55, 0x1d, 0x15};
constexpr std::array<std::uint8_t, 3> kInvalidityDate = {0x55, 0x1d, 0x18};
constexpr CBS_ASN1_TAG kExtensionsTag = CBS_ASN1_CONSTRUCTED | CBS_ASN1_CONTEXT_SPECIFIC | 0;
constexpr std::size_t kMaxExtensions = 32;

base::ByteView magnitude(base::ByteView serial) noexcept {
  while (!serial.empty() && serial[0] == 0) serial = serial.subspan(1);
  return serial;
}

bool less(base::ByteView a, base::ByteView b) noexcept {
  if (a.size() != b.size()) return a.size() < b.size();
  return std::ranges::lexicographical_compare(a, b);
}

bool is_time(const CBS& cbs) {
  return CBS_peek_asn1_tag(&cbs, CBS_ASN1_UTCTIME) == 1 || CBS_peek_asn1_tag(&cbs, CBS_ASN1_GENERALIZEDTIME) == 1;
}

/// Reads the contents of an Extensions sequence; `known(oid)` says what does not change the meaning of a plain full
/// CRL; `number` gets the CRLNumber where a place for it is given.
template <class Known>
base::Status read_list(CBS& list, bool& unknown_critical, Known known, base::ByteView* number = nullptr) {
  std::array<base::ByteView, kMaxExtensions> seen;
  std::size_t count = 0;
  if (CBS_len(&list) == 0) return malformed("empty extensions");
  while (CBS_len(&list) > 0) {
    ExtensionView extension;
    TRY_OK(internal::read_extension(list, extension));
    const auto end = seen.begin() + static_cast<std::ptrdiff_t>(count);
    const bool twice =
        std::any_of(seen.begin(), end, [&](base::ByteView oid) { return base::equal(oid, extension.oid); });
    if (twice || count == kMaxExtensions) return malformed("an extension is given twice, or there are too many");
    seen[count++] = extension.oid;
    unknown_critical = unknown_critical || (extension.critical && !known(extension.oid));
    if (number == nullptr || !base::equal(extension.oid, kCrlNumber)) continue;
    CBS value = cbs_of(extension.value);
    CBS integer;
    if (CBS_get_asn1(&value, &integer, CBS_ASN1_INTEGER) == 1) *number = magnitude(view_of(integer));
  }
  return base::done();
}

}  // namespace

struct Crl::Impl {
  base::Bytes der;
  base::Digest32 sha256{};
  internal::Signed parts;  // views point into `der`
  internal::NameView issuer;
  base::UtcTime this_update;
  std::optional<base::UtcTime> next_update;
  base::ByteView number;
  std::vector<base::ByteView> revoked;  // magnitudes, sorted
  bool unknown_critical = false;

  base::Status read_tbs();
  base::Status read_entry(CBS& list);
};

base::Status Crl::Impl::read_entry(CBS& list) {
  CBS entry;
  base::ByteView serial;
  base::UtcTime at;
  if (CBS_get_asn1(&list, &entry, CBS_ASN1_SEQUENCE) != 1) return malformed("malformed entry");
  TRY_OK(internal::read_serial(entry, serial));
  TRY_OK(internal::read_time(entry, at), "revocationDate");
  if (CBS_len(&entry) > 0) {
    CBS extensions;
    if (CBS_get_asn1(&entry, &extensions, CBS_ASN1_SEQUENCE) != 1 || CBS_len(&entry) != 0)
      return malformed("malformed entry");
    // A critical entry extension that is not understood taints the whole list (RFC 5280 5.3).
    TRY_OK(read_list(extensions, unknown_critical, [](base::ByteView oid) {
      return base::equal(oid, kReasonCode) || base::equal(oid, kInvalidityDate);
    }));
  }
  revoked.push_back(magnitude(serial));
  return base::done();
}

base::Status Crl::Impl::read_tbs() {
  CBS content = cbs_of(parts.content);
  CBS tbs;
  CBS algorithm;
  std::uint64_t version = 0;
  CBS_get_asn1(&content, &tbs, CBS_ASN1_SEQUENCE);
  // RFC 5280 5.1.2.1: version 2 (written as 1) as soon as there are extensions, which a conforming list always has.
  if (CBS_get_asn1_uint64(&tbs, &version) != 1 || version != 1) return malformed("not a version 2 list");
  if (CBS_get_asn1_element(&tbs, &algorithm, CBS_ASN1_SEQUENCE) != 1 ||
      !base::equal(view_of(algorithm), parts.algorithm)) {
    return malformed("signature algorithms inside and outside differ");
  }
  TRY_OK(internal::read_name(tbs, issuer), "issuer");
  TRY_OK(internal::read_time(tbs, this_update), "thisUpdate");
  if (is_time(tbs)) {
    base::UtcTime next;
    TRY_OK(internal::read_time(tbs, next), "nextUpdate");
    next_update = next;
  }
  if (CBS_peek_asn1_tag(&tbs, CBS_ASN1_SEQUENCE) == 1) {
    CBS list;
    // RFC 5280 5.1.2.6: absent when nothing is revoked; empty lists occur in the wild and mean the same.
    if (CBS_get_asn1(&tbs, &list, CBS_ASN1_SEQUENCE) != 1) return malformed("malformed list");
    revoked.reserve(CBS_len(&list) / 36);
    while (CBS_len(&list) > 0) TRY_OK(read_entry(list));
  }
  if (CBS_len(&tbs) > 0) {
    CBS wrapper;
    CBS extensions;
    if (CBS_get_asn1(&tbs, &wrapper, kExtensionsTag) != 1 ||
        CBS_get_asn1(&wrapper, &extensions, CBS_ASN1_SEQUENCE) != 1 || CBS_len(&wrapper) != 0) {
      return malformed("malformed extensions");
    }
    const auto known = [](base::ByteView oid) {
      return base::equal(oid, kAuthorityKeyId) || base::equal(oid, kCrlNumber);
    };
    TRY_OK(read_list(extensions, unknown_critical, known, &number));
  }
  if (CBS_len(&tbs) != 0) return malformed("bytes behind the extensions");
  std::ranges::sort(revoked, less);
  return base::done();
}

base::Result<Crl> Crl::parse(base::ByteView der) {
  auto impl = std::make_shared<Impl>();
  impl->der = base::to_bytes(der);
  TRY(impl->parts, internal::read_signed(impl->der), "CRL");
  TRY_OK(impl->read_tbs(), "CRL");
  impl->sha256 = crypto::sha256(impl->der);
  return Crl(std::move(impl));
}

const base::Digest32& Crl::sha256() const noexcept { return impl_->sha256; }
base::ByteView Crl::issuer_der() const noexcept { return impl_->issuer.der; }
base::UtcTime Crl::this_update() const noexcept { return impl_->this_update; }
std::optional<base::UtcTime> Crl::next_update() const noexcept { return impl_->next_update; }
base::ByteView Crl::number() const noexcept { return impl_->number; }
std::size_t Crl::size() const noexcept { return impl_->revoked.size(); }
bool Crl::has_unknown_critical_extension() const noexcept { return impl_->unknown_critical; }

bool Crl::revokes(base::ByteView serial) const noexcept {
  return std::ranges::binary_search(impl_->revoked, magnitude(serial), less);
}

bool Crl::signed_by(const EcPublicKey& issuer) const { return internal::verifies(impl_->parts, issuer); }
bool Crl::signed_by(const RsaPublicKey& issuer) const { return internal::verifies(impl_->parts, issuer); }
bool Crl::says_rsa_pss() const noexcept { return impl_->parts.kind == internal::SignatureAlgorithm::rsa_pss_sha384; }

}  // namespace attestry::crypto
