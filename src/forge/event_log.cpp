#include "forge/event_log.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/encoding.h"
#include "base/json_writer.h"
#include "crypto/hash.h"

namespace attestry::forge {
namespace {

using base::Bytes;
using base::ByteView;
using Digest = base::FixedBytes<48>;

constexpr std::pair<LogFault, std::string_view> kFaults[] = {
    {LogFault::none, "none"},
    {LogFault::other_boot, "other-boot"},
    {LogFault::changed_text, "changed-text"},
    {LogFault::changed_payload, "changed-payload"},
    {LogFault::second_separator, "second-separator"},
    {LogFault::missing_event, "missing-event"},
    {LogFault::cut, "cut"},
    {LogFault::relabelled_boot, "relabelled-boot"},
    {LogFault::relabelled_loader, "relabelled-loader"},
    {LogFault::relabelled_kernel, "relabelled-kernel"},
    {LogFault::two_stories, "two-stories"},
    {LogFault::split_name, "split-name"},
    {LogFault::late_identity, "late-identity"},
    {LogFault::stripped, "stripped"},
};

constexpr std::uint32_t kRuntime = 0x08000001;
constexpr std::size_t kArea = 65536;

/// `extended` goes into the register; `digest` and `data` stand in the log.
struct Entry {
  std::uint32_t rtmr;
  std::uint32_t type;
  Digest digest;
  Bytes data;
  std::string name{};
  Digest extended{};
  bool hidden = false;               ///< measured, but not in the log
  std::optional<Bytes> in_dstack{};  ///< what dstack's log says instead of `data`
};

void put(Bytes& out, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

void put_utf16(Bytes& out, std::string_view text) {
  for (const char c : text) put(out, static_cast<std::uint8_t>(c), 2);
}

Bytes with_zero(std::string_view text) {
  Bytes out = base::to_bytes(text);
  out.push_back(0);
  return out;
}

/// UEFI_VARIABLE_DATA of a global variable.
Bytes variable(std::string_view name, ByteView value) {
  Bytes out{0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c};
  put(out, name.size(), 8);
  put(out, value.size(), 8);
  put_utf16(out, name);
  base::append(out, value);
  return out;
}

/// UEFI_IMAGE_LOAD_EVENT with a device path of one file.
Bytes image(std::string_view path) {
  Bytes node{4, 4};
  put(node, 4 + 2 * (path.size() + 1), 2);
  put_utf16(node, path);
  put(node, 0, 2);
  base::append(node, Bytes{0x7f, 0xff, 4, 0});
  Bytes out;
  put(out, 0x7ab00000, 8);
  put(out, 0x100000, 8);
  put(out, 0, 8);
  put(out, node.size(), 8);
  base::append(out, node);
  return out;
}

class Boot {
 public:
  explicit Boot(const EventLogSpec& spec) : spec_(spec) {}

  std::vector<Entry> run() {
    firmware();
    loaders();
    grub();
    add(1, 0x80000007, base::to_bytes("Exit Boot Services Invocation"));
    add(1, 0x80000007, base::to_bytes("Exit Boot Services Returned with Success"));
    if (spec_.fault == LogFault::relabelled_boot) {
      add(0, 0x80000001, variable("SecureBoot", Bytes{1}));
      add(0, 4, Bytes(4, 0));
    }
    agent();
    return std::move(entries_);
  }

  Digest file(std::string_view name) const {
    return crypto::sha384({base::as_bytes(spec_.seed), base::as_bytes("/"), base::as_bytes(name)});
  }

 private:
  Entry& add(std::uint32_t rtmr, std::uint32_t type, Bytes data, const Digest& digest) {
    entries_.push_back({rtmr, type, digest, std::move(data), {}, digest});
    return entries_.back();
  }
  Entry& add(std::uint32_t rtmr, std::uint32_t type, Bytes data) {
    const Digest digest = crypto::sha384(data);
    return add(rtmr, type, std::move(data), digest);
  }
  /// A text of GRUB: the prefix is not measured.
  Entry& text(std::string_view prefix, const std::string& value) {
    return add(2, 0x0d, with_zero(std::string{prefix} + value), crypto::sha384(base::as_bytes(value)));
  }

  /// EV_EFI_PLATFORM_FIRMWARE_BLOB: its digest is of memory that no log holds.
  void as_firmware(const Bytes& data) { add(0, 0x80000008, base::to_bytes("firmware volume"), crypto::sha384(data)); }
  void as_module(const Digest& digest) { add(2, 0x0d, with_zero("(hd0)/grub/x86_64-efi/ext2.mod"), digest); }

  void firmware() {
    const bool relabelled = spec_.fault == LogFault::relabelled_boot;
    if (relabelled) as_firmware(variable("SecureBoot", Bytes{0}));
    if (!relabelled) {
      add(0, 0x80000001, variable("SecureBoot", Bytes{static_cast<std::uint8_t>(spec_.secure_boot ? 1 : 0)}));
    }
    add(0, 0x80000001, variable("PK", {}));
    if (relabelled) as_firmware(Bytes(4, 0));
    if (!relabelled) add(0, 4, Bytes(4, 0));
    for (const char* table : {"acpi-loader", "acpi-rsdp", "acpi-tables"}) {
      add(0, 0x0a, base::to_bytes("ACPI DATA"), file(table));
    }
    // EDK2 measures only the data of boot variables.
    const Bytes order{1, 0};
    add(0, 0x80000002, variable("BootOrder", order), crypto::sha384(order));
    add(1, 0x80000007, base::to_bytes("Calling EFI Application from Boot Option"));
    add(1, 4, Bytes(4, 0));
    if (spec_.fault == LogFault::second_separator) add(0, 4, Bytes(4, 0));
  }

  void loaders() {
    if (spec_.fault == LogFault::relabelled_loader) add(1, 0x80000004, image("\\driver.efi"), file("another loader"));
    add(1, 0x80000003, image("\\EFI\\BOOT\\BOOTX64.EFI"), file("shim"));
    add(1, 0x80000003, image("\\EFI\\BOOT\\grubx64.efi"), file("grub"));
  }

  void grub() {
    for (std::size_t i = 0; i < spec_.grub_commands; ++i) text("grub_cmd: ", "set step=" + std::to_string(i));
    if (spec_.fault == LogFault::relabelled_kernel) {
      for (const char* measured : {"linux /other init=/bin/sh", "kernel", "/other init=/bin/sh"}) {
        as_module(crypto::sha384(base::as_bytes(measured)));
      }
    }
    if (spec_.fault == LogFault::two_stories) other_story();
    text("grub_cmd: ", "linux " + spec_.command_line).hidden = spec_.fault == LogFault::missing_event;
    if (spec_.fault == LogFault::two_stories) entries_.back().in_dstack = with_zero("(hd0)/grub/fonts/unicode.pf2");
    Entry& kernel = add(2, 0x0d, with_zero(spec_.command_line.substr(0, spec_.command_line.find(' '))), file("kernel"));
    if (spec_.fault == LogFault::other_boot) kernel.extended = file("another kernel");
    Entry& line = text("kernel_cmdline: ", spec_.command_line);
    if (spec_.fault == LogFault::changed_text) line.data.insert(line.data.end() - 1, {' ', 'x'});
    text("grub_cmd: ", "initrd /initrd.img");
    add(2, 0x0d, with_zero("/initrd.img"), file("initrd"));
  }

  /// Measured like the kernel that ccel.bin shows; only dstack's log shows it.
  void other_story() {
    as_module(crypto::sha384(base::as_bytes("linux /other")));
    entries_.back().in_dstack = with_zero("grub_cmd: linux /other");
    as_module(file("another kernel"));
    entries_.back().in_dstack = with_zero("/other");
  }

  void runtime(std::string name, Bytes payload) {
    Bytes type;
    put(type, kRuntime, 4);
    const Digest digest =
        crypto::sha384({type, base::as_bytes(":"), base::as_bytes(name), base::as_bytes(":"), payload});
    add(3, kRuntime, std::move(payload), digest).name = std::move(name);
  }

  void agent() {
    const auto hash = crypto::sha256(base::as_bytes(spec_.compose));
    runtime("system-preparing", {});
    runtime("app-id", Bytes(hash.begin(), hash.begin() + 20));
    if (spec_.fault == LogFault::split_name) {
      Bytes payload(32, 0x11);
      payload.front() = ':';
      runtime("compose-hash", payload);
      entries_.back().name.push_back(':');
      entries_.back().data.erase(entries_.back().data.begin());
    } else {
      runtime("compose-hash", Bytes(hash.begin(), hash.end()));
    }
    if (spec_.fault == LogFault::changed_payload) entries_.back().data.front() ^= 1;
    runtime("instance-id", Bytes(20, 0x17));
    runtime("boot-mr-done", {});
    runtime("key-provider", base::to_bytes(R"({"name":"local","id":""})"));
    if (spec_.fault != LogFault::late_identity) runtime("system-ready", {});
    // The workload may write events of any name, too.
    runtime("compose-hash", Bytes(32, 0xee));
  }

  const EventLogSpec& spec_;
  std::vector<Entry> entries_;
};

/// The header has the old layout, with one algorithm: SHA-384 (PFP 1.06, 10.4.5.1).
Bytes header() {
  Bytes spec = base::to_bytes("Spec ID Event03");
  spec.push_back(0);
  put(spec, 0, 4);
  base::append(spec, Bytes{0, 2, 0, 2});
  put(spec, 1, 4);
  put(spec, 0x0c, 2);
  put(spec, 48, 2);
  spec.push_back(0);
  Bytes out;
  put(out, 1, 4);
  put(out, 3, 4);
  out.resize(out.size() + 20, 0);
  put(out, spec.size(), 4);
  base::append(out, spec);
  return out;
}

Bytes ccel_of(const std::vector<Entry>& entries, LogFault fault) {
  Bytes out = header();
  for (const Entry& entry : entries) {
    if (entry.hidden || entry.type == kRuntime) continue;
    put(out, entry.rtmr + 1, 4);
    put(out, entry.type, 4);
    put(out, 1, 4);
    put(out, 0x0c, 2);
    base::append(out, entry.digest);
    put(out, entry.data.size(), 4);
    base::append(out, entry.data);
  }
  if (fault == LogFault::cut) {
    out.resize(out.size() - 10);
  } else if (out.size() < kArea) {
    out.resize(kArea, 0xff);
  }
  return out;
}

base::JsonOut json_of(const std::vector<Entry>& entries, const EventLogSpec& spec) {
  base::JsonOutArray events;
  for (const Entry& entry : entries) {
    const bool boot = entry.type != kRuntime;
    const bool stripped = spec.strip_boot || spec.fault == LogFault::stripped;
    if (entry.hidden || (stripped && boot && entry.type != 0x0a)) continue;
    const std::string digest = spec.empty_digests && !boot ? "" : base::hex(entry.digest);
    events.emplace_back(base::JsonOutObject{{"imr", entry.rtmr},
                                            {"event_type", entry.type},
                                            {"digest", digest},
                                            {"event", entry.name},
                                            {"event_payload", base::hex(entry.in_dstack.value_or(entry.data))}});
  }
  return base::JsonOut(std::move(events));
}

std::string tcb_info_of(const base::JsonOut& events, const EventLogSpec& spec, const ForgedLogs& logs) {
  const auto hash = crypto::sha256(base::as_bytes(spec.compose));
  return base::JsonOut(base::JsonOutObject{{"rtmr0", base::hex(logs.rtmr[0])},
                                           {"rtmr1", base::hex(logs.rtmr[1])},
                                           {"rtmr2", base::hex(logs.rtmr[2])},
                                           {"rtmr3", base::hex(logs.rtmr[3])},
                                           {"compose_hash", base::hex(hash)},
                                           {"event_log", events},
                                           {"app_compose", spec.compose}})
      .pretty();
}

}  // namespace

std::string_view to_text(LogFault fault) noexcept {
  for (const auto& [known, name] : kFaults) {
    if (known == fault) return name;
  }
  return "none";
}

std::optional<LogFault> parse_log_fault(std::string_view text) noexcept {
  for (const auto& [fault, name] : kFaults) {
    if (name == text) return fault;
  }
  return std::nullopt;
}

ForgedLogs make_event_logs(const EventLogSpec& spec) {
  Boot boot(spec);
  const std::vector<Entry> entries = boot.run();
  ForgedLogs out;
  for (const Entry& entry : entries) out.rtmr[entry.rtmr] = crypto::sha384({out.rtmr[entry.rtmr], entry.extended});
  out.ccel = ccel_of(entries, spec.fault);
  const base::JsonOut events = json_of(entries, spec);
  out.dstack = events.compact();
  if (spec.fault == LogFault::cut) out.dstack.resize(out.dstack.size() - 10);
  out.tcb_info = tcb_info_of(events, spec, out);
  out.kernel = boot.file("kernel");
  out.initrd = boot.file("initrd");
  return out;
}

}  // namespace attestry::forge
