// Whether an event says what was measured. A register vouches for digests only; the text of an event counts where the
// digest can be computed from it.
#pragma once
#include <optional>

#include "attestation/eventlog/log.h"

namespace attestry::attestation::eventlog {

/// Hash of the parts one after another; empty for SHA-1, SM3 and unknown numbers, which nothing is built on here.
base::Bytes hash_of(Hash hash, std::initializer_list<base::ByteView> parts);

enum class DigestMatch : std::uint8_t {
  matches,    ///< the digest is that of the event's data
  differs,    ///< it is not: the data was changed
  undefined,  ///< the digest is of something that the log does not hold (a file, an image, a table)
};

/// Digest of `event` in `bank` as its kind defines it (PFP 1.06, 10.4.1; GRUB manual, "Measuring boot components";
/// dstack's runtime events).
DigestMatch match_digest(const Log& log, const Event& event, std::size_t bank);

/// The digest that goes into the register: the given one, but of dstack's runtime events the computed one, whatever the
/// log gives.
base::Bytes extended_digest(const Log& log, const Event& event, std::size_t bank);

/// UEFI_VARIABLE_DATA (PFP 1.06, 10.2.6).
struct EfiVariable {
  base::FixedBytes<16> guid{};
  std::string name;  ///< ASCII; other characters become '?'
  base::ByteView data{};
};
/// nullopt when the lengths do not fit exactly.
std::optional<EfiVariable> read_variable(base::ByteView data);

/// The text of EV_IPL without its terminating zero, as far as GRUB measured the text itself: behind "grub_cmd: ",
/// "kernel_cmdline: " or "module_cmdline: ". nullopt for other texts.
struct GrubText {
  std::string_view prefix;
  std::string_view text;
};
std::optional<GrubText> grub_text(base::ByteView data);

}  // namespace attestry::attestation::eventlog
