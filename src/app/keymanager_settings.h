// What the settings of section `keymanager` say, read in one place: a server starts with it, and `config check` and
// `doctor` name everything that is wrong with it.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "app/settings.h"
#include "chain/quorum.h"
#include "provision/keymanager.h"
#include "provision/keymanager_identity.h"

namespace attestry::app {

std::span<const SettingInfo> keymanager_setting_infos() noexcept;

struct KeyManagerSettings {
  std::vector<std::string> listen{};  ///< empty: not offered
  std::string host_listen{};          ///< empty: nobody can bootstrap it
  std::string host_ca{};              ///< PEM
  bool on_chain = false;              ///< keymanager.contract
  provision::KeyManagerOptions rules{};
  provision::KeyManagerIdentityOptions identities{};  ///< without the old rule's question to DNS
  bool reverse_dns = false;
  bool any_tag = false;
  bool bare_tags = false;
  bool forget_floor = false;     ///< registry.floor, which is of every chain that is read
  chain::QuorumOptions chain{};  ///< its clock is the system's
  std::string attestation{};     ///< "none", "simulated:SEEDFILE" or a URL
};

/// Appends every mistake; what is returned is good only without any. Reads the files that the settings name, makes and
/// asks nothing.
KeyManagerSettings read_keymanager_settings(const Settings& settings, std::vector<base::Error>& mistakes);

}  // namespace attestry::app
