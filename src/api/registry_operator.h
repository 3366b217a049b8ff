// The operator's side of the registry's later generation: who runs this key server, where its master comes from, and
// how it gives it to another one (docs/formats/registry.md, "Operators of a key server" and "Onboarding").
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/client.h"
#include "net/router.h"
#include "provision/registry_channel.h"
#include "provision/registry_kms_operator.h"
#include "provision/registry_onboarding.h"
#include "provision/registry_receiver.h"

namespace attestry::api {

/// Of a request that is signed by the operator: 130 hex digits over provision::kms_operator_digest().
inline constexpr std::string_view kOperatorSignatureHeader = "X-Attestry-Operator-Signature";

/// Everything outlives the router's server.
struct RegistryOperatorDeps {
  provision::RegistryKmsOperator& kms_operator;
  provision::RegistryReceiver* receiver = nullptr;  ///< null: this server's master comes from elsewhere
  net::HttpTransport* http = nullptr;               ///< with `receiver`: to the server that gives its master
  const provision::RegistryOnboarding& onboarding;
  /// Runs what waits for the chain or for another server, on threads of its own; false when too many wait.
  std::function<bool(std::move_only_function<void()>&)> run_waiting;
  bool old_status = false;                        ///< status codes of the first servers
  provision::ChannelReceiver* channel = nullptr;  ///< with `receiver`: by an attested session instead of the chain
  /// As in RegistryAdminDeps: the names of the operators' listener, and its own port.
  std::vector<std::string> hosts{};
  std::function<unsigned()> own_port{};
};

/// Role::bootstrap: GET and POST /api/operator/auth; with a receiver also GET /api/operator/onboard_request/{operator},
/// POST /api/operator/onboard and POST /api/operator/generate. Role::registry: GET /api/attested/onboard/{id}.
base::Status register_registry_operator(net::Router& router, const RegistryOperatorDeps& deps);

}  // namespace attestry::api
