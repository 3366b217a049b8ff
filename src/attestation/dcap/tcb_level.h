// Which TCB level a platform reaches, and what status comes out (attestation_checks 1.2, checks 11 to 14).
#pragma once
#include <optional>

#include "attestation/dcap/pck_extension.h"
#include "attestation/dcap/tcb_info.h"
#include "attestation/dcap/tcb_status.h"

namespace attestry::attestation::dcap {

/// TEE_TCB_SVN or TEE_TCB_SVN2 of a TD report.
using TeeTcbSvn = Svns;
/// Major and minor version of the TDX module; major 0 is the TDX 1.0 module, which has no identity of its own.
inline std::uint8_t module_major(const TeeTcbSvn& svn) noexcept { return svn[1]; }
inline std::uint8_t module_minor(const TeeTcbSvn& svn) noexcept { return svn[0]; }

/// The first level, highest first, whose every SVN the platform reaches: all 16 SGX components, PCESVN and (TDX) the
/// TDX components; the first two of these are skipped when the module has an identity of its own. nullptr: none.
const TcbLevel* match_level(const TcbInfo& info, const PckExtension& pck, const std::optional<TeeTcbSvn>& tdx) noexcept;

/// What was matched for one set of SVNs. Pointers into the TcbInfo.
struct TcbMatch {
  const TcbLevel* platform = nullptr;
  bool needs_module = false;                    ///< TDX with a module that has an identity of its own
  const TdxModuleIdentity* identity = nullptr;  ///< when needs_module
  const IsvLevel* module = nullptr;             ///< when needs_module
  bool complete() const noexcept { return platform != nullptr && (!needs_module || module != nullptr); }
};
TcbMatch match(const TcbInfo& info, const PckExtension& pck, const std::optional<TeeTcbSvn>& tdx) noexcept;

/// not_supported when the match is not complete or there is no QE level.
TcbStatus status_of(const TcbMatch& match, const IsvLevel* qe) noexcept;

}  // namespace attestry::attestation::dcap
