#include "attestation/snp/vek.h"

#include <algorithm>

namespace attestry::attestation::snp {
namespace {

using base::ByteView;

constexpr std::uint8_t kInteger = 0x02;
constexpr std::uint8_t kUtf8String = 0x0c;
constexpr std::uint8_t kPrintableString = 0x13;
constexpr std::uint8_t kIa5String = 0x16;
constexpr unsigned kNewestStructure = 1;
constexpr std::size_t kMaxText = 127;  // one length byte

base::Error wrong(std::string_view name, std::string_view expected, std::string_view found) {
  return {.code = base::Code::malformed,
          .what = "extension " + std::string{kAmdArc} + std::string{name},
          .expected = std::string{expected},
          .found = std::string{found}};
}

std::optional<ByteView> find(const crypto::Certificate& certificate, std::string_view name) {
  return certificate.extension(std::string{kAmdArc}.append(name));
}

/// INTEGER 0 to 255 in its shortest form.
base::Result<std::uint8_t> number(ByteView value, std::string_view name) {
  const bool one = value.size() == 3 && value[0] == kInteger && value[1] == 1 && value[2] < 0x80;
  const bool two = value.size() == 4 && value[0] == kInteger && value[1] == 2 && value[2] == 0 && value[3] >= 0x80;
  if (!one && !two) return wrong(name, "an INTEGER from 0 to 255", "something else");
  return value.back();
}

base::Result<std::uint8_t> wanted_number(const crypto::Certificate& certificate, std::string_view name) {
  const auto value = find(certificate, name);
  if (!value) return wrong(name, "an INTEGER from 0 to 255", "no such extension");
  return number(*value, name);
}

/// A string of printable ASCII.
base::Result<std::string> text(ByteView value, std::string_view name) {
  const bool tagged = value.size() > 2 && value.size() <= 2 + kMaxText && value[1] == value.size() - 2 &&
                      (value[0] == kIa5String || value[0] == kUtf8String || value[0] == kPrintableString);
  if (!tagged) return wrong(name, "a string", "something else");
  const ByteView content = value.subspan(2);
  if (!std::ranges::all_of(content, [](std::uint8_t c) { return c >= 0x20 && c < 0x7f; })) {
    return wrong(name, "printable characters", "others");
  }
  return std::string{base::as_text(content)};
}

base::Status read_versions(const crypto::Certificate& certificate, VekExtensions& out) {
  TRY(out.boot_loader, wanted_number(certificate, "3.1"));
  TRY(out.tee, wanted_number(certificate, "3.2"));
  TRY(out.snp, wanted_number(certificate, "3.3"));
  TRY(out.microcode, wanted_number(certificate, "3.8"));
  if (const auto fmc = find(certificate, "3.9")) {
    TRY(out.fmc, number(*fmc, "3.9"));
  }
  constexpr std::string_view kReserved[] = {"3.4", "3.5", "3.6", "3.7"};
  for (std::size_t i = 0; i < out.reserved.size(); ++i) {
    // Turin has no SPL 4: its place is the SNP version's.
    if (const auto value = find(certificate, kReserved[i])) {
      TRY(out.reserved[i], number(*value, kReserved[i]));
    }
  }
  return base::done();
}

}  // namespace

base::Result<VekExtensions> parse_vek_extensions(const crypto::Certificate& certificate) {
  VekExtensions out;
  TRY(const std::uint8_t version, wanted_number(certificate, "1"));
  if (version > kNewestStructure) return wrong("1", "structure version 0 or 1", std::to_string(version));
  out.struct_version = version;
  const auto product = find(certificate, "2");
  if (!product) return wrong("2", "a product name", "no such extension");
  TRY(out.product_name, text(*product, "2"));
  TRY_OK(read_versions(certificate, out));
  if (const auto hwid = find(certificate, "4")) {
    if (hwid->size() != 8 && hwid->size() != 64) {
      return wrong("4", "8 or 64 bytes", std::to_string(hwid->size()));
    }
    out.hwid = base::to_bytes(*hwid);
  }
  if (const auto csp = find(certificate, "5")) {
    TRY(out.csp_id, text(*csp, "5"));
  }
  return out;
}

std::optional<TcbBytes> tcb_of(const VekExtensions& e, Product product) noexcept {
  if (e.fmc.has_value() != (product == Product::turin)) return std::nullopt;
  if (product == Product::turin) {
    if (e.reserved[0] != 0) return std::nullopt;
    return TcbBytes{*e.fmc, e.boot_loader, e.tee, e.snp, e.reserved[1], e.reserved[2], e.reserved[3], e.microcode};
  }
  return TcbBytes{e.boot_loader, e.tee, e.reserved[0], e.reserved[1], e.reserved[2], e.reserved[3], e.snp, e.microcode};
}

}  // namespace attestry::attestation::snp
