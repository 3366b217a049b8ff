// One certificate authority per app, from a derived key; a short certificate per instance (RFC 5280).
#pragma once
#include <map>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/random.h"
#include "governance/grant.h"
#include "keys/derivation.h"

namespace attestry::provision {

/// Label of the app CA's derived key: never released, whatever a template asks for.
inline constexpr std::string_view kAppCaLabel = "app-ca";

struct InstanceCertificate {
  std::string chain_pem;  ///< instance certificate, then the app's CA certificate
  base::Bytes leaf_der;
  base::UtcTime not_after;
};
/// Issues from the CAs of apps. Thread-safe.
class Issuer {
 public:
  /// A CA is computed from its key at its first use and kept; beyond `max_kept` the others are dropped.
  explicit Issuer(std::size_t max_kept = 256) : max_kept_(max_kept) {}

  /// The app's CA certificate is a function of the key, audience, tenant and app, so every replica makes the same one.
  base::Result<base::Bytes> app_ca_certificate(const governance::Grant& grant, const crypto::Secret& app_root,
                                               std::string_view audience) const;
  /// For the key that the evidence binds (grant.spki()); not valid before now - 60 s, not longer than the grant and at
  /// most 24 h. SAN URI attestry://<audience>/<tenant>/<app>/<instance>; key usage digitalSignature; EKU server and
  /// client auth.
  base::Result<InstanceCertificate> issue(const governance::Grant& grant, const crypto::Secret& app_root,
                                          std::string_view audience, std::string_view instance, base::UtcTime now,
                                          crypto::Random& random) const;

 private:
  struct Authority;
  using Shared = std::shared_ptr<const Authority>;
  base::Result<Shared> authority(const governance::Grant& grant, const crypto::Secret& app_root,
                                 std::string_view audience) const;

  const std::size_t max_kept_;
  mutable base::Mutex mutex_;
  /// By a MAC of the URI under the app root, so that another epoch or root never finds it.
  mutable std::map<base::Digest32, Shared> kept_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::provision
