// X.509 certificates and CRLs (RFC 5280): parsed once, immutable afterwards; and CSRs (RFC 2986).
// This room only reads and checks single facts; which facts a TEE's chain must have is attestation's business.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/ec.h"
#include "crypto/rsa.h"

namespace attestry::crypto {

/// Strictly parsed DER certificate. Cheap to copy (shared), thread-safe.
class Certificate {
 public:
  /// Refuses trailing bytes, versions below 3, duplicate extensions and keys this program does not know.
  static base::Result<Certificate> parse(base::ByteView der);

  base::ByteView der() const noexcept;
  const base::Digest32& sha256() const noexcept;  ///< of der()
  base::ByteView subject_der() const noexcept;    ///< raw Name
  base::ByteView issuer_der() const noexcept;
  const std::string& subject_cn() const noexcept;  ///< empty when absent or given twice
  const std::string& issuer_cn() const noexcept;
  base::ByteView serial() const noexcept;  ///< INTEGER contents, big-endian, as encoded
  base::UtcTime not_before() const noexcept;
  base::UtcTime not_after() const noexcept;
  base::ByteView spki() const noexcept;  ///< DER SubjectPublicKeyInfo
  /// The key when it is EC on a known curve.
  const std::optional<EcPublicKey>& ec_key() const noexcept;
  /// The key when it is RSA of a size and exponent that RsaPublicKey takes.
  const std::optional<RsaPublicKey>& rsa_key() const noexcept;

  bool has_basic_constraints() const noexcept;
  bool is_ca() const noexcept;
  std::optional<unsigned> path_length() const noexcept;
  bool has_key_usage() const noexcept;
  bool key_usage_cert_sign() const noexcept;
  bool key_usage_crl_sign() const noexcept;
  bool key_usage_digital_signature() const noexcept;
  /// OIDs (dotted) of critical extensions other than basicConstraints and keyUsage.
  const std::vector<std::string>& unknown_critical_extensions() const noexcept;
  /// OCTET STRING contents of an extension by dotted OID.
  std::optional<base::ByteView> extension(std::string_view oid) const;

  /// True when this certificate's signature is ECDSA with the hash of the issuer's curve (SHA-256 on P-256, SHA-384
  /// on P-384, SHA-512 on P-521) and verifies under it.
  bool signed_by(const EcPublicKey& issuer) const;
  /// True when it is sha256WithRSAEncryption, or RSASSA-PSS with SHA-384, MGF1 with SHA-384 and a salt of 48 bytes, and
  /// verifies under `issuer`.
  bool signed_by(const RsaPublicKey& issuer) const;
  /// Whether its signature says to be RSASSA-PSS as above, for those who take no other.
  bool says_rsa_pss() const noexcept;

