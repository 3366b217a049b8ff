#include "app/keymanager_settings.h"

namespace attestry::app {
namespace {

constexpr SettingInfo kKeyManager[] = {
    {"keymanager.listen", "", "the key manager for workloads: address; empty: not offered"},
};

}  // namespace

std::span<const SettingInfo> keymanager_setting_infos() noexcept { return kKeyManager; }

KeyManagerSettings read_keymanager_settings(const Settings& settings, std::vector<base::Error>& /*mistakes*/) {
  KeyManagerSettings out;
  out.listen = settings.text("keymanager.listen");
  return out;
}

}  // namespace attestry::app
