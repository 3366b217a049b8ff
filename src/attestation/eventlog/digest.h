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

/// What a separator measures (PFP 1.06, 10.4.1): 0 or 0xffffffff, or 1 for an error.
enum class SeparatorDigest : std::uint8_t { none, separator, error };

/// Digests of what firmware measures in every boot, to find it by digest alone: whoever writes a log may give an event
/// another label. Finds nothing in a bank that nothing is built on.
class KnownDigests {
 public:
  explicit KnownDigests(Hash hash);
  SeparatorDigest separator(base::ByteView digest) const;
  /// Actions (PFP 1.06, 10.4.4): a boot option is tried, its application returned, boot services end.
  bool calling(base::ByteView digest) const { return is(digest, calling_); }
  bool returning(base::ByteView digest) const { return is(digest, returning_); }
  bool exit(base::ByteView digest) const { return is(digest, exit_); }

 private:
  static bool is(base::ByteView digest, const base::Bytes& known) {
    return !known.empty() && base::equal(digest, known);
  }
  base::Bytes zeros_;
  base::Bytes ones_;
  base::Bytes error_;
  base::Bytes calling_;
  base::Bytes returning_;
  base::Bytes exit_;
};

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
