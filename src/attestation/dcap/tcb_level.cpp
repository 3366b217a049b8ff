#include "attestation/dcap/tcb_level.h"

#include <algorithm>
#include <array>
#include <span>

namespace attestry::attestation::dcap {
namespace {

/// Each component by itself, never the 16 bytes as one number.
bool reaches(const Svns& have, const Svns& wanted, std::size_t from) noexcept {
  for (std::size_t i = from; i < have.size(); ++i) {
    if (have[i] < wanted[i]) return false;
  }
  return true;
}

}  // namespace

const TcbLevel* match_level(const TcbInfo& info, const PckExtension& pck,
                            const std::optional<TeeTcbSvn>& tdx) noexcept {
  // Components 0 and 1 are the module's own SVN and version; where it has an identity, that identity judges them.
  const std::size_t from = tdx && module_major(*tdx) > 0 ? 2 : 0;
  const auto found = std::ranges::find_if(info.levels, [&](const TcbLevel& level) {
    return reaches(pck.components, level.sgx, 0) && pck.pcesvn >= level.pcesvn &&
           (!tdx || reaches(*tdx, level.tdx, from));
  });
  return found == info.levels.end() ? nullptr : &*found;
}

TcbMatch match(const TcbInfo& info, const PckExtension& pck, const std::optional<TeeTcbSvn>& tdx) noexcept {
  TcbMatch out;
  out.platform = match_level(info, pck, tdx);
  out.needs_module = tdx && module_major(*tdx) > 0;
  if (!out.needs_module) return out;
  out.identity = info.module_identity(module_major(*tdx));
  if (out.identity != nullptr) out.module = find_isv_level(out.identity->levels, module_minor(*tdx));
  return out;
}

TcbStatus status_of(const TcbMatch& match, const IsvLevel* qe) noexcept {
  if (!match.complete() || qe == nullptr) return TcbStatus::not_supported;
  std::array<TcbStatus, 2> components = {qe->status, TcbStatus::up_to_date};
  if (match.module != nullptr) components[1] = match.module->status;
  return converge(match.platform->status, std::span{components}.first(match.module != nullptr ? 2 : 1));
}

}  // namespace attestry::attestation::dcap
