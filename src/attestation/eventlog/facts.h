// What a log says about the boot, in words: facts that become claims once the registers vouch for the log.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/eventlog/digest.h"

namespace attestry::attestation::eventlog {

struct Fact {
  std::string_view name;  ///< "eventlog.secure_boot"; static storage
  std::string value;      ///< hex, true or false, or printable ASCII
  /// Only labels say so: a guest that is not the one of the log can have measured digests that make the log say
  /// anything here. It counts beside a register that is known as a whole (RTMR2).
  bool log_word = false;
};

/// An event of dstack by which the agent names the app: the only one of that name in the agent's part of RTMR3, else
/// nullptr. compose-hash, app-id and instance-id end with boot-mr-done, or with system-ready where that comes first or
/// alone; all others with system-ready. Behind that the workload may write what it likes.
const Event* dstack_identity(const Log& log, std::string_view name);

/// Facts by name. A fact that the log states in two ways is left out: a rule on it must fail, not choose. So is one
/// that an event states in a register, or after a separator, where it does not belong. `matches` has an entry for each
/// event, from match_digest() in `bank`; text counts only where the digest covers it.
std::vector<Fact> facts_of(const Log& log, std::size_t bank, std::span<const DigestMatch> matches);

/// The path of the file of an EV_EFI_BOOT_SERVICES_APPLICATION (UEFI_IMAGE_LOAD_EVENT, PFP 1.06, 10.2.3), for people:
/// the digest does not cover it. Empty when it has none.
struct ImageLoad {
  std::string path{};        ///< ASCII; other characters become '?'
  bool qemu_kernel = false;  ///< from QEMU's direct kernel boot
};
ImageLoad read_image_load(base::ByteView data);

/// EV_EVENT_TAG of Linux's EFI stub (Linux, drivers/firmware/efi/libstub/efistub.h).
enum class LinuxTag : std::uint8_t { none, initrd, load_options };
LinuxTag linux_tag(const Event& event);

}  // namespace attestry::attestation::eventlog
