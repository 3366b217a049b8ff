#include "forge/collateral.h"

#include <array>
#include <utility>

#include "base/encoding.h"
#include "base/json_writer.h"
#include "forge/quote.h"

namespace attestry::forge {
namespace {

using base::Bytes;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;

constexpr std::int64_t kDay = 86400;

std::string upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

/// Component names of current server processors; what a component is called decides nothing.
struct ComponentName {
  std::string_view category;
  std::string_view type;
};
constexpr std::array<ComponentName, 16> kSgxComponents{{{"BIOS", "Early Microcode Update"},
                                                        {"OS/VMM", "SGX Late Microcode Update"},
                                                        {"OS/VMM", "TXT SINIT"},
                                                        {"BIOS", ""},
                                                        {"BIOS", ""},
                                                        {"BIOS", ""},
                                                        {"", ""},
                                                        {"OS/VMM", "SEAMLDR ACM"}}};
constexpr std::array<ComponentName, 16> kTdxComponents{
    {{"OS/VMM", "TDX Module"}, {"OS/VMM", "TDX Module"}, {"OS/VMM", "TDX Late Microcode Update"}}};

JsonOut components(const base::FixedBytes<16>& svns, const std::array<ComponentName, 16>& names) {
  JsonOutArray out;
  for (std::size_t i = 0; i < svns.size(); ++i) {
    JsonOutObject one{{"svn", static_cast<unsigned>(svns[i])}};
    if (!names[i].category.empty()) one.emplace_back("category", names[i].category);
    if (!names[i].type.empty()) one.emplace_back("type", names[i].type);
    out.emplace_back(std::move(one));
  }
  return out;
}

void add_status(JsonOutObject& level, const std::string& date, const std::string& status,
                const std::vector<std::string>& advisories) {
  level.emplace_back("tcbDate", date);
  level.emplace_back("tcbStatus", status);
  if (advisories.empty()) return;
  JsonOutArray ids;
  for (const auto& id : advisories) ids.emplace_back(id);
  level.emplace_back("advisoryIDs", std::move(ids));
}

JsonOut svn_levels(const std::vector<SvnLevel>& levels) {
  JsonOutArray out;
  for (const auto& level : levels) {
    JsonOutObject one{{"tcb", JsonOutObject{{"isvsvn", static_cast<unsigned>(level.isv_svn)}}}};
    add_status(one, level.date, level.status, level.advisories);
    out.emplace_back(std::move(one));
  }
  return out;
}

JsonOut tcb_levels(const TcbInfoSpec& spec) {
  JsonOutArray out;
  for (const auto& level : spec.levels) {
    JsonOutObject tcb{{"sgxtcbcomponents", components(level.sgx, kSgxComponents)},
                      {"pcesvn", static_cast<unsigned>(level.pce_svn)}};
    if (spec.id == "TDX") tcb.emplace_back("tdxtcbcomponents", components(level.tdx, kTdxComponents));
    JsonOutObject one{{"tcb", std::move(tcb)}};
    add_status(one, level.date, level.status, level.advisories);
    out.emplace_back(std::move(one));
  }
  return out;
}

void add_modules(JsonOutObject& out, const std::vector<ModuleIdentity>& modules) {
  // The unnamed module is what version 1.0 of the TDX module is judged by (TEE_TCB_SVN[1] = 0).
  const ModuleIdentity unnamed;
  out.emplace_back("tdxModule", JsonOutObject{{"mrsigner", upper(base::hex(unnamed.mr_signer))},
                                              {"attributes", upper(base::hex(unnamed.attributes))},
                                              {"attributesMask", upper(base::hex(unnamed.attributes_mask))}});
  JsonOutArray list;
  for (const auto& module : modules) {
    list.emplace_back(JsonOutObject{{"id", module.id},
                                    {"mrsigner", upper(base::hex(module.mr_signer))},
                                    {"attributes", upper(base::hex(module.attributes))},
                                    {"attributesMask", upper(base::hex(module.attributes_mask))},
                                    {"tcbLevels", svn_levels(module.levels)}});
  }
  out.emplace_back("tdxModuleIdentities", std::move(list));
}

/// Levels from the newest to the oldest, as Intel orders them; the default platform matches the first.
std::vector<TcbLevel> default_levels() {
  return {{{6, 6, 2, 2, 4, 1, 0, 3}, 13, {5, 0, 4}, "2025-05-14T00:00:00Z", "UpToDate", {}},
          {{6, 6, 2, 2, 3, 1, 0, 3}, 13, {5, 0, 4}, "2025-05-14T00:00:00Z", "SWHardeningNeeded", {"FORGE-SA-0001"}},
          {{4, 4, 2, 2, 3, 1, 0, 2}, 11, {3, 0, 3}, "2024-03-13T00:00:00Z", "OutOfDate", {"FORGE-SA-0002"}},
          {{2, 2, 2, 2, 3, 1, 0, 0}, 5, {3, 0, 2}, "2018-01-04T00:00:00Z", "Revoked", {"FORGE-SA-0003"}}};
}

std::vector<ModuleIdentity> default_modules() {
  ModuleIdentity newer;
  newer.id = "TDX_03";
  newer.levels = {{3, "2025-05-14T00:00:00Z", "UpToDate", {}}};
  ModuleIdentity current;
  current.id = "TDX_01";
  current.levels = {{5, "2025-05-14T00:00:00Z", "UpToDate", {}},
                    {2, "2023-08-09T00:00:00Z", "OutOfDate", {"FORGE-SA-0004"}}};
  return {newer, current};
}

}  // namespace

CollateralSpec default_collateral(bool tdx, base::UtcTime at, CaKind ca) {
  const std::int64_t midnight = at.seconds - ((at.seconds % kDay) + kDay) % kDay;
  const base::UtcTime issued{midnight - kDay};
  const Validity month{issued, issued + 30 * kDay};
  CollateralSpec spec;
  spec.ca = ca;
  spec.root_crl_window = {issued, issued + 365 * kDay};
  spec.pck_crl_window = month;
  spec.tcb_info.id = tdx ? "TDX" : "SGX";
  spec.tcb_info.window = month;
  spec.tcb_info.levels = default_levels();
  if (tdx) spec.tcb_info.modules = default_modules();
  spec.qe_identity.id = tdx ? "TD_QE" : "QE";
  spec.qe_identity.window = month;
  spec.qe_identity.mr_signer = forge_qe_mr_signer();
  spec.qe_identity.isv_prod_id = tdx ? kForgeTdQeProdId : kForgeQeProdId;
  spec.qe_identity.levels = {{kForgeQeSvn, "2025-05-14T00:00:00Z", "UpToDate", {}},
                             {4, "2023-08-09T00:00:00Z", "OutOfDate", {"FORGE-SA-0005"}}};
  return spec;
}

std::string tcb_info_text(const TcbInfoSpec& spec) {
  JsonOutObject out{{"id", spec.id},
                    {"version", spec.version},
                    {"issueDate", base::to_rfc3339(spec.window.not_before)},
                    {"nextUpdate", base::to_rfc3339(spec.window.not_after)},
                    {"fmspc", base::hex(spec.fmspc)},
                    {"pceId", base::hex(spec.pce_id)},
                    {"tcbType", spec.tcb_type},
                    {"tcbEvaluationDataNumber", spec.evaluation_number}};
  if (spec.id == "TDX") add_modules(out, spec.modules);
  out.emplace_back("tcbLevels", tcb_levels(spec));
  return JsonOut(std::move(out)).compact();
}

std::string qe_identity_text(const QeIdentitySpec& spec) {
  return JsonOut(JsonOutObject{{"id", spec.id},
                               {"version", spec.version},
                               {"issueDate", base::to_rfc3339(spec.window.not_before)},
                               {"nextUpdate", base::to_rfc3339(spec.window.not_after)},
                               {"tcbEvaluationDataNumber", spec.evaluation_number},
                               {"miscselect", "00000000"},
                               {"miscselectMask", "FFFFFFFF"},
                               {"attributes", "11000000000000000000000000000000"},
                               {"attributesMask", "FBFFFFFFFFFFFFFF0000000000000000"},
                               {"mrsigner", upper(base::hex(spec.mr_signer))},
                               {"isvprodid", static_cast<unsigned>(spec.isv_prod_id)},
                               {"tcbLevels", svn_levels(spec.levels)}})
      .compact();
}

std::shared_ptr<const attestation::Collateral> ForgedCollateral::collateral() const {
  using attestation::CollateralKind;
  std::vector<attestation::CollateralItem> items;
  const auto add = [&items](CollateralKind kind, Bytes bytes) { items.push_back({kind, std::move(bytes), {}}); };
  add(CollateralKind::tcb_info, base::to_bytes(tcb_info));
  add(CollateralKind::tcb_info_signature, tcb_info_signature);
  add(CollateralKind::tcb_info_chain, base::to_bytes(tcb_info_chain));
  add(CollateralKind::qe_identity, base::to_bytes(qe_identity));
  add(CollateralKind::qe_identity_signature, qe_identity_signature);
  add(CollateralKind::qe_identity_chain, base::to_bytes(qe_identity_chain));
  add(CollateralKind::pck_crl, pck_crl);
  add(CollateralKind::pck_crl_chain, base::to_bytes(pck_crl_chain));
  add(CollateralKind::root_ca_crl, root_ca_crl);
  return attestation::Collateral::make(std::move(items));
}

std::string ForgedCollateral::json() const {
  return JsonOut(JsonOutObject{{"pck_crl_issuer_chain", pck_crl_chain},
                               {"root_ca_crl", base::hex(root_ca_crl)},
                               {"pck_crl", base::hex(pck_crl)},
                               {"tcb_info_issuer_chain", tcb_info_chain},
                               {"tcb_info", tcb_info},
                               {"tcb_info_signature", base::hex(tcb_info_signature)},
                               {"qe_identity_issuer_chain", qe_identity_chain},
                               {"qe_identity", qe_identity},
                               {"qe_identity_signature", base::hex(qe_identity_signature)}})
             .pretty() +
         "\n";
}

base::Result<ForgedCollateral> make_collateral(const ForgePki& pki, const CollateralSpec& spec) {
  ForgedCollateral out;
  out.tcb_info = tcb_info_text(spec.tcb_info);
  out.tcb_info_signature = pki.sign_tcb(out.tcb_info);
  out.tcb_info_chain = pki.tcb_chain_pem();
  out.qe_identity = qe_identity_text(spec.qe_identity);
  out.qe_identity_signature = pki.sign_tcb(out.qe_identity);
  out.qe_identity_chain = out.tcb_info_chain;
  out.pck_crl_chain = pki.ca_chain_pem(spec.ca);
  TRY(out.pck_crl, pki.pck_crl(spec.ca, spec.pck_crl_window, spec.revoked_by_ca), "PCK CRL");
  TRY(out.root_ca_crl, pki.root_crl(spec.root_crl_window, spec.revoked_by_root), "root CRL");
  return out;
}

}  // namespace attestry::forge
