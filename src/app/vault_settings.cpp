#include "app/vault_settings.h"

namespace attestry::app {
namespace {

constexpr SettingInfo kVault[] = {
    {"vault.listen", "", "the HTTP API in the shapes of Vault: address; empty: not offered"},
};

}  // namespace

std::span<const SettingInfo> vault_setting_infos() noexcept { return kVault; }

VaultSettings read_vault_settings(const Settings& settings, std::vector<base::Error>& /*mistakes*/) {
  VaultSettings out;
  out.listen = settings.text("vault.listen");
  return out;
}

}  // namespace attestry::app
