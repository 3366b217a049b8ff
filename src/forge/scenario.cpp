#include "forge/scenario.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/encoding.h"
#include "base/json_writer.h"

namespace attestry::forge {
namespace {

using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;

constexpr std::array kFaults{
#define ATTESTRY_FAULT(name, text, genuine, status, what) FaultInfo{Fault::name, text, genuine, status, what},
#include "forge/faults.def"
#undef ATTESTRY_FAULT
};

constexpr std::int64_t kDay = 86400;

/// Plans a case before anything is signed, so that a fault is in what gets signed wherever that is possible.
struct Plan {
  QuoteSpec quote;
  PlatformSpec platform;
  CollateralSpec collateral;
};

void plan_quote(Plan& plan, Fault fault) {
  QuoteSpec& quote = plan.quote;
  switch (fault) {
    case Fault::vendor_id:
      quote.vendor_id[0] ^= 1;
      break;
    case Fault::certification_type:
      quote.certification_type = 3;
      break;
    case Fault::quote_signature:
      quote.break_quote_signature = true;
      break;
    case Fault::other_attestation_key:
      quote.other_attestation_key = true;
      break;
    case Fault::qe_report_data_tail:
      quote.qe_report_data_tail = true;
      break;
    case Fault::qe_report_signature:
      quote.break_qe_signature = true;
      break;
    case Fault::qe_mr_signer:
      quote.qe_mr_signer = base::FixedBytes<32>{0xba, 0xd0};
      break;
    case Fault::qe_prod_id:
      quote.qe_prod_id = 77;
      break;
    case Fault::qe_svn_below_all:
      quote.qe_svn = 1;
      break;
    case Fault::qe_out_of_date:
      quote.qe_svn = 5;
      break;
    case Fault::qe_debug:
      quote.qe_attributes[0] |= 0x02;
      break;
    case Fault::debug:
      quote.enclave.attributes[0] |= 0x02;
      quote.td.td_attributes[0] |= 0x01;
      break;
    case Fault::seam_attributes:
      quote.td.seam_attributes[0] = 1;
      break;
    case Fault::module_unknown:
      quote.td.tee_tcb_svn[1] = 9;
      break;
    case Fault::module_out_of_date:
      quote.td.tee_tcb_svn[0] = 2;
      quote.td.tee_tcb_svn2[0] = 2;
      break;
    case Fault::relaunch_advised:
      quote.td.tee_tcb_svn[0] = 2;
      break;
    default:
      break;
  }
}

void plan_platform(Plan& plan, const Scenario& scenario) {
  auto& svn = plan.platform.cpu_svn;
  switch (scenario.fault) {
    case Fault::pck_expired:
      plan.platform.validity.not_after = scenario.at - kDay;
      break;
    case Fault::sw_hardening:
      svn[4] = 3;
      break;
    case Fault::out_of_date:
      svn[0] = svn[1] = 5;
      break;
    case Fault::platform_revoked:
      svn[0] = svn[1] = 3;
      break;
    case Fault::tcb_not_supported:
      svn[0] = svn[1] = 1;
      break;
    default:
      break;
  }
}

void plan_collateral(Plan& plan, const Scenario& scenario) {
  const base::UtcTime at = scenario.at;
  CollateralSpec& spec = plan.collateral;
  const bool tdx = is_tdx(scenario.quote.kind);
  const CaKind other_ca = spec.ca == CaKind::platform ? CaKind::processor : CaKind::platform;
  const Validity past{at - 40 * kDay, at - kDay};
  switch (scenario.fault) {
    case Fault::tcb_info_expired:
      spec.tcb_info.window = past;
      break;
    case Fault::tcb_info_future:
      spec.tcb_info.window = {at + kDay, at + 30 * kDay};
      break;
    case Fault::fmspc:
      spec.tcb_info.fmspc[5] ^= 1;
      break;
    case Fault::pce_id:
      spec.tcb_info.pce_id[1] ^= 1;
      break;
    case Fault::other_tee:
      spec.tcb_info = default_collateral(!tdx, at).tcb_info;
      break;
    case Fault::qe_identity_expired:
      spec.qe_identity.window = past;
      break;
    case Fault::qe_identity_other_tee:
      spec.qe_identity = default_collateral(!tdx, at).qe_identity;
      break;
    case Fault::root_crl_expired:
      spec.root_crl_window = past;
      break;
    case Fault::pck_crl_expired:
      spec.pck_crl_window = past;
      break;
    case Fault::pck_crl_other_ca:
      spec.ca = other_ca;
      break;
    default:
      break;
  }
}

Plan make_plan(const Scenario& scenario) {
  const bool tdx = is_tdx(scenario.quote.kind);
  Plan plan{scenario.quote, scenario.platform, default_collateral(tdx, scenario.at, scenario.platform.ca)};
  plan.collateral.tcb_info.fmspc = scenario.platform.fmspc;
  plan.collateral.tcb_info.pce_id = scenario.platform.pce_id;
  plan_quote(plan, scenario.fault);
  plan_platform(plan, scenario);
  plan.quote.enclave.cpu_svn = plan.platform.cpu_svn;
  plan_collateral(plan, scenario);
  return plan;
}

/// What needs the issued certificates: revocations and the order of the chain.
void plan_certificates(Plan& plan, Fault fault, const ForgePki& pki, const Platform& platform) {
  const CaKind ca = platform.spec.ca;
  switch (fault) {
    case Fault::chain_order:
      plan.quote.certification_pem = platform.pck.pem() + pki.root().pem() + pki.ca(ca).pem();
      break;
    case Fault::pck_revoked:
      plan.collateral.revoked_by_ca.push_back(platform.pck.serial);
      break;
    case Fault::intermediate_revoked:
      plan.collateral.revoked_by_root.push_back(pki.ca(ca).serial);
      break;
    case Fault::tcb_signing_revoked:
      plan.collateral.revoked_by_root.push_back(pki.tcb_signing().serial);
      break;
    default:
      break;
  }
}

void damage(Case& out, Fault fault) {
  switch (fault) {
    case Fault::truncated:
      out.quote.pop_back();
      break;
    case Fault::trailing_byte:
      out.quote.push_back(1);
      break;
    case Fault::tcb_info_signature:
      out.collateral.tcb_info_signature[40] ^= 1;
      break;
    case Fault::qe_identity_signature:
      out.collateral.qe_identity_signature[40] ^= 1;
      break;
    default:
      break;
  }
}

std::vector<std::string> expected_advisories(Fault fault) {
  switch (fault) {
    case Fault::sw_hardening:
      return {"FORGE-SA-0001"};
    case Fault::out_of_date:
      return {"FORGE-SA-0002"};
    case Fault::platform_revoked:
      return {"FORGE-SA-0003"};
    case Fault::module_out_of_date:
    case Fault::relaunch_advised:
      return {"FORGE-SA-0004"};
    case Fault::qe_out_of_date:
      return {"FORGE-SA-0005"};
    default:
      return {};
  }
}

JsonOutObject td_measurements(const TdReport& td, bool td15) {
  JsonOutObject out{{"mrtd", base::hex(td.mr_td)},
                    {"rtmr0", base::hex(td.rtmr[0])},
                    {"rtmr1", base::hex(td.rtmr[1])},
                    {"rtmr2", base::hex(td.rtmr[2])},
                    {"rtmr3", base::hex(td.rtmr[3])},
                    {"mrseam", base::hex(td.mr_seam)},
                    {"mrsignerseam", base::hex(td.mr_signer_seam)},
                    {"mrconfigid", base::hex(td.mr_config_id)},
                    {"mrowner", base::hex(td.mr_owner)},
                    {"mrownerconfig", base::hex(td.mr_owner_config)},
                    {"report_data", base::hex(td.report_data)},
                    {"td_attributes", base::hex(td.td_attributes)},
                    {"xfam", base::hex(td.xfam)},
                    {"tee_tcb_svn", base::hex(td.tee_tcb_svn)},
                    {"seam_attributes", base::hex(td.seam_attributes)}};
  if (td15) {
    out.emplace_back("tee_tcb_svn2", base::hex(td.tee_tcb_svn2));
    out.emplace_back("mrservicetd", base::hex(td.mr_service_td));
  }
  return out;
}

JsonOutObject sgx_measurements(const SgxReport& enclave) {
  return {{"mrenclave", base::hex(enclave.mr_enclave)},
          {"mrsigner", base::hex(enclave.mr_signer)},
          {"isvprodid", static_cast<unsigned>(enclave.isv_prod_id)},
          {"isvsvn", static_cast<unsigned>(enclave.isv_svn)},
          {"report_data", base::hex(enclave.report_data)},
          {"attributes", base::hex(enclave.attributes)}};
}

template <std::size_t N>
void fill(base::FixedBytes<N>& out, const ForgePki& pki, std::string_view label) {
  std::ranges::copy(pki.derive_bytes(label, N), out.begin());
}

}  // namespace

std::span<const FaultInfo> faults() noexcept { return kFaults; }

const FaultInfo& info(Fault fault) noexcept { return kFaults[static_cast<std::size_t>(fault)]; }

std::optional<Fault> parse_fault(std::string_view name) noexcept {
  for (const auto& fault : kFaults) {
    if (fault.name == name) return fault.fault;
  }
  return {};
}

bool applies(Fault fault, QuoteKind kind) noexcept {
  switch (fault) {
    case Fault::seam_attributes:
    case Fault::module_unknown:
    case Fault::module_out_of_date:
      return is_tdx(kind);
    case Fault::relaunch_advised:
      return has_td15(kind);
    default:
      return true;
  }
}

QuoteSpec default_quote(const ForgePki& pki, QuoteKind kind) {
  QuoteSpec spec;
  spec.kind = kind;
  fill(spec.enclave.mr_enclave, pki, "enclave/mrenclave");
  fill(spec.enclave.mr_signer, pki, "enclave/mrsigner");
  fill(spec.enclave.report_data, pki, "report-data");
  fill(spec.td.mr_seam, pki, "td/mrseam");
  fill(spec.td.mr_td, pki, "td/mrtd");
  for (std::size_t i = 0; i < spec.td.rtmr.size(); ++i) {
    fill(spec.td.rtmr[i], pki, "td/rtmr" + std::to_string(i));
  }
  spec.td.report_data = spec.enclave.report_data;
  return spec;
}

attestation::Evidence Case::evidence() const { return {attestation::EvidenceFormat::dcap_quote, quote}; }

std::string Case::case_json(std::string_view name) const {
  const FaultInfo& fault = info(scenario.fault);
  const bool tdx = is_tdx(scenario.quote.kind);
  JsonOutArray ids;
  for (const auto& id : advisories) ids.emplace_back(id);
  JsonOutObject expect{{"result", fault.genuine ? "ok" : "fail"},
                       {"reason", fault.genuine ? JsonOut{nullptr} : JsonOut{fault.name}}};
  if (!fault.tcb_status.empty()) {
    expect.emplace_back("tcb_status", fault.tcb_status);
    expect.emplace_back("advisory_ids", std::move(ids));
  }
  if (fault.genuine) {
    expect.emplace_back("measurements", tdx ? td_measurements(scenario.quote.td, has_td15(scenario.quote.kind))
                                            : sgx_measurements(scenario.quote.enclave));
  }
  return JsonOut(JsonOutObject{{"name", name},
                               {"platform", tdx ? "tdx" : "sgx"},
                               {"title", fault.what},
                               {"kind", to_text(scenario.quote.kind)},
                               {"trust_anchor", "root.pem"},
                               {"verify_at", base::to_rfc3339(scenario.at)},
                               {"expect", std::move(expect)}})
             .pretty() +
         "\n";
}

base::Result<Case> make_case(const ForgePki& pki, Scenario scenario) {
  if (!applies(scenario.fault, scenario.quote.kind)) {
    return base::Error{base::Code::malformed, "fault " + std::string{info(scenario.fault).name} +
                                                  " does not exist for " + std::string{to_text(scenario.quote.kind)}};
  }
  std::optional<ForgePki> impostor;
  if (scenario.fault == Fault::foreign_root) {
    TRY(auto other, ForgePki::make(pki.derive_bytes("impostor", 32)));
    impostor = std::move(other);
  }
  const ForgePki& issuer = impostor ? *impostor : pki;
  Plan plan = make_plan(scenario);
  TRY(const auto platform, issuer.platform(plan.platform));
  plan_certificates(plan, scenario.fault, issuer, platform);
  TRY(auto quote, make_quote(issuer, platform, plan.quote));
  TRY(auto collateral, make_collateral(issuer, plan.collateral));
  scenario.quote = std::move(plan.quote);
  scenario.platform = plan.platform;
  auto advisories = expected_advisories(scenario.fault);
  Case out{std::move(quote), std::move(collateral), pki.root().pem(), std::move(scenario), std::move(advisories)};
  damage(out, out.scenario.fault);
  return out;
}

}  // namespace attestry::forge
