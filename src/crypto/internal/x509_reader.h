// What certificates, CRLs and requests share: names, times, algorithms, extensions. Strict DER only; all views point
// into the caller's buffer.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/ec.h"
#include "crypto/internal/awslc.h"
#include "crypto/rsa.h"

namespace attestry::crypto::internal {

base::Error malformed(std::string_view what);

enum class SignatureAlgorithm : std::uint8_t {
  other,
  ecdsa_sha256,
  ecdsa_sha384,
  ecdsa_sha512,
  rsa_sha256,
  rsa_pss_sha384
};

/// SIGNED{}: SEQUENCE { content, AlgorithmIdentifier, BIT STRING } (RFC 5280 4.1.1) with nothing behind it.
struct Signed {
  base::ByteView content;    ///< TLV that was signed
  base::ByteView algorithm;  ///< TLV
  SignatureAlgorithm kind = SignatureAlgorithm::other;
  base::ByteView signature;  ///< BIT STRING without its count of unused bits
};
base::Result<Signed> read_signed(base::ByteView der);
/// True when the signature is ECDSA with the hash that belongs to the key's curve, and verifies.
bool verifies(const Signed& what, const EcPublicKey& key);
/// True when the signature is sha256WithRSAEncryption or RSASSA-PSS with SHA-384, and verifies.
bool verifies(const Signed& what, const RsaPublicKey& key);

/// A Name (RFC 5280 4.1.2.4), TLV.
struct NameView {
  base::ByteView der;
  std::string common_name;  ///< empty when absent, given twice, or not clean text
};
base::Status read_name(CBS& from, NameView& out);

/// UTCTime "YYMMDDHHMMSSZ" or GeneralizedTime "YYYYMMDDHHMMSSZ" (RFC 5280 4.1.2.5).
base::Status read_time(CBS& from, base::UtcTime& out);

/// INTEGER contents of a serial number: not negative, at most 20 bytes of magnitude (RFC 5280 4.1.2.2).
base::Status read_serial(CBS& from, base::ByteView& out);

struct ExtensionView {
  base::ByteView oid;  ///< contents of the OBJECT IDENTIFIER
  bool critical = false;
  base::ByteView value;  ///< contents of the OCTET STRING
};
/// One Extension from the contents of an Extensions sequence.
base::Status read_extension(CBS& from, ExtensionView& out);

/// Contents of an OBJECT IDENTIFIER to "1.2.3"; empty when it is not one.
std::string dotted(base::ByteView oid);

}  // namespace attestry::crypto::internal
