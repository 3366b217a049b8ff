// What the settings of section `keystore` say, read in one place: a server starts with it, and `config check` and
// `doctor` name everything that is wrong with it.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "api/keystore_routes.h"
#include "app/settings.h"
#include "chain/near_rpc.h"
#include "crypto/secret.h"
#include "secrets/keystore_service.h"
#include "secrets/keystore_wallet_service.h"

namespace attestry::app {

std::span<const SettingInfo> keystore_setting_infos() noexcept;

struct KeystoreSettings {
  std::string listen{};  ///< empty: not offered
  api::KeystoreRouteRules routes{};
  secrets::KeystoreRules rules{};
  secrets::KeystoreEvidenceRules evidence{};  ///< an empty audience is the log's origin
  std::optional<chain::near::AccountId> contract{};
  chain::near::ReaderOptions chain{};  ///< its clock is the system's
  secrets::keystore::AccessRules access{};
  std::chrono::milliseconds chain_ttl{1000};
  std::int64_t recheck_seconds = 60;
  std::string published_key_method{};  ///< empty: not compared
  secrets::KeystoreWalletRules wallets{};
  std::optional<chain::near::AccountId> dao{};          ///< nothing: every vault is served
  std::optional<chain::near::AccountId> dao_account{};  ///< nothing: the DAO's own
  std::optional<chain::near::AccountId> mpc{};
  std::optional<chain::near::AccountId> published_key_contract{};  ///< there when the method is
};

/// Appends every mistake; what is returned is good only without any. Reads the files that the settings name, makes and
/// asks nothing.
KeystoreSettings read_keystore_settings(const Settings& settings, std::vector<base::Error>& mistakes);
/// The first mistake.
base::Result<KeystoreSettings> read_keystore_settings(const Settings& settings);

/// A file of few bytes that nobody else may read, without white space at its end (which is an editor's). Whoever asks
/// overwrites it. Errors: `configuration` for one that is not there, or that others may read.
base::Result<std::string> read_secret_file(const std::string& path);
/// 32 bytes of keystore.master file:PATH: 64 hex digits, alone or as KEYSTORE_MASTER_SECRET=….
base::Result<crypto::Secret> read_keystore_master(const Settings& settings);
/// Ed25519 seed of keystore.private_key; nullopt when there is none.
base::Result<std::optional<crypto::Secret>> read_keystore_private_key(const Settings& settings);
/// Of the file that a setting names; nullopt when it names none.
base::Result<std::optional<chain::near::SecretKey>> read_near_key(const Settings& settings, std::string_view name);

}  // namespace attestry::app
