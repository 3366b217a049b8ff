#include "keys/derivation.h"

#include "crypto/ec.h"
#include "crypto/hash.h"
#include "curves/secp256k1.h"

namespace attestry::keys {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kRootBytes = 32;

/// L of FORMATS 5: 48 bytes where the key is reduced mod (n-1) + 1 (FIPS 186-5 A.2.1), 32 elsewhere.
std::size_t expanded_length(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::p256:
    case Algorithm::secp256k1:
      return 48;
    case Algorithm::ed25519:
    case Algorithm::x25519:
    case Algorithm::aes256:
    case Algorithm::hmac256:
      return 32;
  }
  return 32;
}

bool is_label(std::string_view text) {
  if (text.empty() || text.size() > 64) return false;
  for (const char c : text) {
    if (c < 0x21 || c > 0x7e) return false;
  }
  return true;
}

base::Status fill_p256(DerivedKey& key, const crypto::Secret& wide) {
  TRY(const auto pair, crypto::EcPrivateKey::from_wide(crypto::Curve::p256, wide.reveal()));
  key.private_key = pair.scalar();
  key.public_key = pair.public_key().spki();
  return base::done();
}

base::Status fill_secp256k1(DerivedKey& key, const crypto::Secret& wide) {
  TRY(auto pair, curves::Secp256k1PrivateKey::from_wide(wide.reveal()));
  key.private_key = pair.scalar().clone();
  key.public_key = base::to_bytes(pair.public_key_compressed());
  return base::done();
}

base::Status fill_ed25519(DerivedKey& key, crypto::Secret seed) {
  TRY(const auto pair, crypto::Ed25519PrivateKey::from_seed(seed.reveal()));
  key.public_key = base::to_bytes(pair.public_key());
  key.private_key = std::move(seed);
  return base::done();
}

}  // namespace

std::string_view to_text(Algorithm algorithm) noexcept {
  switch (algorithm) {
    case Algorithm::p256:
      return "p256";
    case Algorithm::secp256k1:
      return "secp256k1";
    case Algorithm::ed25519:
      return "ed25519";
    case Algorithm::x25519:
      return "x25519";
    case Algorithm::aes256:
      return "aes256";
    case Algorithm::hmac256:
      return "hmac256";
  }
  return "unknown";
}

Result<Algorithm> algorithm_from(std::string_view text) {
  for (const Algorithm a : {Algorithm::p256, Algorithm::secp256k1, Algorithm::ed25519, Algorithm::x25519,
                            Algorithm::aes256, Algorithm::hmac256}) {
    if (to_text(a) == text) return a;
  }
  return Error{Code::malformed, "unknown key algorithm", "p256, secp256k1, ed25519, x25519, aes256 or hmac256",
               std::string{text}};
}

base::Bytes app_root_info(base::Realm realm, const base::Tenant& tenant, const base::AppRef& app, std::uint32_t epoch) {
  base::LpWriter info;
  info.lp("app-root").lp(base::to_text(realm)).lp(tenant.text()).lp(app.bytes()).u32(epoch);
  return std::move(info).take();
}

base::Bytes legacy_info(std::string_view dialect) {
  base::LpWriter info;
  info.lp("legacy").lp(dialect);
  return std::move(info).take();
}

crypto::Secret derive_from(const crypto::Secret& input, base::ByteView info) {
  const auto salt = crypto::sha256(base::as_bytes("attestry/kdf/2"));
  return crypto::hkdf_sha256(salt, input.reveal(), info, kRootBytes);
}

crypto::Secret derive_app_root(const crypto::Secret& root, base::Realm realm, const base::Tenant& tenant,
                               const base::AppRef& app, std::uint32_t epoch) {
  return derive_from(root, app_root_info(realm, tenant, app, epoch));
}

crypto::Secret legacy_master(const crypto::Secret& root, std::string_view dialect) {
  return derive_from(root, legacy_info(dialect));
}

base::Status check_epoch(const governance::Grant& grant, std::uint32_t epoch) {
  if (epoch >= grant.oldest_epoch() && epoch <= grant.epoch()) return base::done();
  return Error{Code::denied, "keys of this epoch are not given out",
               std::to_string(grant.oldest_epoch()) + " to " + std::to_string(grant.epoch()), std::to_string(epoch)};
}

Result<crypto::Secret> LocalRoot::app_root(const governance::Grant& grant, std::uint32_t epoch,
                                           base::Deadline /*deadline*/) const {
  TRY_OK(check_epoch(grant, epoch));
  if (root_.size() != kRootBytes) return Error{Code::internal, "the root is not loaded"};
  return derive_app_root(root_, grant.realm(), grant.tenant(), grant.app(), epoch);
}

Result<crypto::Secret> LocalRoot::legacy_master(std::string_view dialect, base::Deadline /*deadline*/) const {
  if (root_.size() != kRootBytes) return Error{Code::internal, "the root is not loaded"};
  return keys::legacy_master(root_, dialect);
}

Result<DerivedKey> derive_key(const crypto::Secret& app_root, std::string_view label, Algorithm algorithm,
                              std::string_view path) {
  if (app_root.size() != kRootBytes) return Error{Code::internal, "app_root has a wrong size", "32 bytes"};
  if (!is_label(label)) {
    return Error{Code::malformed, "key label", "1 to 64 printable ASCII characters without space", std::string{label}};
  }
  if (path.size() > 1024) return Error{Code::malformed, "key path is too long", "at most 1024 bytes"};
  base::LpWriter info;
  info.lp("key").lp(label).lp(to_text(algorithm)).lp(path);
  crypto::Secret raw = crypto::hkdf_expand_sha256(app_root.reveal(), info.bytes(), expanded_length(algorithm));

  DerivedKey key{.algorithm = algorithm,
                 .purpose = std::string{label},
                 .path = std::string{path},
                 .private_key = {},
                 .public_key = {}};
  switch (algorithm) {
    case Algorithm::p256:
      TRY_OK(fill_p256(key, raw), "p256");
      break;
    case Algorithm::secp256k1:
      TRY_OK(fill_secp256k1(key, raw), "secp256k1");
      break;
    case Algorithm::ed25519:
      TRY_OK(fill_ed25519(key, std::move(raw)), "ed25519");
      break;
    case Algorithm::x25519: {
      const auto pub = crypto::x25519_public(raw.reveal());
      key.public_key = base::to_bytes(pub);
      key.private_key = std::move(raw);
      break;
    }
    case Algorithm::aes256:
    case Algorithm::hmac256:
      key.private_key = std::move(raw);
      break;
  }
  return key;
}

}  // namespace attestry::keys
