// Event logs of a boot: what was measured into which register, in order. A log is a claim of the machine; only the
// registers in evidence vouch for it, and only for the digests: neither the kind nor the text of an event is covered
// unless the digest can be computed from them (digest.h).
//
// Two formats: TCG crypto-agile (TCG PC Client Platform Firmware Profile 1.06, section 10; also the CCEL of a TD, UEFI
// 2.10 section 38.4) and the JSON of dstack. Pure functions; limits below hold for hostile input.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::attestation::eventlog {

inline constexpr std::size_t kMaxLogBytes = 4u << 20;
inline constexpr std::size_t kMaxEvents = 8192;
inline constexpr std::size_t kMaxBanks = 5;

enum class Hash : std::uint16_t { sha1 = 0x0004, sha256 = 0x000b, sha384 = 0x000c, sha512 = 0x000d, sm3 = 0x0012 };
/// "sha384"; "unknown" for another number.
std::string_view to_text(Hash hash) noexcept;

/// Event types (PFP 1.06, 10.4.1, table 27) as far as this room treats them apart.
inline constexpr std::uint32_t kNoAction = 0x03;
inline constexpr std::uint32_t kSeparator = 0x04;
inline constexpr std::uint32_t kAction = 0x05;
inline constexpr std::uint32_t kEventTag = 0x06;
inline constexpr std::uint32_t kPlatformConfigFlags = 0x0a;
inline constexpr std::uint32_t kIpl = 0x0d;
inline constexpr std::uint32_t kEfiVariableDriverConfig = 0x80000001;
inline constexpr std::uint32_t kEfiVariableBoot = 0x80000002;
inline constexpr std::uint32_t kEfiBootServicesApplication = 0x80000003;
inline constexpr std::uint32_t kEfiGptEvent = 0x80000006;
inline constexpr std::uint32_t kEfiAction = 0x80000007;
inline constexpr std::uint32_t kEfiVariableBoot2 = 0x8000000c;
inline constexpr std::uint32_t kEfiVariableAuthority = 0x800000e0;
/// dstack's events of RTMR3.
inline constexpr std::uint32_t kDstackRuntime = 0x08000001;

/// "EV_EFI_ACTION"; empty for a type that no specification names.
std::string_view type_name(std::uint32_t type) noexcept;

/// Which registers the numbers mean.
enum class Registers : std::uint8_t {
  pcr,  ///< PC Client: TPM PCR 0 to 23
  ccel  ///< measurement registers of a TD: 0 MRTD, 1 to 4 RTMR0 to RTMR3 (UEFI 2.10, 38.4.1)
};
/// "rtmr1", "pcr7", "mrtd".
std::string register_name(Registers registers, std::uint32_t number);

struct Bank {
  Hash hash;
  std::size_t size;  ///< of a digest in bytes
};

struct Event {
  std::uint32_t index;   ///< position in the log, the header not counted
  std::uint32_t number;  ///< of the register
  std::uint32_t type;
  std::array<base::ByteView, kMaxBanks> digests{};  ///< by bank; empty: the log leaves it out (dstack 0.6)
  base::ByteView data{};
  std::string name{};      ///< dstack only
  bool canonical = false;  ///< dstack's second version of the digest: SHA-384 of canonical JSON
};

/// Views in `events` point into what the log was read from (TCG) or into `storage` (dstack); moving keeps them.
struct Log {
  Registers registers = Registers::ccel;
  bool dstack = false;
  std::vector<Bank> banks{};
  std::vector<Event> events{};
  std::size_t consumed = 0;  ///< TCG: bytes up to the padding

  /// What dstack's wrapper says beside the events.
  struct Beside {
    std::string app_compose{};  ///< text whose SHA-256 is the compose hash; empty: not given
    std::vector<std::pair<std::string, std::string>> registers{};  ///< "rtmr0", lower-case hex
    std::string compose_hash{};                                    ///< lower-case hex
  } beside{};
  base::Bytes storage{};

  Log() = default;
  Log(Log&&) = default;
  Log& operator=(Log&&) = default;

  /// Position of the bank; banks.size() when there is none.
  std::size_t bank(Hash hash) const noexcept;
};

/// A TCG crypto-agile log, with or without the 0xff or zero padding of its ACPI area. Error `malformed` names the event
/// and what is wrong with it. `bytes` must outlive the log. `registers` says how to read the numbers.
base::Result<Log> parse_tcg(base::ByteView bytes, Registers registers);

/// dstack's log: the array of events, or an object with `event_log` (array or text), or with `tcb_info` (object or
/// text) that has one. Register numbers become those of a CCEL (imr + 1).
base::Result<Log> parse_dstack(std::string_view text);

/// Whether this is JSON rather than TCG's binary: the first byte that is no white space is [ or {.
bool looks_like_json(base::ByteView bytes) noexcept;

}  // namespace attestry::attestation::eventlog
