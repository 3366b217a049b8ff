// What the settings of section `keymanager` say, read in one place: a server starts with it, and `config check` and
// `doctor` name everything that is wrong with it.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "app/settings.h"

namespace attestry::app {

std::span<const SettingInfo> keymanager_setting_infos() noexcept;

struct KeyManagerSettings {
  std::string listen{};  ///< empty: not offered
};

/// Appends every mistake; what is returned is good only without any. Reads the files that the settings name, makes and
/// asks nothing.
KeyManagerSettings read_keymanager_settings(const Settings& settings, std::vector<base::Error>& mistakes);

}  // namespace attestry::app
