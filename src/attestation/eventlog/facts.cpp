#include "attestation/eventlog/facts.h"

#include <algorithm>
#include <utility>

#include "base/encoding.h"
#include "base/reader.h"

namespace attestry::attestation::eventlog {
namespace {

using base::ByteView;

/// EFI_GLOBAL_VARIABLE 8be4df61-93ca-11d2-aa0d-00e098032b8c (UEFI 2.10, 3.3), as it stands in memory.
constexpr base::FixedBytes<16> kGlobalVariable{0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11,
                                               0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c};
/// Vendor media device path of QEMU's -kernel: 1428f772-b64a-441e-b8c3-9ebdd7f893c7 (EDK2, QemuKernelLoaderFsMedia).
constexpr base::FixedBytes<16> kQemuKernel{0x72, 0xf7, 0x28, 0x14, 0x4a, 0xb6, 0x1e, 0x44,
                                           0xb8, 0xc3, 0x9e, 0xbd, 0xd7, 0xf8, 0x93, 0xc7};

constexpr std::size_t kMaxText = 16384;

bool printable(std::string_view text) {
  return text.size() <= kMaxText && std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; });
}

/// Where a boot writes what (PFP 1.06, 3.3.4; UEFI 2.10, 38.4.1: RTMR0 takes PCR 1 and 7, RTMR1 PCR 2 to 6, RTMR2 8 to
/// 15).
bool is_secure_boot_register(const Log& log, std::uint32_t number) {
  return number == (log.registers == Registers::pcr ? 7u : 1u);
}
bool is_application_register(const Log& log, std::uint32_t number) {
  return number == (log.registers == Registers::pcr ? 4u : 2u);
}
bool is_exit_register(const Log& log, std::uint32_t number) {
  return number == (log.registers == Registers::pcr ? 5u : 2u);
}
bool is_os_loader_register(const Log& log, std::uint32_t number) {
  return log.registers == Registers::pcr ? number == 8 || number == 9 : number == 3;
}

class Facts {
 public:
  Facts(const Log& log, std::size_t bank, std::span<const DigestMatch> matches)
      : log_(log), bank_(bank), matches_(matches), known_(log.banks[bank].hash) {}

  std::vector<Fact> collect() {
    for (const Event& event : log_.events) take(event);
    firmware_facts();
    if (pending_) ambiguous_.push_back(pending_->fact);
    applications();
    dstack();
    std::erase_if(facts_,
                  [&](const Fact& fact) { return std::ranges::find(ambiguous_, fact.name) != ambiguous_.end(); });
    std::ranges::sort(facts_, {}, &Fact::name);
    return std::move(facts_);
  }

 private:
  bool covered(const Event& event) const { return matches_[event.index] == DigestMatch::matches; }
  std::string digest(const Event& event) const { return base::hex(event.digests[bank_]); }

  void state(std::string_view name, std::string value, bool log_word = false) {
    const auto known = std::ranges::find(facts_, name, &Fact::name);
    if (known == facts_.end()) {
      facts_.push_back({name, std::move(value), log_word});
    } else if (known->value != value) {
      ambiguous_.push_back(name);
    } else {
      known->log_word = known->log_word && log_word;
    }
  }
  void state_word(std::string_view name, std::string value) { state(name, std::move(value), true); }

  void take(const Event& event) {
    if (event.type == kNoAction) return;
    if (is_exit_register(log_, event.number)) exited_ = exited_ || known_.exit(event.digests[bank_]);
    if (is_application_register(log_, event.number) && !exited_) program(event);
    if (is_secure_boot_register(log_, event.number)) {
      if (known_.separator(event.digests[bank_]) != SeparatorDigest::none) separated_ = true;
      if (event.type == kEfiVariableDriverConfig) return variable(event);
    }
    if (!is_os_loader_register(log_, event.number)) return;
    if (const auto pending = std::exchange(pending_, std::nullopt)) file(*pending, event);
    if (event.type == kIpl) return boot_text(event);
    if (event.type == kEventTag) return tag(event);
  }

  /// Firmware measures the variable before the separator of its register; what comes later, others wrote.
  void variable(const Event& event) {
    if (separated_ || !covered(event)) return;
    const auto value = read_variable(event.data);
    if (!value || value->guid != kGlobalVariable || value->name != "SecureBoot") return;
    const bool on = value->data.size() == 1 && value->data.front() == 1;
    secure_boot_.push_back(on);
  }

  void firmware_facts() {
    if (!separated_ || secure_boot_.empty()) return;
    for (const bool on : secure_boot_) state("eventlog.secure_boot", on ? "true" : "false");
  }

