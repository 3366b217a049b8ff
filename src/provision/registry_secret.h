// Secrets that configuration templates refer to: encrypted for the app's key before they are stored, so that no storage
// and no operator of one reads them. docs/formats/registry.md
#pragma once
#include <string>

#include "attestation/lru_cache.h"
#include "base/bytes.h"
#include "base/result.h"
#include "crypto/ec.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "curves/address.h"

namespace attestry::provision {

/// 1 is what the registry's stock clients and pre-encrypted secrets speak; 2 also binds the secret to the contract, so
/// that nobody passes it off as something else that is encrypted for this key.
enum class SecretFormat : std::uint8_t { v1 = 1, v2 = 2 };
inline constexpr std::size_t kMaxRegistrySecret = 1u << 20;  ///< bytes of the plaintext

/// "attestry-registry-secret:" and the contract's 40 hex digits: the context of version 2.
std::string registry_secret_context(const curves::Address& contract);

/// The blob to store. Its content id is the SHA-256 of its bytes. Error `too_large`.
base::Result<base::Bytes> seal_registry_secret(const crypto::EcPublicKey& app_key, const curves::Address& contract,
                                               SecretFormat format, base::ByteView plaintext, crypto::Random& random);
/// Takes both versions; they cannot be mistaken for each other. Errors: `malformed`, `crypto`.
base::Result<crypto::Secret> open_registry_secret(const crypto::EcPrivateKey& app_key, const curves::Address& contract,
                                                  base::ByteView blob);

/// Opens secrets and keeps those that were used last: the workloads of an app all ask for the same ones, and each costs
/// a multiplication on the curve. They are a function of the app's key, which is in this process anyhow. Kept in locked
/// memory and wiped when others take their place: at most 256 of at most 4 KiB. Thread-safe.
class OpenedSecrets {
 public:
  /// As open_registry_secret(). What does not open is not kept.
  base::Result<crypto::Secret> open(const crypto::EcPrivateKey& app_key, const curves::Address& contract,
                                    base::ByteView blob);
  attestation::CacheCount count() const { return kept_.count(); }

 private:
  static constexpr std::size_t kMost = 256;
  static constexpr std::size_t kLargest = 4096;
  attestation::LruCache<crypto::Secret> kept_{kMost};
};

}  // namespace attestry::provision
