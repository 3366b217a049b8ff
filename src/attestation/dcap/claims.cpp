#include "attestation/dcap/claims.h"

#include "base/encoding.h"

namespace attestry::attestation::dcap {
namespace {

void bytes(std::vector<Claim>& out, std::string_view name, base::ByteView value) {
  out.push_back({.name = name, .value = base::hex(value)});
}
void number(std::vector<Claim>& out, std::string_view name, unsigned value) {
  out.push_back({.name = name, .value = std::to_string(value), .is_number = true});
}
void flag(std::vector<Claim>& out, std::string_view name, const std::optional<bool>& value) {
  if (value) out.push_back({.name = name, .value = *value ? "true" : "false"});
}

void add_sgx(const SgxReport& r, std::vector<Claim>& out) {
  bytes(out, "mrenclave", r.mrenclave());
  bytes(out, "mrsigner", r.mrsigner());
  number(out, "isvprodid", r.isvprodid());
  number(out, "isvsvn", r.isvsvn());
  bytes(out, "attributes", r.attributes());
  bytes(out, "miscselect", r.miscselect());
  bytes(out, "cpusvn", r.cpusvn());
  bytes(out, "configid", r.configid());
  number(out, "configsvn", r.configsvn());
  bytes(out, "isvextprodid", r.isvextprodid());
  bytes(out, "isvfamilyid", r.isvfamilyid());
}

void add_td15(const TdReport& r, std::vector<Claim>& out) {
  bytes(out, "tee_tcb_svn2", r.tee_tcb_svn2());
  bytes(out, "mrservicetd", r.mrservicetd());
  if (!r.has_15ex()) return;
  bytes(out, "vmid", r.vmid());
  bytes(out, "td_id", r.td_id());
  bytes(out, "dev_info", r.dev_info());
  bytes(out, "init_servtd_hash", r.init_servtd_hash());
  bytes(out, "init_servtd_attributes", r.init_servtd_attributes());
  bytes(out, "init_cpusvn", r.init_cpusvn());
  bytes(out, "init_tee_tcb_svn", r.init_tee_tcb_svn());
  bytes(out, "init_tee_fmspc", r.init_tee_fmspc());
  bytes(out, "cur_servtd_hash", r.cur_servtd_hash());
  bytes(out, "cur_servtd_attributes", r.cur_servtd_attributes());
}

void add_td(const TdReport& r, std::vector<Claim>& out) {
  constexpr std::string_view kRtmr[] = {"rtmr0", "rtmr1", "rtmr2", "rtmr3"};
  bytes(out, "mrtd", r.mrtd());
  for (std::size_t i = 0; i < 4; ++i) bytes(out, kRtmr[i], r.rtmr(i));
  bytes(out, "mrconfigid", r.mrconfigid());
  bytes(out, "mrowner", r.mrowner());
  bytes(out, "mrownerconfig", r.mrownerconfig());
  bytes(out, "mrseam", r.mrseam());
  bytes(out, "mrsignerseam", r.mrsignerseam());
  bytes(out, "td_attributes", r.td_attributes());
  bytes(out, "xfam", r.xfam());
  bytes(out, "seam_attributes", r.seam_attributes());
  bytes(out, "tee_tcb_svn", r.tee_tcb_svn());
  if (r.has_15()) add_td15(r, out);
}

}  // namespace

void add_report_claims(const Quote& quote, std::vector<Claim>& out) {
  out.reserve(52);
  number(out, "quote_version", quote.version);
  number(out, "qe_isvsvn", quote.qe_report.isvsvn());
  if (quote.tee == Tee::sgx) {
    add_sgx(quote.sgx, out);
  } else {
    add_td(quote.td, out);
  }
  bytes(out, "report_data", quote.report_data());
}

void add_platform_claims(const crypto::Certificate& pck, const PckExtension& extension, std::vector<Claim>& out) {
  bytes(out, "fmspc", extension.fmspc);
  bytes(out, "pceid", extension.pceid);
  bytes(out, "ppid", extension.ppid);
  bytes(out, "pck_serial", pck.serial());
  bytes(out, "pck_cpusvn", extension.cpusvn);
  bytes(out, "pck_components", extension.components);
  number(out, "pck_pcesvn", extension.pcesvn);
  out.push_back({.name = "sgx_type", .value = std::string{to_text(extension.sgx_type)}});
  if (extension.platform_instance_id) bytes(out, "platform_instance_id", *extension.platform_instance_id);
  flag(out, "dynamic_platform", extension.dynamic_platform);
  flag(out, "cached_keys", extension.cached_keys);
  flag(out, "smt_enabled", extension.smt_enabled);
}

}  // namespace attestry::attestation::dcap
