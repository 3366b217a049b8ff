// A keystore that has its masters from NEAR's MPC network (keystore.master = ckd): the settings that say so, and the
// source of masters made of them (docs/how-to/run-a-keystore.md).
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "app/keystore_settings.h"
#include "app/service.h"
#include "app/settings.h"
#include "attestation/binding.h"
#include "chain/near_rpc.h"
#include "keys/ckd.h"
#include "net/client.h"
#include "secrets/keystore_masters_source.h"

namespace attestry::app {

std::span<const SettingInfo> keystore_registration_setting_infos() noexcept;

/// Whether keystore.master asks for it.
bool is_registered_keystore(const Settings& settings);
/// Whether it has them of the nodes of keys.source = threshold.
bool is_keystore_of_nodes(const Settings& settings);

/// Appends every mistake: what is missing of it where it is asked for, and what is of no use where it is not. Reads the
/// files that the settings name, makes and asks nothing.
void check_keystore_registration(const Settings& settings, std::vector<base::Error>& mistakes);

class KeystoreRegistration {
 public:
  /// Makes the key that is registered: in memory where there is evidence, in a file otherwise. What is given outlives
  /// it, and it outlives its source. `settings` are without mistakes.
  static base::Result<std::unique_ptr<KeystoreRegistration>> open(const Settings& settings, const ServiceParts& parts,
                                                                  const KeystoreSettings& said,
                                                                  net::HttpTransport& http,
                                                                  chain::near::ChainReader& reader);
  std::shared_ptr<secrets::MasterSource> source() const noexcept { return source_; }
  /// The key that is registered, with which the DAO is told about vaults.
  base::Result<chain::near::SecretKey> key() const;

 private:
  base::Status open_attester(const Settings& settings, const ServiceParts& parts, net::HttpTransport& http);
  base::Status open_key(const Settings& settings, const ServiceParts& parts);

  chain::near::KeyKind kind_ = chain::near::KeyKind::ed25519;
  crypto::Secret seed_;  ///< of the key that is registered
  std::shared_ptr<void> simulated_;
  std::unique_ptr<attestation::Attester> made_;
  attestation::Attester* attester_ = nullptr;  ///< null: no TEE
  std::unique_ptr<chain::near::Sender> sender_;
  std::shared_ptr<secrets::MasterSource> source_;
};

}  // namespace attestry::app