  /// The firmware measures every program before it starts one. So the first digest in this register that is of no
  /// known text is the first program that ran, and what comes behind it that program can have measured itself. Whether
  /// a digest is of a known text must not be left to the label: the hash of a program is a hash of bytes of its file
  /// (Authenticode), and these can stand in the log as the data of any event whose digest is computed from its data.
  void program(const Event& event) {
    if (known_.separator(event.digests[bank_]) != SeparatorDigest::none) {
      programs_separated_ = true;
    } else if (known_.calling(event.digests[bank_])) {
      calls_ += applications_.empty() ? 0u : 1u;
    } else if (known_.returning(event.digests[bank_])) {
      returned_ = returned_ || !applications_.empty();
    } else if (is_no_program(event)) {
      return;
    } else if (event.type == kEfiBootServicesApplication) {
      if (applications_.empty()) early_ = !programs_separated_;
      applications_.push_back(&event);
    } else {
      unknown_first_ = unknown_first_ || applications_.empty();
      unknown_ = true;
    }
  }

  /// A program's file begins with MZ or PE and is not printable.
  bool is_no_program(const Event& event) const {
    if (!covered(event)) return false;
    std::string_view text = base::as_text(event.data);
    if (event.type == kEfiGptEvent) return text.starts_with("EFI PART");
    if (event.type != kAction && event.type != kEfiAction) return false;
    if (!text.empty() && text.back() == '\0') text.remove_suffix(1);
    return printable(text);
  }

  void boot_text(const Event& event) {
    const auto grub = grub_text(event.data);
    if (!grub) return;
    if (!covered(event)) return;
    if (grub->prefix == "kernel_cmdline: ") {
      state_word("eventlog.command_line_digest", digest(event));
      if (printable(grub->text)) state_word("eventlog.command_line", std::string{grub->text});
    } else if (grub->prefix == "grub_cmd: ") {
      command(grub->text);
    }
  }

  /// "linux PATH …", "initrd PATH …": the digest covers the path, and the very next event is of the file.
  void command(std::string_view text) {
    const std::string_view verb = text.substr(0, text.find(' '));
    const bool linux = verb == "linux" || verb == "linuxefi";
    if ((!linux && verb != "initrd" && verb != "initrdefi") || verb.size() == text.size()) return;
    text.remove_prefix(verb.size() + 1);
    const std::string_view path = text.substr(0, text.find(' '));
    pending_ = Pending{linux ? "eventlog.kernel" : "eventlog.initrd", path};
    grub_linux_ = grub_linux_ || linux;
    // Several initrds are one concatenated archive, of which no event has the digest.
    if (!linux && path.size() != text.size()) ambiguous_.push_back("eventlog.initrd");
  }

  /// A file that GRUB was told to load and of which no digest follows.
  struct Pending {
    std::string_view fact;
    std::string_view path;
  };

  void file(const Pending& pending, const Event& event) {
    std::string_view text = base::as_text(event.data);
    if (!text.empty() && text.back() == '\0') text.remove_suffix(1);
    if (event.type != kIpl || text != pending.path) return ambiguous_.push_back(pending.fact);
    state_word(pending.fact, digest(event));
  }

  void tag(const Event& event) {
    switch (linux_tag(event)) {
      case LinuxTag::initrd:
        return state_word("eventlog.initrd", digest(event));
      case LinuxTag::load_options:
        stub_ = true;
        return state_word("eventlog.command_line_digest", digest(event));
      case LinuxTag::none:
        return;
    }
  }

  /// The first program counts when it did not return to the firmware, which then starts another one. QEMU's direct
  /// boot measures the kernel before the separator, where drivers of devices can be measured, too: then it must be the
  /// only program of all. Which of both names the program has, boot loader or kernel, is no matter of trust.
  void applications() {
    if (applications_.empty() || !programs_separated_ || returned_ || unknown_first_) return;
    if (calls_ > (early_ ? 1u : 0u)) return;
    const bool alone = applications_.size() == 1 && !unknown_;
    if (early_ && !alone) return;
    const Event& first = *applications_.front();
    const bool stub = stub_ && !grub_linux_;
    if (read_image_load(first.data).qemu_kernel || (stub && alone)) return state("eventlog.kernel", digest(first));
    state("eventlog.boot_loader", digest(first));
    // Without GRUB the application that ran last and measured its load options is Linux with its EFI stub.
    if (stub) state_word("eventlog.kernel", digest(*applications_.back()));
  }

