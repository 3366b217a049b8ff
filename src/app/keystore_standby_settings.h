// What the settings keystore.standby_* say.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "app/settings.h"

namespace attestry::app {

struct KeystoreStandbySettings {
  std::string role{};  ///< "primary", "standby"; empty: this keystore is the only one
  std::string listen{}, peer{};
  std::string app{};
  std::string attestation{};
  std::chrono::seconds poll{1}, takeover{0}, sync_patience{5}, session{300};
  bool sync = false;
};

/// Appends every mistake; what is returned is good only without any.
KeystoreStandbySettings read_keystore_standby_settings(const Settings& settings, std::vector<base::Error>& mistakes);

}  // namespace attestry::app
