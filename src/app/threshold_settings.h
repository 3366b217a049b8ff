// Where the keys of apps come from: the settings keys.source and threshold.* (docs/reference/configuration.md).
#pragma once
#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "app/settings.h"
#include "base/ids.h"
#include "curves/bls12_381.h"

namespace attestry::app {

std::span<const SettingInfo> threshold_setting_infos() noexcept;

struct ThresholdSettings {
  bool used = false;                                  ///< keys.source = threshold
  std::vector<std::string> nodes{};                   ///< HOST:PORT of their channels
  std::string master_public_key{};                    ///< "bls12381g2:…"
  std::optional<curves::bls::G2::Encoded> encoded{};  ///< the same; a point that is checked
  std::optional<base::AppRef> app{};                  ///< whose approvals say which software nodes run
  std::string attestation{};                          ///< "none", "simulated:SEEDFILE" or a URL
  std::chrono::seconds patience{5};                   ///< for one derivation
};

/// Appends every mistake; what is returned is good only without any. Asks nothing.
ThresholdSettings read_threshold_settings(const Settings& settings, std::vector<base::Error>& mistakes);

}  // namespace attestry::app
