// Everything that a release hands out, and the only function that seals it (FORMATS 4).
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "crypto/secret.h"
#include "governance/grant.h"
#include "keys/derivation.h"

namespace attestry::provision {

struct Release {
  std::string instance;  ///< 32 hex digits
  std::string certificate_chain_pem;
  std::vector<keys::DerivedKey> keys;
  std::vector<std::pair<std::uint32_t, keys::DerivedKey>> former_keys{};  ///< epoch and key, oldest first
  crypto::Secret configuration;                                           ///< expanded; empty when the app has none
  std::string configuration_id;                                           ///< hex of the template's SHA-256
  std::vector<std::pair<std::string, crypto::Secret>> secrets;
  crypto::Secret leaf_key;  ///< k of the leaf's HMACs (FORMATS 6)
  base::UtcTime expires;
};

/// JSON of docs/formats/reply.md, as secret bytes.
crypto::Secret to_json(const Release& release, const governance::Grant& grant);
/// attestation::seal_reply of the release; consumes the grant and takes the
/// recipient from it. A release without a grant does not compile.
base::Result<base::Bytes> seal(governance::Grant&& grant, const Release& release);
}  // namespace attestry::provision
