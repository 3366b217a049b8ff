// One certificate authority per app, from a derived key; a short certificate per instance (RFC 5280).
#pragma once
#include <string>

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
/// The app's CA certificate is a function of the key, audience, tenant and app, so every replica makes the same one.
base::Result<base::Bytes> app_ca_certificate(const governance::Grant& grant, const crypto::Secret& app_root,
                                             std::string_view audience);
/// For the key that the evidence binds (grant.spki()); not valid before now - 60 s, not longer than the grant and at
/// most 24 h. SAN URI attestry://<audience>/<tenant>/<app>/<instance>; key usage digitalSignature; EKU server and
/// client auth.
base::Result<InstanceCertificate> issue_instance_certificate(const governance::Grant& grant,
                                                             const crypto::Secret& app_root, std::string_view audience,
                                                             std::string_view instance, base::UtcTime now,
                                                             crypto::Random& random);

}  // namespace attestry::provision
