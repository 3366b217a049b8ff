#include "attestation/eventlog/facts.h"

#include <algorithm>

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
bool is_os_loader_register(const Log& log, std::uint32_t number) {
  return log.registers == Registers::pcr ? number == 8 || number == 9 : number == 3;
}

class Facts {
 public:
  Facts(const Log& log, std::size_t bank, std::span<const DigestMatch> matches)
      : log_(log), bank_(bank), matches_(matches) {}

  std::vector<Fact> collect() {
    for (const Event& event : log_.events) take(event);
    firmware_facts();
    grub_file("eventlog.kernel", kernel_paths_);
    grub_file("eventlog.initrd", initrd_paths_);
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

  void state(std::string_view name, std::string value) {
    const auto known = std::ranges::find(facts_, name, &Fact::name);
    if (known == facts_.end()) {
      facts_.push_back({name, std::move(value)});
    } else if (known->value != value) {
      ambiguous_.push_back(name);
    }
  }

  void take(const Event& event) {
    if (event.type == kEfiVariableDriverConfig && is_secure_boot_register(log_, event.number)) return variable(event);
    if (event.type == kSeparator && is_secure_boot_register(log_, event.number)) separated_ = true;
    if (event.type == kEfiBootServicesApplication && is_application_register(log_, event.number)) {
      return applications_.push_back(&event);
    }
    if (!is_os_loader_register(log_, event.number)) return;
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

  void boot_text(const Event& event) {
    const auto grub = grub_text(event.data);
    if (!grub) return;
    if (!covered(event)) return;
    if (grub->prefix == "kernel_cmdline: ") {
      state("eventlog.command_line_digest", digest(event));
      if (printable(grub->text)) state("eventlog.command_line", std::string{grub->text});
    } else if (grub->prefix == "grub_cmd: ") {
      command(event, grub->text);
    }
  }

  /// "linux PATH …", "initrd PATH …": the digest covers the path, and a file of that path is measured next.
  void command(const Event& event, std::string_view text) {
    const std::string_view verb = text.substr(0, text.find(' '));
    const bool linux = verb == "linux" || verb == "linuxefi";
    if ((!linux && verb != "initrd" && verb != "initrdefi") || verb.size() == text.size()) return;
    text.remove_prefix(verb.size() + 1);
    const std::string_view path = text.substr(0, text.find(' '));
    (linux ? kernel_paths_ : initrd_paths_).push_back({event.index, path});
    // Several initrds are one concatenated archive, of which no event has the digest.
    if (!linux && path.size() != text.size()) ambiguous_.push_back("eventlog.initrd");
  }

  struct MeasuredPath {
    std::uint32_t after;
    std::string_view path;
  };

  /// A boot loads one kernel; the bound keeps the work linear for hostile logs.
  static constexpr std::size_t kMaxPaths = 16;

  void grub_file(std::string_view name, const std::vector<MeasuredPath>& paths) {
    if (paths.size() > kMaxPaths) return ambiguous_.push_back(name);
    for (const MeasuredPath& wanted : paths) {
      for (const Event& event : log_.events) {
        if (event.index <= wanted.after || event.type != kIpl || !is_os_loader_register(log_, event.number)) continue;
        std::string_view text = base::as_text(event.data);
        if (!text.empty() && text.back() == '\0') text.remove_suffix(1);
        if (text == wanted.path) state(name, digest(event));
      }
    }
  }

  void tag(const Event& event) {
    switch (linux_tag(event)) {
      case LinuxTag::initrd:
        return state("eventlog.initrd", digest(event));
      case LinuxTag::load_options:
        stub_ = true;
        return state("eventlog.command_line_digest", digest(event));
      case LinuxTag::none:
        return;
    }
  }

  /// The first application is the boot loader, unless it is the kernel: QEMU's direct boot names it so, and without
  /// GRUB the application that ran last and measured its load options is Linux with its EFI stub.
  void applications() {
    if (applications_.empty()) return;
    const Event* kernel = nullptr;
    for (const Event* event : applications_) {
      if (read_image_load(event->data).qemu_kernel) kernel = event;
    }
    if (kernel == nullptr && stub_ && kernel_paths_.empty()) kernel = applications_.back();
    if (kernel != nullptr) state("eventlog.kernel", digest(*kernel));
    if (applications_.front() != kernel) state("eventlog.boot_loader", digest(*applications_.front()));
  }

  /// The guest agent's own events end with system-ready; later ones are the workload's and may have any name.
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
    if (!log_.dstack) return;
    std::vector<std::string_view> seen;
    for (const Event& event : log_.events) {
      if (event.number != 4) continue;
      if (event.name == "system-ready") return;
      const auto* const known = std::ranges::find(kNames, event.name, &Name::event);
      if (known == std::end(kNames)) continue;
      if (std::ranges::find(seen, known->event) != seen.end()) ambiguous_.push_back(known->fact);
      seen.push_back(known->event);
      if (event.data.empty()) continue;
      const std::string_view text = base::as_text(event.data);
      const bool as_text = known->event == "key-provider" && printable(text);
      state(known->fact, as_text ? std::string{text} : base::hex(event.data));
    }
  }

  const Log& log_;
  std::size_t bank_;
  std::span<const DigestMatch> matches_;
  std::vector<Fact> facts_;
  std::vector<std::string_view> ambiguous_;
  std::vector<const Event*> applications_;
  std::vector<MeasuredPath> kernel_paths_;
  std::vector<MeasuredPath> initrd_paths_;
  std::vector<bool> secure_boot_;
  bool separated_ = false;
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