  void dstack() {
    struct Name {
      std::string_view event;
      std::string_view fact;
    };
    static constexpr Name kNames[] = {{"app-id", "eventlog.app_id"},
                                      {"compose-hash", "eventlog.compose_hash"},
                                      {"instance-id", "eventlog.instance_id"},
                                      {"key-provider", "eventlog.key_provider"},
                                      {"os-image-hash", "eventlog.os_image_hash"}};
    for (const auto& [name, fact] : kNames) {
      const Event* event = dstack_identity(log_, name);
      if (event == nullptr || event->data.empty()) continue;
      const std::string_view text = base::as_text(event->data);
      const bool as_text = name == "key-provider" && printable(text);
      state(fact, as_text ? std::string{text} : base::hex(event->data));
    }
  }

  const Log& log_;
  std::size_t bank_;
  std::span<const DigestMatch> matches_;
  KnownDigests known_;
  std::vector<Fact> facts_;
  std::vector<std::string_view> ambiguous_;
  std::vector<const Event*> applications_;
  std::optional<Pending> pending_;
  std::vector<bool> secure_boot_;
  std::uint32_t calls_ = 0;          ///< boot options that were tried after the first application was measured
  bool returned_ = false;            ///< an application returned to the firmware
  bool early_ = false;               ///< the first application was measured before the separator
  bool unknown_first_ = false;       ///< digests of who knows what before the first application
  bool unknown_ = false;             ///< such digests anywhere before boot services ended
  bool programs_separated_ = false;  ///< in the register of the programs
  bool exited_ = false;              ///< boot services ended: everything behind is the running system's
  bool grub_linux_ = false;
  bool separated_ = false;  ///< in the register of Secure Boot
  bool stub_ = false;
};

}  // namespace

ImageLoad read_image_load(ByteView data) {
  constexpr std::uint8_t kMedia = 4;
  constexpr std::uint8_t kVendor = 3;
  constexpr std::uint8_t kFile = 4;
  ImageLoad out;
  base::Reader head(data);
  // Location, length and link-time address, then the length of the device path.
  if (!head.take(24, "image").ok()) return out;
  const auto size = head.u64le("device path length");
  if (!size.ok() || *size != head.remaining()) return out;
  base::Reader nodes(head.rest());
  while (nodes.remaining() != 0) {
    const auto type = nodes.u8("type");
    const auto subtype = nodes.u8("subtype");
    const auto length = nodes.u16le("length");
    if (!type.ok() || !subtype.ok() || !length.ok() || *length < 4) break;
    const auto body = nodes.take(static_cast<std::size_t>(*length) - 4, "node");
    if (!body.ok()) break;
    if (*type != kMedia) continue;
    if (*subtype == kVendor && base::equal(*body, kQemuKernel)) out.qemu_kernel = true;
    if (*subtype != kFile) continue;
    for (std::size_t i = 0; i + 1 < body->size(); i += 2) {
      const std::uint8_t low = (*body)[i];
      if (low == 0 && (*body)[i + 1] == 0) break;
      out.path.push_back((*body)[i + 1] == 0 && low >= 0x20 && low < 0x7f ? static_cast<char>(low) : '?');
    }
  }
  return out;
}

const Event* dstack_identity(const Log& log, std::string_view name) {
  if (!log.dstack) return nullptr;
  const auto is = [](std::string_view wanted) {
    return [wanted](const Event& event) { return event.number == 4 && event.name == wanted; };
  };
  auto end = std::ranges::find_if(log.events, is("system-ready"));
  // The agent writes these first, whatever its version, and boot-mr-done behind them.
  if (name == "compose-hash" || name == "app-id" || name == "instance-id") {
    end = std::min(end, std::ranges::find_if(log.events, is("boot-mr-done")));
  }
  if (end == log.events.end()) return nullptr;
  const auto only = std::find_if(log.events.begin(), end, is(name));
  if (only == end || std::find_if(only + 1, end, is(name)) != end) return nullptr;
  return &*only;
}

LinuxTag linux_tag(const Event& event) {
  constexpr std::uint32_t kInitrd = 0x8f3b22ec;
  constexpr std::uint32_t kLoadOptions = 0x8f3b22ed;
  if (event.type != kEventTag) return LinuxTag::none;
  base::Reader in(event.data);
  const auto id = in.u32le("tag");
  const auto size = in.u32le("size");
  if (!id.ok() || !size.ok() || *size != in.remaining()) return LinuxTag::none;
  if (*id == kInitrd) return LinuxTag::initrd;
  return *id == kLoadOptions ? LinuxTag::load_options : LinuxTag::none;
}

std::vector<Fact> facts_of(const Log& log, std::size_t bank, std::span<const DigestMatch> matches) {
  return Facts(log, bank, matches).collect();
}

}  // namespace attestry::attestation::eventlog
