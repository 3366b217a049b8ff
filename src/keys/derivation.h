// Derivation of app keys, "kdf 2" (FORMATS 5). Every source answers app_root for a Grant; none answers the root.
#pragma once
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "crypto/secret.h"
#include "governance/grant.h"

namespace attestry::keys {

enum class Algorithm : std::uint8_t { p256, secp256k1, ed25519, x25519, aes256, hmac256 };
std::string_view to_text(Algorithm algorithm) noexcept;
base::Result<Algorithm> algorithm_from(std::string_view text);

/// 32 bytes for (realm, tenant, app, epoch) of a grant. Thread-safe.
class AppRootSource {
 public:
  virtual ~AppRootSource() = default;
  /// `denied` for an epoch that the grant does not cover: a retired one, or one that is not there yet.
  virtual base::Result<crypto::Secret> app_root(const governance::Grant& grant, std::uint32_t epoch) const = 0;
  base::Result<crypto::Secret> app_root(const governance::Grant& grant) const { return app_root(grant, grant.epoch()); }
};

/// The source over a root that this process holds.
class LocalRoot final : public AppRootSource {
 public:
  explicit LocalRoot(crypto::Secret root) : root_(std::move(root)) {}
  using AppRootSource::app_root;
  base::Result<crypto::Secret> app_root(const governance::Grant& grant, std::uint32_t epoch) const override;

 private:
  crypto::Secret root_;
};

struct DerivedKey {
  Algorithm algorithm = Algorithm::p256;
  std::string purpose;  ///< ASCII label
  std::string path;
  crypto::Secret private_key;  ///< scalar, seed or symmetric key, 32 bytes
  base::Bytes public_key;  ///< P-256: SPKI DER; secp256k1: 33 bytes compressed; Ed25519, X25519: 32 bytes; else empty
};
/// key = HKDF-Expand(app_root, LP("key") ‖ LP(label) ‖ LP(alg) ‖ LP(path), L).
base::Result<DerivedKey> derive_key(const crypto::Secret& app_root, std::string_view label, Algorithm algorithm,
                                    std::string_view path);

/// The pure function under LocalRoot, for vectors (docs/formats/derivation.md).
crypto::Secret derive_app_root(const crypto::Secret& root, base::Realm realm, const base::Tenant& tenant,
                               const base::AppRef& app, std::uint32_t epoch);

/// The master of a dialect that has a derivation of its own, when none is imported: HKDF of the root with
/// LP("legacy") ‖ LP(dialect) (FORMATS 5). 32 bytes.
crypto::Secret legacy_master(const crypto::Secret& root, std::string_view dialect);

}  // namespace attestry::keys
