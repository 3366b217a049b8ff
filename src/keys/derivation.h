// Derivation of app keys, "kdf 2" (FORMATS 5). Every source answers app_root for a Grant; none answers the root.
#pragma once
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
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
  /// `denied` for an epoch that the grant does not cover: a retired one, or one that is not there yet. `unavailable`
  /// when the root is not here and those who have it are away: never a denial. Returns by `deadline` if it waits().
  virtual base::Result<crypto::Secret> app_root(const governance::Grant& grant, std::uint32_t epoch,
                                                base::Deadline deadline) const = 0;
  base::Result<crypto::Secret> app_root(const governance::Grant& grant, base::Deadline deadline) const {
    return app_root(grant, grant.epoch(), deadline);
  }
  /// Whether it may wait for others: then a server does not ask on the threads that serve everybody.
  virtual bool waits() const noexcept { return false; }
};

/// `denied` for an epoch that the grant does not cover; the one rule of all sources.
base::Status check_epoch(const governance::Grant& grant, std::uint32_t epoch);

/// Masters of dialects that have a derivation of their own ("kdf 1"), when none is imported. Thread-safe.
class LegacyMasters {
 public:
  virtual ~LegacyMasters() = default;
  /// 32 bytes. `unavailable` as above: whoever needs it asks again, and serves nothing until then.
  virtual base::Result<crypto::Secret> legacy_master(std::string_view dialect, base::Deadline deadline) const = 0;
  virtual bool waits() const noexcept { return false; }
};

/// The source over a root that this process holds.
class LocalRoot final : public AppRootSource, public LegacyMasters {
 public:
  explicit LocalRoot(crypto::Secret root) : root_(std::move(root)) {}
  using AppRootSource::app_root;
  base::Result<crypto::Secret> app_root(const governance::Grant& grant, std::uint32_t epoch,
                                        base::Deadline deadline) const override;
  base::Result<crypto::Secret> legacy_master(std::string_view dialect, base::Deadline deadline) const override;
  bool waits() const noexcept override { return false; }

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

/// What an app root is derived with: LP("app-root") ‖ LP(realm) ‖ LP(tenant) ‖ LP(AppRef) ‖ u32(epoch). It is what
/// the nodes of a threshold root are asked for, too (their app_id).
base::Bytes app_root_info(base::Realm realm, const base::Tenant& tenant, const base::AppRef& app, std::uint32_t epoch);
/// LP("legacy") ‖ LP(dialect), likewise.
base::Bytes legacy_info(std::string_view dialect);
/// No dialect has this name: nothing is derived of it, so that servers may ask for it to see whether they are answered.
inline constexpr std::string_view kProbeDialect = "probe";

/// HKDF-SHA-256, 32 bytes; `input` is a root of 32 bytes, or the 48 of a confidential key derivation for this `info`.
crypto::Secret derive_from(const crypto::Secret& input, base::ByteView info);

/// The pure function under LocalRoot, for vectors (docs/formats/derivation.md).
crypto::Secret derive_app_root(const crypto::Secret& root, base::Realm realm, const base::Tenant& tenant,
                               const base::AppRef& app, std::uint32_t epoch);

/// HKDF of the root with LP("legacy") ‖ LP(dialect) (FORMATS 5). 32 bytes.
crypto::Secret legacy_master(const crypto::Secret& root, std::string_view dialect);

}  // namespace attestry::keys
