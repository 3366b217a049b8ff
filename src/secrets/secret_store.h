// Secrets that operators deposit for apps: sealed at rest per tenant, released only under a Grant of an app whose
// approvals name them. Grows into the keystore with versions and access rules.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "governance/grant.h"
#include "state/store.h"

namespace attestry::secrets {

struct SecretInfo {
  base::Digest32 id{};  ///< content id: SHA-256 of the sealed bytes, so that a short value cannot be guessed from it
  std::string name;     ///< [a-z0-9_.-]{1,63}; what templates refer to
  base::AppRef app;
  std::size_t size = 0;
  base::UtcTime stored;
};
struct OpenSecret {
  SecretInfo info;
  crypto::Secret value;
};

/// Thread-safe.
class SecretStore {
 public:
  /// `sealing` wraps one random key per tenant, made on first use.
  SecretStore(state::Store& store, crypto::Secret sealing, crypto::Random& random);
  /// At most 64 KiB, and 64 secrets per app. Replacing a value gives it a new id, which needs a new approval.
  base::Result<SecretInfo> put(const base::Tenant& tenant, const base::AppRef& app, std::string_view name,
                               const crypto::Secret& value, base::UtcTime now, base::Deadline deadline);
  base::Result<std::vector<SecretInfo>> list(const base::Tenant& tenant, const base::AppRef& app) const;
  /// All secrets that the grant's app may have now: approved, not revoked, stored for that app.
  base::Result<std::vector<OpenSecret>> release(const governance::Grant& grant) const;

 private:
  state::Store& store_;
  crypto::Secret sealing_;
  crypto::Random& random_;
};

}  // namespace attestry::secrets
