// The keystore's dialect (docs/formats/keystore-wire.md): three generations on one listener.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "api/keystore_wire.h"
#include "net/metrics.h"
#include "net/rate_limit.h"
#include "net/router.h"
#include "secrets/keystore_service.h"
#include "secrets/keystore_wallet_service.h"

namespace attestry::api {

/// Whose health document is shown, and whose words a refused header gets.
enum class KeystoreGeneration : std::uint8_t { v0, v1, v2 };

struct KeystoreRouteRules {
  KeystoreTokens tokens{};
  KeystoreGeneration generation = KeystoreGeneration::v0;
  /// 401 before it is ready and 500 for a chain that does not answer, as the original has it; else both are 503.
  bool old_status = false;
  /// Replies to requests that bring their own evidence go out with nothing but the transport around them.
  bool plaintext_replies = false;
  bool raw_seeds = false;  ///< /decrypt-raw: any worker may open any seed
  /// Sessions are of use over the connection alone that they were made on, where TLS ends here.
  bool bind_channel = true;
  unsigned token_rate = 0;     ///< requests per second and token; 0: no limit
  unsigned owner_rate = 0;     ///< and owner of secrets
  unsigned stranger_rate = 0;  ///< and address without a token; an IPv6 /64 counts as one
  unsigned register_rate = 0;  ///< challenges and registrations per second and token
};

/// All of it outlives the router.
struct KeystoreRouteDeps {
  secrets::KeystoreService& service;
  crypto::Random& random;
  const base::Clock& clock;
  net::Metrics& metrics;
  KeystoreRouteRules rules;
  secrets::KeystoreWallets* wallets = nullptr;  ///< null: wallets sign nothing here
  secrets::KeystoreVaults* vaults = nullptr;    ///< null: no DAO says which vaults are served
  /// As of KeystoreParts; needed with `vaults`.
  std::function<bool(std::string_view, std::move_only_function<void()>&)> run_waiting{};
};

/// Adds the routes of Role::keystore.
base::Status register_keystore(net::Router& router, KeystoreRouteDeps deps);

}  // namespace attestry::api
