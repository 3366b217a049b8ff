// Event logs of a simulated boot, in both formats, with the registers that they lead to: a TD with them is accepted,
// and each fault is one thing wrong.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace attestry::forge {

enum class LogFault : std::uint8_t {
  none,
  other_boot,        ///< the registers are of a boot with another kernel
  changed_text,      ///< the command line in the log is not the one whose digest was measured
  changed_payload,   ///< dstack: the compose hash in the log is not the measured one
  second_separator,  ///< measured, and so in the registers too
  missing_event,     ///< one event is left out of the log
  cut,               ///< the log ends in the middle of an event
  // The logs of an untrue guest: what was measured and shall not be seen has the label of something whose digest
  // nobody can compute, and the guest measures what shall be seen. Such a log leads to the registers.
  relabelled_boot,    ///< Secure Boot was off; its variable and the separator pass as firmware volumes
  relabelled_loader,  ///< the first application passes as a driver and measures the ones that the log shows
  relabelled_kernel,  ///< the file, the command and the command line of another kernel pass as modules of GRUB
  two_stories,        ///< two kernels were measured; each of the two logs shows another one
  split_name,         ///< dstack: the measured compose hash begins with a colon, which the log shows in the name
  late_identity,      ///< dstack: the agent writes no system-ready, and the workload names a key provider
  stripped,           ///< dstack: without the events of the boot, as in certificates; ccel.bin is whole
};
/// "other-boot", …
std::string_view to_text(LogFault fault) noexcept;
std::optional<LogFault> parse_log_fault(std::string_view text) noexcept;

struct EventLogSpec {
  std::string seed = "attestry";  ///< other seeds have other files, so other digests
  bool secure_boot = true;
  std::string command_line = "/vmlinuz root=/dev/vda2 ro console=ttyS0";
  std::string compose = "services: {}";  ///< its SHA-256 is the compose hash
  std::size_t grub_commands = 8;         ///< how many more events
  bool empty_digests = false;            ///< dstack 0.6 leaves those of runtime events out
  bool strip_boot = false;               ///< dstack: only the ACPI tables and RTMR3, as in its certificates
  LogFault fault = LogFault::none;
};

struct ForgedLogs {
  base::Bytes ccel;                            ///< TCG crypto-agile, padded with 0xff to 64 KiB
  std::string dstack;                          ///< JSON array
  std::string tcb_info;                        ///< the same in dstack's wrapper, with app_compose and registers
  std::array<base::FixedBytes<48>, 4> rtmr{};  ///< RTMR3 is extended by the dstack events only
  base::FixedBytes<48> kernel{};               ///< digests in the log
  base::FixedBytes<48> initrd{};
};

/// Deterministic.
ForgedLogs make_event_logs(const EventLogSpec& spec);

}  // namespace attestry::forge
