// What the settings of section `registry` say, read in one place: a server starts with it, and `config check` and
// `doctor` name everything that is wrong with it.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "app/settings.h"
#include "app/storage_credentials.h"
#include "chain/quorum.h"
#include "curves/secp256k1.h"
#include "provision/registry_provisioner.h"

namespace attestry::app {

struct RegistrySettings {
  bool offered = false;      ///< somebody may reach the dialect
  bool on_chain = true;      ///< registry.governance
  bool extended = false;     ///< registry.identity
  bool v1_requests = false;  ///< registry.admin_v1
  bool first_generation = false;
  bool forget_floor = false;
  bool storage_proofs = false;
  provision::RegistryRules rules{};
  chain::QuorumOptions chain{};  ///< its clock is the system's

  /// nullopt: whoever deploys a contract is served, or with `contract_lists_apps` those that the key service's lists.
  std::optional<std::set<curves::Address>> contracts{};
  bool contract_lists_apps = false;
  std::optional<curves::Address> kms_contract{};
  std::vector<curves::Address> operators{};

  std::string storage_root{};  ///< empty: beneath the data folder
  std::string storage_ca{};    ///< PEM; empty: the system's roots
  bool storage_private = false;
  bool seed_layout = false;
  std::shared_ptr<const StorageCredentials> storage_credentials{};  ///< never null once read
  std::uint64_t storage_cache_bytes = 0;
  std::chrono::seconds storage_deadline{0};

  std::string proxy_ca{};  ///< PEM
  bool old_status = false;
  bool legacy_maa = false;
  bool believe_headers_of_anybody = false;
};

/// Appends every mistake; what is returned is good only without any. Reads the files that the settings name, makes and
/// asks nothing.
RegistrySettings read_registry_settings(const Settings& settings, std::vector<base::Error>& mistakes);

/// The first mistake, as first_of() says it.
base::Result<RegistrySettings> read_registry_settings(const Settings& settings);

}  // namespace attestry::app
