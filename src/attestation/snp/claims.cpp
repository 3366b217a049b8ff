#include "attestation/snp/claims.h"

#include "base/encoding.h"

namespace attestry::attestation::snp {
namespace {

void bytes(std::vector<Claim>& out, std::string_view name, base::ByteView value) {
  out.push_back({.name = name, .value = base::hex(value)});
}
void number(std::vector<Claim>& out, std::string_view name, std::uint64_t value) {
  out.push_back({.name = name, .value = std::to_string(value), .is_number = true});
}
void text(std::vector<Claim>& out, std::string_view name, std::string value) {
  out.push_back({.name = name, .value = std::move(value)});
}
void flag(std::vector<Claim>& out, std::string_view name, bool value) { text(out, name, value ? "true" : "false"); }

std::string version_of(const Firmware& f) {
  return std::to_string(f.major) + "." + std::to_string(f.minor) + "." + std::to_string(f.build);
}

/// Bit fields as hex like the bytes of the report: what compares them looks at the bytes.
void bits(std::vector<Claim>& out, std::string_view name, std::uint64_t value) {
  base::FixedBytes<8> raw{};
  for (std::size_t i = 0; i < raw.size(); ++i) raw[i] = static_cast<std::uint8_t>(value >> (8 * i));
  bytes(out, name, raw);
}

}  // namespace

void add_report_claims(const Report& r, std::vector<Claim>& out) {
  out.reserve(48);
  number(out, "report_version", r.version);
  bytes(out, "measurement", r.measurement);
  bytes(out, "report_data", r.report_data);
  bytes(out, "host_data", r.host_data);
  bytes(out, "id_key_digest", r.id_key_digest);
  bytes(out, "author_key_digest", r.author_key_digest);
  bytes(out, "family_id", r.family_id);
  bytes(out, "image_id", r.image_id);
  bytes(out, "report_id", r.report_id);
  bytes(out, "report_id_ma", r.report_id_ma);
  bytes(out, "chip_id", r.chip_id);
  number(out, "guest_svn", r.guest_svn);
  bytes(out, "guest_policy", r.policy_bytes);
  number(out, "abi_major", r.policy >> 8 & 0xff);
  number(out, "abi_minor", r.policy & 0xff);
  number(out, "vmpl", r.vmpl);
  bits(out, "platform_info", r.platform_info);
  flag(out, "author_key_enabled", r.author_key());
  bytes(out, "current_tcb", r.current_tcb);
  bytes(out, "reported_tcb", r.reported_tcb);
  bytes(out, "committed_tcb", r.committed_tcb);
  bytes(out, "launch_tcb", r.launch_tcb);
  text(out, "current_firmware", version_of(r.current));
  text(out, "committed_firmware", version_of(r.committed));
  if (!r.mitigations) return;
  bits(out, "launch_mitigation_vector", r.mitigations->launch);
  bits(out, "current_mitigation_vector", r.mitigations->current);
}

void add_product_claims(const Report& report, Product product, std::vector<Claim>& out) {
  text(out, "product", std::string{to_text(product)});
  const Tcb tcb = unpack_tcb(product, report.reported_tcb);
  if (product == Product::turin) number(out, "tcb_fmc", tcb.fmc);
  number(out, "tcb_boot_loader", tcb.boot_loader);
  number(out, "tcb_tee", tcb.tee);
  number(out, "tcb_snp", tcb.snp);
  number(out, "tcb_microcode", tcb.microcode);
}

void add_vek_claims(const VekExtensions& extensions, std::vector<Claim>& out) {
  text(out, "signing_key", extensions.csp_id ? "VLEK" : "VCEK");
  text(out, "vek_product_name", extensions.product_name);
  if (extensions.csp_id) text(out, "csp_id", *extensions.csp_id);
}

}  // namespace attestry::attestation::snp
