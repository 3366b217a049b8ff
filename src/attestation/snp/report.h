// SEV-SNP attestation reports, versions 2, 3 and 5 (AMD 56860, ATTESTATION_REPORT; attestation_checks 2.1). Reading
// fixes nothing but the size: what the fields may hold is for the checks, so that each fault shows by itself. All views
// point into the bytes that were parsed.
#pragma once
#include <optional>

#include "attestation/snp/product.h"
#include "base/bytes.h"
#include "base/result.h"

namespace attestry::attestation::snp {

inline constexpr std::size_t kReportSize = 0x4a0;
inline constexpr std::size_t kSignedSize = 0x2a0;
inline constexpr std::size_t kNumberSize = 72;  ///< r and s, little-endian, of which 48 bytes are P-384's

/// Bits of the guest's policy.
inline constexpr std::uint64_t kPolicyReservedOne = std::uint64_t{1} << 17;
inline constexpr std::uint64_t kPolicyMigrateMa = std::uint64_t{1} << 18;
inline constexpr std::uint64_t kPolicyDebug = std::uint64_t{1} << 19;

/// Who signed; the values 2 to 6 are reserved.
enum class SigningKey : std::uint8_t { vcek = 0, vlek = 1, none = 7 };

struct CpuId {
  std::uint8_t family = 0;  ///< combined with the extended fields
  std::uint8_t model = 0;
  std::uint8_t stepping = 0;
};
struct Firmware {
  std::uint8_t build = 0;
  std::uint8_t minor = 0;
  std::uint8_t major = 0;
};
struct MitigationVectors {
  std::uint64_t launch = 0;
  std::uint64_t current = 0;
};

struct Report {
  std::uint32_t version = 0;
  std::uint32_t guest_svn = 0;
  std::uint64_t policy = 0;
  base::ByteView policy_bytes;  ///< 8, little-endian
  base::ByteView family_id;     ///< 16
  base::ByteView image_id;      ///< 16
  std::uint32_t vmpl = 0;
  std::uint32_t signature_algo = 0;
  TcbBytes current_tcb{};
  std::uint64_t platform_info = 0;
  std::uint32_t flags = 0;
  base::ByteView report_data;        ///< 64
  base::ByteView measurement;        ///< 48
  base::ByteView host_data;          ///< 32
  base::ByteView id_key_digest;      ///< 48
  base::ByteView author_key_digest;  ///< 48
  base::ByteView report_id;          ///< 32
  base::ByteView report_id_ma;       ///< 32
  TcbBytes reported_tcb{};
  std::optional<CpuId> cpuid;  ///< from version 3 on; these bytes are reserved before
  base::ByteView chip_id;      ///< 64
  TcbBytes committed_tcb{};
  Firmware current;
  Firmware committed;
  TcbBytes launch_tcb{};
  std::optional<MitigationVectors> mitigations;  ///< from version 5 on
  base::ByteView signed_bytes;                   ///< kSignedSize
  base::ByteView r;                              ///< kNumberSize, little-endian
  base::ByteView s;
  base::ByteView signature_tail;  ///< reserved

  bool debug() const noexcept { return (policy & kPolicyDebug) != 0; }
  bool author_key() const noexcept { return (flags & 1) != 0; }
  bool mask_chip_key() const noexcept { return (flags & 2) != 0; }
  unsigned signing_key() const noexcept { return (flags >> 2) & 7; }
};

bool known_version(std::uint32_t version) noexcept;

/// Error `malformed` for anything but kReportSize bytes.
base::Result<Report> parse_report(base::ByteView bytes);

/// r ‖ s of 96 bytes, big-endian. Error `malformed` (what, expected, found) unless both are in [1, n-1] of P-384 and
/// the bytes above and behind them are zero: those are not signed, and nobody shall hide something there.
base::Result<base::Bytes> signature_of(const Report& report);

}  // namespace attestry::attestation::snp
