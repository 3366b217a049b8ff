// TDX module and TCB level (attestation_checks 1.2, checks 6 and 11 to 14).
#include <algorithm>

#include "attestation/dcap/judge.h"
#include "base/encoding.h"

namespace attestry::attestation::dcap {
namespace {

TeeTcbSvn svn_of(base::ByteView view) {
  TeeTcbSvn out{};
  std::ranges::copy(view.first(out.size()), out.begin());
  return out;
}

std::string module_id(std::uint8_t major) {
  const base::FixedBytes<1> byte = {major};
  return "TDX_" + base::hex(byte);
}

/// What the platform lacks for the lowest level there is.
std::string below_lowest(const TcbInfo& info, const PckExtension& pck, const std::optional<TeeTcbSvn>& tdx) {
  if (info.levels.empty()) return "the TCB info has no level";
  const TcbLevel& lowest = info.levels.back();
  std::string out;
  const auto lacks = [&out](std::string what, unsigned wanted, unsigned have) {
    if (have >= wanted) return;
    out.append(out.empty() ? "below the lowest level: " : ", ")
        .append(what)
        .append(" is ")
        .append(std::to_string(have));
    out.append(", at least ").append(std::to_string(wanted));
  };
  for (std::size_t i = 0; i < lowest.sgx.size(); ++i) {
    lacks("SGX component " + std::to_string(i) + " (PCK certificate)", lowest.sgx[i], pck.components[i]);
  }
  lacks("PCESVN", lowest.pcesvn, pck.pcesvn);
  for (std::size_t i = tdx && module_major(*tdx) > 0 ? 2 : 0; tdx && i < lowest.tdx.size(); ++i) {
    lacks("TDX component " + std::to_string(i) + " (TEE_TCB_SVN)", lowest.tdx[i], (*tdx)[i]);
  }
  return out.empty() ? "no level has all its components at or below the platform's" : out;
}

/// Keeps the order in which they were first seen.
void add_advisories(std::vector<std::string>& out, const std::vector<std::string>& more) {
  for (const std::string& id : more) {
    if (std::ranges::find(out, id) == out.end()) out.push_back(id);
  }
}

}  // namespace

void Judge::tdx_module() {
  if (!quote_ || quote_->tee != Tee::tdx) return;
  if (!recorder_.may_run(CheckId::tdx_module_identity)) return;
  const TcbInfo& info = *set_->tcb_info;
  const TeeTcbSvn svn = svn_of(quote_->td.tee_tcb_svn());
  const std::uint8_t major = module_major(svn);
  const TdxModuleIdentity* identity = major > 0 ? info.module_identity(major) : nullptr;
  const TdxModule* module = identity != nullptr ? &identity->module : nullptr;
  // The TDX 1.0 module has no identity of its own: tdxModule describes it.
  if (major == 0 && info.tdx_module) module = &*info.tdx_module;
  require(CheckId::tdx_module_identity, module != nullptr, major > 0 ? module_id(major) : "tdxModule", "none",
          module != nullptr ? "" : "major version of the TDX module, TEE_TCB_SVN[1]: " + std::to_string(major));
  if (module == nullptr) return;

  const bool same_signer = base::equal(quote_->td.mrsignerseam(), module->mrsigner);
  require(CheckId::tdx_module_mrsigner, same_signer, same_signer ? "" : base::hex(module->mrsigner),
          same_signer ? "" : base::hex(quote_->td.mrsignerseam()));
  // Intel's library wants them zero and equal, whatever the mask says.
  const base::ByteView attributes = quote_->td.seam_attributes();
  const bool zero = std::ranges::all_of(attributes, [](std::uint8_t b) { return b == 0; });
  if (zero && base::equal(attributes, module->attributes)) {
    recorder_.pass(CheckId::tdx_module_attributes);
  } else {
    recorder_.fail(CheckId::tdx_module_attributes, "all zero",
                   zero ? "TCB info: " + base::hex(module->attributes) : base::hex(attributes));
  }
  if (identity == nullptr) return;
  const std::uint8_t minor = module_minor(svn);
  require(CheckId::tdx_module_level, find_isv_level(identity->levels, minor) != nullptr,
          "at least " + std::to_string(identity->levels.back().isvsvn), std::to_string(minor),
          "minor version of the TDX module, TEE_TCB_SVN[0]");
}

void Judge::tcb() {
  if (!recorder_.may_run(CheckId::dcap_tcb_level)) {
    recorder_.may_run(CheckId::dcap_tcb_status);
    recorder_.may_run(CheckId::dcap_tcb_revoked);
    if (quote_ && quote_->tee == Tee::tdx && quote_->td.has_15()) recorder_.may_run(CheckId::tdx_relaunch_current);
    return;
  }
  const TcbInfo& info = *set_->tcb_info;
  const PckExtension& pck = *platform_->extension;
  const bool tdx = quote_->tee == Tee::tdx;
  launch_ = match(info, pck, tdx ? std::optional{svn_of(quote_->td.tee_tcb_svn())} : std::nullopt);
  if (tdx && quote_->td.has_15()) current_ = match(info, pck, svn_of(quote_->td.tee_tcb_svn2()));
  if (launch_.platform != nullptr) {
    recorder_.pass(CheckId::dcap_tcb_level);
  } else {
    recorder_.fail(CheckId::dcap_tcb_level, "one of the " + std::to_string(info.levels.size()) + " levels",
                   std::string{to_text(TcbStatus::not_supported)},
                   below_lowest(info, pck, tdx ? std::optional{svn_of(quote_->td.tee_tcb_svn())} : std::nullopt));
  }

  const TcbStatus status = final_status();
  if (recorder_.may_run(CheckId::dcap_tcb_status)) {
    if (status == TcbStatus::not_supported) {
      recorder_.fail(CheckId::dcap_tcb_status, "a status of Intel's list", std::string{to_text(status)},
                     current_ && launch_.complete() ? "of the present TDX module, TEE_TCB_SVN2" : "");
    } else {
      recorder_.pass(CheckId::dcap_tcb_status, std::string{to_text(status)});
    }
  }
  if (recorder_.may_run(CheckId::dcap_tcb_revoked)) {
    require(CheckId::dcap_tcb_revoked, status != TcbStatus::revoked, "not Revoked", to_text(status),
            status == TcbStatus::revoked ? whose_revoked() : std::string{});
  }
  if (current_) relaunch();
  // A status that a stranger's document gives is no status.
  if (collateral_is_authentic()) write_tcb_summary(status);
}

/// Launch status, turned into "relaunch" by the present one; as in Intel's library a present SVN that cannot be judged
/// spoils the whole.
TcbStatus Judge::final_status() const {
  const TcbStatus launch = status_of(launch_, qe_level_);
  if (!current_ || launch == TcbStatus::not_supported) return launch;
  const TcbStatus current = status_of(*current_, qe_level_);
  return current == TcbStatus::not_supported ? current : with_relaunch(launch, current);
}

std::string Judge::whose_revoked() const {
  const auto revoked = [](const auto* level) { return level != nullptr && level->status == TcbStatus::revoked; };
  if (revoked(launch_.platform)) return "the platform's TCB level";
  if (revoked(launch_.module)) return "the TDX module's level";
  return revoked(qe_level_) ? "the quoting enclave's level" : "";
}

void Judge::relaunch() {
  if (!recorder_.may_run(CheckId::tdx_relaunch_current)) return;
  const std::string_view missing = current_->platform == nullptr                             ? "no TCB level"
                                   : current_->needs_module && current_->identity == nullptr ? "no module identity"
                                                                                             : "no module level";
  require(CheckId::tdx_relaunch_current, current_->complete(), "a known TCB level", current_->complete() ? "" : missing,
          "TEE_TCB_SVN2");
}

bool Judge::collateral_is_authentic() const {
  return set_->tcb_info && set_->qe_identity && recorder_.passed(CheckId::dcap_tcb_info_signature) &&
         recorder_.passed(CheckId::dcap_tcb_info_chain) && recorder_.passed(CheckId::dcap_qe_identity_signature) &&
         recorder_.passed(CheckId::dcap_qe_identity_chain);
}

void Judge::write_tcb_summary(TcbStatus status) {
  TcbSummary summary;
  summary.status = to_text(status);
  // A policy's minimum must hold for both documents.
  summary.evaluation_number = std::min(set_->tcb_info->evaluation_number, set_->qe_identity->evaluation_number);
  if (launch_.complete() && qe_level_ != nullptr) {
    summary.date = std::min(launch_.platform->date, qe_level_->date);
    add_advisories(summary.advisory_ids, launch_.platform->advisory_ids);
    if (launch_.module != nullptr) {
      summary.date = std::min(*summary.date, launch_.module->date);
      add_advisories(summary.advisory_ids, launch_.module->advisory_ids);
    }
    add_advisories(summary.advisory_ids, qe_level_->advisory_ids);
  }
  verdict_.tcb = std::move(summary);
  if (current_) {
    verdict_.claims.push_back(
        {.name = "tcb_status_current", .value = std::string{to_text(status_of(*current_, qe_level_))}});
  }
}

}  // namespace attestry::attestation::dcap