 private:
  struct Impl;
  explicit Certificate(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

/// Strictly parsed DER CRL. Cheap to copy, thread-safe. Lookup by serial is logarithmic.
class Crl {
 public:
  static base::Result<Crl> parse(base::ByteView der);
  const base::Digest32& sha256() const noexcept;
  base::ByteView issuer_der() const noexcept;
  base::UtcTime this_update() const noexcept;
  std::optional<base::UtcTime> next_update() const noexcept;
  /// CRLNumber, big-endian without leading zeros (RFC 5280 5.2.3); empty when the list has none.
  base::ByteView number() const noexcept;
  std::size_t size() const noexcept;
  bool has_unknown_critical_extension() const noexcept;
  bool revokes(base::ByteView serial) const noexcept;
  bool signed_by(const EcPublicKey& issuer) const;
  bool signed_by(const RsaPublicKey& issuer) const;  ///< algorithms as for certificates
  bool says_rsa_pss() const noexcept;

 private:
  struct Impl;
  explicit Crl(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

/// From a CSR only the public key counts, after its signature verified (FORMATS 3).
struct Csr {
  base::Bytes spki;
  EcPublicKey key;
};
/// PEM or DER; P-256, P-384 or P-521.
base::Result<Csr> parse_csr(base::ByteView pem_or_der);
base::Result<base::Bytes> make_csr(const EcPrivateKey& key, std::string_view common_name);

struct NameField {
  std::string oid;  ///< "2.5.4.3"
  std::string value;
  bool printable = true;  ///< PrintableString (Intel's form) or UTF8String
};
struct ExtensionOut {
  std::string oid;
  bool critical = false;
  base::Bytes value;  ///< DER that goes into the OCTET STRING
};

/// All of a request that a registry looks at; its signature by its own key is verified. Algorithms: ECDSA on P-224 to
/// P-521 and RSA (PKCS #1 v1.5, PSS) with SHA-256 to SHA-512, and Ed25519.
struct CsrFull {
  base::Bytes spki;         ///< verbatim
  base::Bytes subject_der;  ///< verbatim Name
  std::string common_name;  ///< empty when absent, given twice or not clean text
  std::vector<std::string> dns;
  std::vector<base::Bytes> ips;  ///< 4 or 16 bytes
  /// Dotted OID and contents of the OCTET STRING, in order, subjectAltName included; an OID may be there more than
  /// once.
  std::vector<std::pair<std::string, base::Bytes>> extensions;
};
/// PEM or DER.
base::Result<CsrFull> parse_csr_full(base::ByteView pem_or_der);

/// What a request asks for; subjectAltName is made from `dns` and `ips` when there are any.
struct CsrSpec {
  std::vector<NameField> subject;
  std::vector<std::string> dns;
  std::vector<base::Bytes> ips;
  std::vector<ExtensionOut> extensions;
};
base::Result<base::Bytes> make_csr(const CsrSpec& spec, const EcPrivateKey& key);
base::Result<base::Bytes> make_csr(const CsrSpec& spec, const Ed25519PrivateKey& key);
base::Result<base::Bytes> make_csr(const CsrSpec& spec, const RsaPrivateKey& key);

/// What a new certificate says; extensions appear exactly in this order.
struct CertificateSpec {
  base::Bytes serial;  ///< big-endian magnitude
  std::vector<NameField> subject;
  std::vector<NameField> issuer;  ///< or issuer_der when not empty
  base::Bytes issuer_der;
  base::UtcTime not_before;
  base::UtcTime not_after;
  base::Bytes spki;
  std::vector<ExtensionOut> extensions;
  base::Bytes subject_der{};  ///< instead of subject when not empty: a Name taken verbatim from elsewhere
};
/// Signed by `issuer` with ECDSA of its curve. `deterministic` as in EcPrivateKey::sign_raw.
base::Result<base::Bytes> issue_certificate(const CertificateSpec& spec, const EcPrivateKey& issuer,
                                            bool deterministic = false);
/// Signed with RSASSA-PSS and SHA-384, as AMD does: `salt` has 48 bytes.
base::Result<base::Bytes> issue_certificate(const CertificateSpec& spec, const RsaPrivateKey& issuer,
                                            base::ByteView salt);

struct CrlEntry {
  base::Bytes serial;
  base::UtcTime revoked_at;
};
struct CrlSpec {
  base::Bytes issuer_der;
  base::UtcTime this_update;
  base::UtcTime next_update;
  std::vector<CrlEntry> entries;
  std::vector<ExtensionOut> extensions;  ///< authority key id, CRL number
};
base::Result<base::Bytes> issue_crl(const CrlSpec& spec, const EcPrivateKey& issuer, bool deterministic = false);
base::Result<base::Bytes> issue_crl(const CrlSpec& spec, const RsaPrivateKey& issuer, base::ByteView salt);

/// DER pieces for extensions: kept here so that no other room writes ASN.1 by hand.
namespace der {
base::Bytes basic_constraints(bool ca, std::optional<unsigned> path_length);
enum KeyUsage : unsigned {
  digital_signature = 0x80,
  non_repudiation = 0x40,
  key_encipherment = 0x20,
  key_agreement = 0x08,
  key_cert_sign = 0x04,
  crl_sign = 0x02
};
base::Bytes key_usage(unsigned bits);
base::Bytes subject_key_id(base::ByteView spki);  ///< SHA-1 of the key bits (RFC 5280 4.2.1.2 method 1)
base::Bytes authority_key_id(base::ByteView issuer_spki);
base::Bytes crl_distribution_point(std::string_view uri);
base::Bytes extended_key_usage(std::initializer_list<std::string_view> oids);
base::Bytes subject_alt_name(const std::vector<std::string>& dns, const std::vector<std::string>& uris,
                             const std::vector<base::Bytes>& ips = {});
base::Bytes crl_number(std::uint64_t number);
/// Building blocks.
base::Bytes tlv(std::uint8_t tag, base::ByteView content);
base::Bytes sequence(std::initializer_list<base::ByteView> parts);
base::Bytes oid(std::string_view dotted);
base::Bytes integer(std::uint64_t value);
base::Bytes octet_string(base::ByteView content);
base::Bytes name(const std::vector<NameField>& fields);
}  // namespace der

}  // namespace attestry::crypto
