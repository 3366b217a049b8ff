// The HTTP API in the shapes of Vault: KV version 2, transit, tokens, policies and namespaces, so that clients of Vault
// work unmodified (docs/how-to/use-vault-clients.md). The rules are those of the room secrets.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "api/fair_lane.h"
#include "audit/log.h"
#include "base/result.h"
#include "crypto/random.h"
#include "net/router.h"
#include "secrets/kv_store.h"
#include "secrets/namespaces.h"
#include "secrets/secret_store.h"
#include "secrets/tokens.h"
#include "secrets/tokens_login.h"
#include "secrets/transit.h"
#include "state/store.h"

namespace attestry::api {

/// What handlers use; everything outlives the server. Handlers run on several threads.
struct VaultDeps {
  state::Store& store;
  audit::Log& log;
  secrets::SecretStore& secrets;
  secrets::Namespaces& namespaces;
  secrets::Tokens& tokens;
  const secrets::KvStore& kv;
  const secrets::Transit& transit;
  const secrets::AttestedLogin& login;
  crypto::Random& random;
  const base::Clock& clock;
  FairLane& lane;                ///< for RSA keys, large batches, second tries; stopped while the rest still lives
  std::string version;           ///< of this program
  bool bind_tokens = true;       ///< tokens of logins are good only over TLS with a certificate of the attested key
  std::int64_t default_ttl = 0;  ///< seconds, of tokens whose maker names none
};

/// Vault's routes on the role vault, and POST /v1/vault/tokens for the administrator.
base::Status register_vault(net::Router& router, const VaultDeps& deps);

}  // namespace attestry::api
