#include "attestation/dcap/tcb_status.h"

#include <algorithm>
#include <array>

namespace attestry::attestation::dcap {
namespace {

struct Name {
  TcbStatus status;
  std::string_view text;
};
constexpr std::array<Name, 10> kNames = {{
    {TcbStatus::up_to_date, "UpToDate"},
    {TcbStatus::sw_hardening_needed, "SWHardeningNeeded"},
    {TcbStatus::configuration_needed, "ConfigurationNeeded"},
    {TcbStatus::configuration_and_sw_hardening_needed, "ConfigurationAndSWHardeningNeeded"},
    {TcbStatus::out_of_date, "OutOfDate"},
    {TcbStatus::out_of_date_configuration_needed, "OutOfDateConfigurationNeeded"},
    {TcbStatus::revoked, "Revoked"},
    {TcbStatus::td_relaunch_advised, "TDRelaunchAdvised"},
    {TcbStatus::td_relaunch_advised_configuration_needed, "TDRelaunchAdvisedConfigurationNeeded"},
    {TcbStatus::not_supported, "TCB_NOT_SUPPORTED"},
}};

bool allowed(TcbStatus status, StatusSource source) noexcept {
  switch (source) {
    case StatusSource::platform:
      return status <= TcbStatus::revoked;
    case StatusSource::qe:
      return status == TcbStatus::up_to_date || status == TcbStatus::configuration_needed ||
             status == TcbStatus::out_of_date || status == TcbStatus::out_of_date_configuration_needed ||
             status == TcbStatus::revoked;
    case StatusSource::module:
      return status == TcbStatus::up_to_date || status == TcbStatus::out_of_date || status == TcbStatus::revoked;
  }
  return false;
}

bool needs_configuration(TcbStatus status) noexcept {
  return status == TcbStatus::configuration_needed || status == TcbStatus::configuration_and_sw_hardening_needed ||
         status == TcbStatus::out_of_date_configuration_needed ||
         status == TcbStatus::td_relaunch_advised_configuration_needed;
}

}  // namespace

std::string_view to_text(TcbStatus status) noexcept {
  for (const Name& name : kNames) {
    if (name.status == status) return name.text;
  }
  return "unknown";
}

std::optional<TcbStatus> tcb_status_from(std::string_view text, StatusSource source) noexcept {
  for (const Name& name : kNames) {
    if (name.text == text && allowed(name.status, source)) return name.status;
  }
  return std::nullopt;
}

TcbStatus converge(TcbStatus platform, std::span<const TcbStatus> components) noexcept {
  const auto any = [&](TcbStatus s) { return std::ranges::find(components, s) != components.end(); };
  if (any(TcbStatus::revoked)) return TcbStatus::revoked;
  if (!any(TcbStatus::out_of_date)) return platform;
  if (platform == TcbStatus::up_to_date || platform == TcbStatus::sw_hardening_needed) return TcbStatus::out_of_date;
  if (platform == TcbStatus::configuration_needed || platform == TcbStatus::configuration_and_sw_hardening_needed) {
    return TcbStatus::out_of_date_configuration_needed;
  }
  return platform;
}

TcbStatus with_relaunch(TcbStatus launch, TcbStatus current) noexcept {
  const bool stale = launch == TcbStatus::out_of_date || launch == TcbStatus::out_of_date_configuration_needed;
  const bool patched = current == TcbStatus::up_to_date || current == TcbStatus::sw_hardening_needed ||
                       current == TcbStatus::configuration_needed ||
                       current == TcbStatus::configuration_and_sw_hardening_needed;
  if (!stale || !patched) return launch;
  return needs_configuration(launch) || needs_configuration(current)
             ? TcbStatus::td_relaunch_advised_configuration_needed
             : TcbStatus::td_relaunch_advised;
}

}  // namespace attestry::attestation::dcap
