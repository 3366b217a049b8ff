// The registry's first derivation, "kdf 1": one CA key and one app key for a contract, without epochs
// (docs/formats/registry.md). New apps derive by keys/derivation.h.
#pragma once
#include "base/result.h"
#include "crypto/ec.h"
#include "crypto/secret.h"
#include "curves/address.h"

namespace attestry::keys {

struct RegistryAppKeys {
  crypto::EcPrivateKey ca;   ///< P-256
  crypto::EcPrivateKey app;  ///< P-256
};

inline constexpr std::string_view kRegistryDialect = "registry";

/// The master when none is imported: HKDF of the root with LP("legacy") ‖ LP("registry") (FORMATS 5). 32 bytes.
crypto::Secret registry_master(const crypto::Secret& root);

/// d = SHA-256(master ‖ contract ‖ "ca" or "app"). `master` has at least 32 bytes. Error `crypto` in the one case in
/// 2^32 where d is not a scalar of the curve: no such key was ever usable.
base::Result<RegistryAppKeys> registry_app_keys(const crypto::Secret& master, const curves::Address& contract);

/// Base32 text, 56 characters, from the app's private key as PEM and the disk's label.
crypto::Secret registry_disk_key(const crypto::Secret& app_private_key_pem, base::ByteView label);

/// Of the first instances: 32 raw bytes by Argon2id, which takes 64 MiB of memory (docs/formats/registry.md, "Disk
/// keys"). `unavailable` for want of it.
base::Result<crypto::Secret> registry_first_disk_key(const crypto::Secret& app_private_key_pem,
                                                     base::ByteView request_pem);
/// How many of its bytes are the disk's passphrase: those before the first newline.
std::size_t first_passphrase_bytes(const crypto::Secret& key);

}  // namespace attestry::keys
