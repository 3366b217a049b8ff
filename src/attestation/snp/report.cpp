#include "attestation/snp/report.h"

#include <algorithm>
#include <array>

namespace attestry::attestation::snp {
namespace {

using base::ByteView;

constexpr std::size_t kField = 48;  // of P-384
// SEC 2: the order of P-384.
constexpr std::array<std::uint8_t, kField> kOrder = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf,
    0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73};

bool all_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t b) { return b == 0; });
}

/// Reads fields one after the other; the size was checked before, so that no read can fail.
class Fields {
 public:
  explicit Fields(ByteView bytes) noexcept : rest_(bytes) {}
  ByteView take(std::size_t size) noexcept {
    const ByteView out = rest_.first(size);
    rest_ = rest_.subspan(size);
    return out;
  }
  std::uint64_t number(std::size_t size) noexcept {
    std::uint64_t out = 0;
    const ByteView bytes = take(size);
    for (std::size_t i = size; i-- > 0;) out = out << 8 | bytes[i];
    return out;
  }
  std::uint32_t u32() noexcept { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t u64() noexcept { return number(8); }
  TcbBytes tcb() noexcept {
    TcbBytes out{};
    std::ranges::copy(take(8), out.begin());
    return out;
  }
  Firmware firmware() noexcept {
    const ByteView bytes = take(4);  // the last one is reserved
    return {.build = bytes[0], .minor = bytes[1], .major = bytes[2]};
  }

 private:
  ByteView rest_;
};

void read_identity(Fields& in, Report& out) {
  out.version = in.u32();
  out.guest_svn = in.u32();
  Fields policy(out.policy_bytes = in.take(8));
  out.policy = policy.u64();
  out.family_id = in.take(16);
  out.image_id = in.take(16);
  out.vmpl = in.u32();
  out.signature_algo = in.u32();
  out.current_tcb = in.tcb();
  out.platform_info = in.u64();
  out.flags = in.u32();
  in.take(4);  // reserved
  out.report_data = in.take(64);
  out.measurement = in.take(48);
  out.host_data = in.take(32);
  out.id_key_digest = in.take(48);
  out.author_key_digest = in.take(48);
  out.report_id = in.take(32);
  out.report_id_ma = in.take(32);
}

void read_platform(Fields& in, Report& out) {
  out.reported_tcb = in.tcb();
  const ByteView cpuid = in.take(24);
  // Never interpreted in version 2, where the bytes are reserved (attestation_checks 2.2, 12).
  if (out.version >= 3) out.cpuid = CpuId{.family = cpuid[0], .model = cpuid[1], .stepping = cpuid[2]};
  out.chip_id = in.take(64);
  out.committed_tcb = in.tcb();
  out.current = in.firmware();
  out.committed = in.firmware();
  out.launch_tcb = in.tcb();
  MitigationVectors vectors;
  vectors.launch = in.u64();
  vectors.current = in.u64();
  if (out.version >= 5) out.mitigations = vectors;
}

base::Error wrong(std::string what, std::string expected, std::string found) {
  return {.code = base::Code::malformed,
          .what = std::move(what),
          .expected = std::move(expected),
          .found = std::move(found)};
}

/// Appends the big-endian number to `out`.
base::Status append_number(ByteView little_endian, std::string_view name, base::Bytes& out) {
  const std::string where = std::string{name} + ", bytes " + (name == "r" ? "672 to 743" : "744 to 815");
  if (!all_zero(little_endian.subspan(kField))) return wrong(where, "24 zero bytes above a number of 48", "more");
  std::array<std::uint8_t, kField> number{};
  std::ranges::reverse_copy(little_endian.first(kField), number.begin());
  if (all_zero(number)) return wrong(where, "1 to n - 1 of P-384", "0");
  if (!std::ranges::lexicographical_compare(number, kOrder)) {
    return wrong(where, "1 to n - 1 of P-384", "n or more");
  }
  base::append(out, number);
  return base::done();
}

}  // namespace

bool known_version(std::uint32_t version) noexcept { return version == 2 || version == 3 || version == 5; }

base::Result<Report> parse_report(ByteView bytes) {
  if (bytes.size() != kReportSize) {
    return wrong("not a report", std::to_string(kReportSize) + " bytes", std::to_string(bytes.size()));
  }
  Report out;
  out.signed_bytes = bytes.first(kSignedSize);
  Fields in(out.signed_bytes);
  read_identity(in, out);
  read_platform(in, out);
  Fields signature(bytes.subspan(kSignedSize));
  out.r = signature.take(kNumberSize);
  out.s = signature.take(kNumberSize);
  out.signature_tail = bytes.subspan(kSignedSize + 2 * kNumberSize);
  return out;
}

base::Result<base::Bytes> signature_of(const Report& report) {
  base::Bytes out;
  out.reserve(2 * kField);
  TRY_OK(append_number(report.r, "r", out));
  TRY_OK(append_number(report.s, "s", out));
  if (!all_zero(report.signature_tail)) return wrong("reserved, bytes 816 to 1183", "zero bytes behind s", "others");
  return out;
}

}  // namespace attestry::attestation::snp
