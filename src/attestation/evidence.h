// Evidence: what a TEE says about itself, as bytes, before anybody has looked at it (RFC 9334 section 8.1).
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"

namespace attestry::attestation {

/// The hardware that a verdict is about. A new platform adds a value here, and the compiler lists the switches to
/// extend.
enum class Platform : std::uint8_t { unknown, sgx, tdx };
std::string_view to_text(Platform platform) noexcept;

/// The encoding of the evidence; one verifier file handles one format.
enum class EvidenceFormat : std::uint8_t { unknown, dcap_quote };

struct Evidence {
  EvidenceFormat format = EvidenceFormat::unknown;
  base::Bytes bytes;
};

/// Looks at the first bytes only; `unknown` when no verifier would recognise them. A wrong guess is harmless: the
/// verifier checks the structure anyhow.
EvidenceFormat detect_format(base::ByteView bytes) noexcept;

}  // namespace attestry::attestation
