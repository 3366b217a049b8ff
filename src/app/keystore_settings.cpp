#include "app/keystore_settings.h"

namespace attestry::app {
namespace {

constexpr SettingInfo kKeystore[] = {
    {"keystore.listen", "", "the keystore for workers and coordinators: address; empty: not offered"},
};

}  // namespace

std::span<const SettingInfo> keystore_setting_infos() noexcept { return kKeystore; }

KeystoreSettings read_keystore_settings(const Settings& settings, std::vector<base::Error>& /*mistakes*/) {
  KeystoreSettings out;
  out.listen = settings.text("keystore.listen");
  return out;
}

}  // namespace attestry::app
