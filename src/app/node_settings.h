// What the settings node.* say.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "app/settings.h"
#include "base/bytes.h"
#include "cluster/faults.h"

namespace attestry::app {

struct NodeSettings {
  std::string listen{};   ///< empty: this server is no node
  std::string address{};  ///< at which others reach it; empty: where it listens
  std::string app{}, servers{};
  std::vector<std::string> server_dialects{};
  std::vector<std::string> near_accounts{};  ///< "dao.near" or "*.vaults.near": whose keys those servers may have
  std::string attestation{};
  std::string import{},
      import_key{};  ///< files: the export of a lost node that this one is to be, and its holder's key
  std::vector<base::FixedBytes<32>> operators{};
  std::uint32_t id = 0;
  std::size_t operators_needed = 1;
  unsigned sessions = 64;
  cluster::Faults faults{};  ///< none outside of the simulated realm
};

std::span<const SettingInfo> node_setting_infos() noexcept;
/// Appends every mistake; what is returned is good only without any.
NodeSettings read_node_settings(const Settings& settings, std::vector<base::Error>& mistakes);

}  // namespace attestry::app
