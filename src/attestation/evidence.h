// Evidence: what a TEE says about itself, as bytes, before anybody has looked at it (RFC 9334 section 8.1).
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace attestry::attestation {

/// The hardware that a verdict is about. A new platform adds a value here, and the compiler lists the switches to
/// extend.
enum class Platform : std::uint8_t { unknown, sgx, tdx, snp, nitro, maa };
std::string_view to_text(Platform platform) noexcept;

/// The encoding of the evidence; one folder of this room handles one format.
enum class EvidenceFormat : std::uint8_t {
  unknown,
  dcap_quote,      ///< Intel SGX and TDX, version 3, 4, 5
  snp_report,      ///< AMD SEV-SNP attestation report, 1184 bytes
  nitro_document,  ///< AWS Nitro: COSE_Sign1
  maa_token,       ///< Microsoft Azure Attestation: JWT
};
/// "DCAP quote", for messages.
std::string_view to_text(EvidenceFormat format) noexcept;

/// What stands beside the evidence and is believed only as far as the evidence vouches for it.
enum class SupplementKind : std::uint8_t {
  tcg_event_log,     ///< TCG crypto-agile log: CCEL of a TD, or PC Client
  dstack_event_log,  ///< dstack's JSON array of events
};
struct Supplement {
  SupplementKind kind;
  base::Bytes bytes;
};

struct Evidence {
  EvidenceFormat format = EvidenceFormat::unknown;
  base::Bytes bytes;
  std::vector<Supplement> supplements{};  ///< at most one of a kind
};

/// Looks at the first bytes only; `unknown` when no verifier would recognise them. A wrong guess is harmless: the
/// verifier checks the structure anyhow.
EvidenceFormat detect_format(base::ByteView bytes) noexcept;

}  // namespace attestry::attestation
