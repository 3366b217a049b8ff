// What makes a registry a server of a key service: its contract, its operator, and the master's way from one server to
// the next (docs/formats/registry.md, "Onboarding").
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "app/registry_settings.h"
#include "chain/rpc.h"
#include "net/client.h"
#include "provision/registry_kms_operator.h"
#include "provision/registry_onboarding.h"
#include "provision/registry_pki_service.h"
#include "provision/registry_receiver.h"

namespace attestry::app {

/// All outlives the KeyService.
struct KeyServiceParts {
  state::Store& store;
  audit::Log& log;
  const appraisal::Appraiser& appraiser;
  const governance::Registry& registry;
  base::Tenant tenant;  ///< under whose name policies are stored that the contract names
  chain::ChainReader& reader;
  chain::ChainReader& strangers;  ///< the same chain, for what anybody may cause
  const keys::RegistryMaster& master;
  keys::ReceivedMaster* received = nullptr;  ///< of kms "onboard": the same master
  provision::RegistryPkiService& pki;
  const attestation::Policy& policy;
  const base::Clock& clock;
  const governance::ContractProofs* proofs = nullptr;  ///< null: a quorum's word is enough
  std::function<bool(std::move_only_function<void()>&)> run_strangers;
  std::function<bool(std::move_only_function<void()>&)> run_waiting;
};

struct KeyService {
  std::unique_ptr<governance::KmsContract> contract;
  std::unique_ptr<provision::RegistryKmsOperator> kms_operator;
  std::unique_ptr<net::HttpClient> http;                  ///< with `receiver`
  std::unique_ptr<provision::RegistryReceiver> receiver;  ///< of kms "onboard"
  std::unique_ptr<provision::RegistryOnboarding> onboarding;

  /// `said.kms_contract` is there.
  static base::Result<std::unique_ptr<KeyService>> open(const Settings& settings, const RegistrySettings& said,
                                                        KeyServiceParts parts);
};

}  // namespace attestry::app
