// What the settings of section `vault` say, read in one place: a server starts with it, and `config check` and `doctor`
// name everything that is wrong with it.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "app/settings.h"

namespace attestry::app {

std::span<const SettingInfo> vault_setting_infos() noexcept;

struct VaultSettings {
  std::string listen{};  ///< empty: not offered
  std::int64_t token_seconds = 0;
  std::int64_t login_seconds = 0;
  bool bind_tokens = true;
};

/// Appends every mistake; what is returned is good only without any. Reads the files that the settings name, makes and
/// asks nothing.
VaultSettings read_vault_settings(const Settings& settings, std::vector<base::Error>& mistakes);

}  // namespace attestry::app
