#include <algorithm>
#include <bit>
#include <charconv>

#include "crypto/internal/awslc.h"
#include "crypto/x509.h"

namespace attestry::crypto::der {
namespace {

constexpr std::uint8_t kInteger = 0x02;
constexpr std::uint8_t kBitString = 0x03;
constexpr std::uint8_t kOctetString = 0x04;
constexpr std::uint8_t kUtf8String = 0x0c;
constexpr std::uint8_t kPrintableString = 0x13;
constexpr std::uint8_t kSequence = 0x30;
constexpr std::uint8_t kSet = 0x31;
constexpr std::uint8_t kTrue[] = {0x01, 0x01, 0xff};

base::Bytes joined(const std::vector<base::Bytes>& parts) {
  base::Bytes out;
  for (const base::Bytes& part : parts) base::append(out, part);
  return out;
}

base::FixedBytes<20> key_id(base::ByteView spki) {
  // RFC 5280 4.2.1.2 method 1: SHA-1 of the BIT STRING's bits. An identifier, not a security measure.
  base::FixedBytes<20> out{};
  CBS input = internal::cbs_of(spki);
  CBS body;
  CBS algorithm;
  CBS bits;
  std::uint8_t unused = 0;
  const bool good = CBS_get_asn1(&input, &body, CBS_ASN1_SEQUENCE) == 1 &&
                    CBS_get_asn1(&body, &algorithm, CBS_ASN1_SEQUENCE) == 1 &&
                    CBS_get_asn1(&body, &bits, CBS_ASN1_BITSTRING) == 1 && CBS_get_u8(&bits, &unused) == 1;
  const base::ByteView data = good ? internal::view_of(bits) : spki;
  SHA1(data.data(), data.size(), out.data());
  return out;
}

bool parse_arc(std::string_view& text, std::uint64_t& arc) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), arc);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (!text.empty()) {
    if (text.front() != '.' || text.size() == 1) return false;
    text.remove_prefix(1);
  }
  return true;
}

void append_arc(base::Bytes& out, std::uint64_t arc) {
  unsigned groups = 1;
  while (groups < 10 && (arc >> (7 * groups)) != 0) ++groups;
  for (unsigned i = groups; i-- > 0;) {
    const auto group = static_cast<std::uint8_t>((arc >> (7 * i)) & 0x7f);
    out.push_back(static_cast<std::uint8_t>(i == 0 ? group : group | 0x80));
  }
}

}  // namespace

base::Bytes tlv(std::uint8_t tag, base::ByteView content) {
  base::Bytes out{tag};
  if (content.size() < 0x80) {
    out.push_back(static_cast<std::uint8_t>(content.size()));
  } else {
    unsigned octets = 1;
    while (octets < sizeof(std::size_t) && (content.size() >> (8 * octets)) != 0) ++octets;
    out.push_back(static_cast<std::uint8_t>(0x80 | octets));
    for (unsigned i = octets; i-- > 0;) out.push_back(static_cast<std::uint8_t>(content.size() >> (8 * i)));
  }
  base::append(out, content);
  return out;
}

base::Bytes sequence(std::initializer_list<base::ByteView> parts) {
  base::Bytes content;
  for (const base::ByteView part : parts) base::append(content, part);
  return tlv(kSequence, content);
}

base::Bytes oid(std::string_view dotted) {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  base::Bytes content;
  if (!parse_arc(dotted, first) || dotted.empty() || !parse_arc(dotted, second) || first > 2 ||
      (first < 2 && second > 39) || second > UINT64_MAX - 80) {
    return {};
  }
  append_arc(content, 40 * first + second);
  while (!dotted.empty()) {
    std::uint64_t arc = 0;
    if (!parse_arc(dotted, arc)) return {};
    append_arc(content, arc);
  }
  return tlv(0x06, content);
}

base::Bytes integer(std::uint64_t value) {
  base::Bytes content;
  for (unsigned i = 8; i-- > 0;) {
    const auto byte = static_cast<std::uint8_t>(value >> (8 * i));
    if (!content.empty() || byte != 0 || i == 0) {
      if (content.empty() && (byte & 0x80) != 0) content.push_back(0);
      content.push_back(byte);
    }
  }
  return tlv(kInteger, content);
}

base::Bytes octet_string(base::ByteView content) { return tlv(kOctetString, content); }

base::Bytes name(const std::vector<NameField>& fields) {
  base::Bytes rdns;
  for (const NameField& field : fields) {
    const base::Bytes type = oid(field.oid);
    const base::Bytes value = tlv(field.printable ? kPrintableString : kUtf8String, base::as_bytes(field.value));
    base::append(rdns, tlv(kSet, sequence({type, value})));
  }
  return tlv(kSequence, rdns);
}

base::Bytes basic_constraints(bool ca, std::optional<unsigned> path_length) {
  base::Bytes content;
  if (ca) base::append(content, kTrue);
  if (ca && path_length) base::append(content, integer(*path_length));
  return tlv(kSequence, content);
}

base::Bytes key_usage(unsigned bits) {
  const auto byte = static_cast<std::uint8_t>(bits);
  // X.690 11.2.2: trailing zero bits of a named list are not written.
  const auto unused = static_cast<std::uint8_t>(byte == 0 ? 0 : std::countr_zero(byte));
  base::Bytes content{unused};
  if (byte != 0) content.push_back(byte);
  return tlv(kBitString, content);
}

base::Bytes subject_key_id(base::ByteView spki) { return octet_string(key_id(spki)); }

base::Bytes authority_key_id(base::ByteView issuer_spki) { return sequence({tlv(0x80, key_id(issuer_spki))}); }

base::Bytes crl_distribution_point(std::string_view uri) {
  // SEQUENCE OF DistributionPoint { [0] { [0] fullName { [6] URI } } } (RFC 5280 4.2.1.13)
  const base::Bytes full_name = tlv(0xa0, tlv(0xa0, tlv(0x86, base::as_bytes(uri))));
  return sequence({sequence({full_name})});
}

base::Bytes extended_key_usage(std::initializer_list<std::string_view> oids) {
  base::Bytes content;
  for (const std::string_view one : oids) base::append(content, oid(one));
  return tlv(kSequence, content);
}

base::Bytes subject_alt_name(const std::vector<std::string>& dns, const std::vector<std::string>& uris,
                             const std::vector<base::Bytes>& ips) {
  std::vector<base::Bytes> names;
  names.reserve(dns.size() + uris.size() + ips.size());
  for (const std::string& one : dns) names.push_back(tlv(0x82, base::as_bytes(one)));
  for (const std::string& one : uris) names.push_back(tlv(0x86, base::as_bytes(one)));
  for (const base::Bytes& one : ips) names.push_back(tlv(0x87, one));
  return tlv(kSequence, joined(names));
}

base::Bytes crl_number(std::uint64_t number) { return integer(number); }

}  // namespace attestry::crypto::der
