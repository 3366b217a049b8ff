// TCB statuses and how Intel's Quote Verification Library of 2026 merges them (attestation_checks 1.2, checks 11 to
// 14).
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace attestry::attestation::dcap {

enum class TcbStatus : std::uint8_t {
  up_to_date,
  sw_hardening_needed,
  configuration_needed,
  configuration_and_sw_hardening_needed,
  out_of_date,
  out_of_date_configuration_needed,
  revoked,
  td_relaunch_advised,
  td_relaunch_advised_configuration_needed,
  not_supported,  ///< no level matched
};

/// "UpToDate", … as Intel writes them; "TCB_NOT_SUPPORTED" for not_supported.
std::string_view to_text(TcbStatus status) noexcept;

/// Which statuses a document may name: levels of TCB info, of a QE identity, of a TDX module.
enum class StatusSource : std::uint8_t { platform, qe, module };
/// nullopt for a text that Intel's library does not know in this place either.
std::optional<TcbStatus> tcb_status_from(std::string_view text, StatusSource source) noexcept;

/// The platform's status made worse by its components (QE, TDX module): OutOfDate pulls a platform that is otherwise
/// patched to OutOfDate, keeping that configuration is needed; Revoked overrides everything.
TcbStatus converge(TcbStatus platform, std::span<const TcbStatus> components) noexcept;

/// For TD report 1.5: the status of the TD at launch, with its present status beside it. Only an out-of-date launch
/// under a module that has been updated since becomes "relaunch"; everything else stays as launched.
TcbStatus with_relaunch(TcbStatus launch, TcbStatus current) noexcept;

}  // namespace attestry::attestation::dcap
