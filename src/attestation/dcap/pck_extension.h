// The SGX extension of PCK certificates, 1.2.840.113741.1.13.1 (PCK certificate profile 1.3.5): which platform a
// certificate is for, and its TCB.
#pragma once
#include <array>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::attestation::dcap {

inline constexpr std::string_view kPckExtensionOid = "1.2.840.113741.1.13.1";

enum class SgxType : std::uint8_t { standard = 0, scalable = 1, scalable_with_integrity = 2 };
std::string_view to_text(SgxType type) noexcept;

struct PckExtension {
  base::FixedBytes<16> ppid{};
  std::array<std::uint8_t, 16> components{};  ///< SVNs of .2.1 to .2.16: what TCB levels are compared with
  std::uint16_t pcesvn = 0;
  base::FixedBytes<16> cpusvn{};
  base::FixedBytes<2> pceid{};
  base::FixedBytes<6> fmspc{};
  SgxType sgx_type = SgxType::standard;
  // Platform CA certificates only.
  std::optional<base::FixedBytes<16>> platform_instance_id;
  std::optional<bool> dynamic_platform;
  std::optional<bool> cached_keys;
  std::optional<bool> smt_enabled;
};

/// `content`: the OCTET STRING contents of the extension. Strict DER; exactly 16 components; members that are needed
/// exactly once, others of Intel's arc at most once. Error `malformed` names the member.
base::Result<PckExtension> parse_pck_extension(base::ByteView content);

}  // namespace attestry::attestation::dcap
