// An attestation document of an AWS Nitro enclave (attestation process of aws-nitro-enclaves-nsm-api): COSE_Sign1 (RFC
// 9052) around a map in CBOR. Parsed strictly and once, nothing copied: all views live as long as the bytes.
#pragma once
#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace attestry::attestation::nitro {

/// More than the largest document that the formats' own limits allow.
inline constexpr std::size_t kMaxDocumentBytes = (16 + 3) * 1024;
/// r ‖ s on P-384.
inline constexpr std::size_t kSignatureBytes = 96;
inline constexpr std::size_t kPcrs = 32;
inline constexpr std::size_t kMaxCaCertificates = 10;

/// What is wrong: texts for the check of the caller.
struct Fault {
  std::string expected;
  std::string actual;
  std::string detail{};
};

struct CoseSign1 {
  base::ByteView protected_header;  ///< contents of the byte string
  base::ByteView payload;
  base::ByteView signature;
};
/// Exactly one array of four, with or without tag 18. The unprotected header is a map, and nothing in it counts.
std::expected<CoseSign1, Fault> parse_cose(base::ByteView bytes);
/// nullopt when the protected header is {1: -35} (ES384) and nothing else: there is no parameter to ignore.
std::optional<Fault> judge_algorithm(base::ByteView protected_header);
/// What the signature covers: Sig_structure with the context "Signature1" (RFC 9052, 4.4), over the bytes as received.
base::Bytes signed_bytes(const CoseSign1& cose);

struct Document {
  std::string_view module_id;
  base::ByteView certificate;                ///< DER, the enclave's
  std::vector<base::ByteView> cabundle;      ///< DER, root first
  std::optional<base::ByteView> public_key;  ///< nullopt for null, too: real documents write that
  std::optional<base::ByteView> user_data;
  std::optional<base::ByteView> nonce;

  std::string_view digest;
  std::optional<Fault> digest_fault;
  std::uint64_t timestamp_ms = 0;
  std::optional<Fault> timestamp_fault;
  std::array<std::optional<base::ByteView>, kPcrs> pcrs{};  ///< 48 bytes each
  std::optional<Fault> pcr_fault;

  /// Those of PCR0, PCR1 and PCR2 that are there are zero: what the hypervisor does for an enclave in debug mode. Other
  /// registers are not zero then.
  bool debug() const noexcept;
};
/// Exactly one map, of definite or indefinite length (as since 2025-11), without a key twice. Unknown fields are
/// allowed. A document comes back, too, when only digest, timestamp or PCRs are at fault.
std::expected<Document, Fault> parse_document(base::ByteView payload);

}  // namespace attestry::attestation::nitro
