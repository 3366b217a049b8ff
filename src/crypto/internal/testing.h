// Self-made certificates for the tests of this room.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "crypto/x509.h"

namespace attestry::crypto::internal {

inline constexpr base::UtcTime kFrom{1735689600};   // 2025-01-01
inline constexpr base::UtcTime kUntil{2556144000};  // 2051-01-01: a GeneralizedTime

inline EcPrivateKey test_key(Curve curve, std::string_view seed) {
  SeededRandom random(base::as_bytes(seed));
  return EcPrivateKey::generate(curve, random);
}

inline CertificateSpec ca_spec(const EcPrivateKey& key) {
  CertificateSpec spec;
  spec.serial = {0x80, 0x01};
  spec.subject = {{"2.5.4.3", "Test Root"}, {"2.5.4.10", "Testers"}, {"2.5.4.6", "DE"}};
  spec.issuer = spec.subject;
  spec.not_before = kFrom;
  spec.not_after = kUntil;
  spec.spki = key.public_key().spki();
  spec.extensions = {{"2.5.29.19", true, der::basic_constraints(true, 1)},
                     {"2.5.29.15", true, der::key_usage(der::key_cert_sign | der::crl_sign)},
                     {"2.5.29.14", false, der::subject_key_id(spec.spki)},
                     {"2.5.29.35", false, der::authority_key_id(spec.spki)},
                     {"2.5.29.31", false, der::crl_distribution_point("https://example.test/root.crl")},
                     {"1.2.840.113741.1.13.1", false, der::sequence({der::integer(7)})}};
  return spec;
}

inline base::Bytes ca_certificate(const EcPrivateKey& key) {
  return issue_certificate(ca_spec(key), key, true).value();
}

inline CrlSpec crl_spec() {
  CrlSpec spec;
  spec.issuer_der = der::name({{"2.5.4.3", "Test Root"}});
  spec.this_update = kFrom;
  spec.next_update = kFrom + 86400 * 30;
  spec.entries = {{{0x05}, kFrom}, {{0x80, 0x02}, kFrom}, {{0x01, 0x02, 0x03}, kFrom}};
  spec.extensions = {{"2.5.29.20", false, der::crl_number(3)},
                     {"2.5.29.35", false, der::sequence({der::tlv(0x80, base::Bytes(20, 1))})}};
  return spec;
}

/// A signed structure whose content is put together by hand, for what the writers of this room would never write.
inline base::Bytes sign_by_hand(base::ByteView content, const EcPrivateKey& key) {
  base::Bytes bits{0};
  base::append(bits, key.sign_der(content, true));
  const base::Bytes algorithm = der::sequence({der::oid("1.2.840.10045.4.3.2")});
  return der::sequence({content, algorithm, der::tlv(0x03, bits)});
}

}  // namespace attestry::crypto::internal
