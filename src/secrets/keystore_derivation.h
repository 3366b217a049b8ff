// Keys that a keystore derives from a master of 32 bytes, and a bounded memory of those that it needs again and again.
// docs/formats/keystore.md
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/bytes.h"
#include "base/mutex.h"
#include "base/result.h"
#include "crypto/ec.h"
#include "crypto/secret.h"
#include "curves/secp256k1.h"
#include "secrets/keystore_seeds.h"

namespace attestry::secrets::keystore {

inline constexpr std::size_t kMasterBytes = 32;

/// HMAC-SHA-256(master, label), 32 bytes. Pure, as all functions here. Labels of seeds are UTF-8 text; ours begin with
/// a zero byte (the length of an LP), which no text does. The master has 32 bytes (process ends otherwise).
crypto::Secret derive(const crypto::Secret& master, base::ByteView label);
inline crypto::Secret derive(const crypto::Secret& master, std::string_view label) {
  return derive(master, base::as_bytes(label));
}

/// The seed's text is the label.
crypto::Ed25519PrivateKey ed25519_key(const crypto::Secret& master, const Seed& seed);
/// Error `crypto` when the 32 bytes are no scalar, which nobody will see.
base::Result<curves::Secp256k1PrivateKey> secp256k1_key(const crypto::Secret& master, const Seed& seed);
/// 64 lower-case hex digits of the label `secret-path:{seed}`.
crypto::Secret secret_path(const crypto::Secret& master, const Seed& seed);

/// X25519 keys of a seed. Immutable, thread-safe.
struct SealingKey {
  crypto::Secret scalar;              ///< clamped when it is used (RFC 7748)
  base::FixedBytes<32> public_key{};  ///< what POST /pubkey returns, in hex
};
/// `ecies:{seed}`: of ECIES v1, as others compute it.
SealingKey ecies_key(const crypto::Secret& master, const Seed& seed);
/// The label is LP("attestry/keystore/x25519/3") ‖ LP(seed.v3()): of our blobs.
SealingKey sealing_key_v3(const crypto::Secret& master, const Seed& seed);

/// What is remembered by name: between `most` and twice as many, the last used. Not thread-safe.
template <class T>
class Remembered {
 public:
  explicit Remembered(std::size_t most) : most_(most) {}
  std::shared_ptr<const T> find(const std::string& name) {
    if (const auto found = young_.find(name); found != young_.end()) return found->second;
    const auto found = old_.find(name);
    if (found == old_.end()) return nullptr;
    auto value = found->second;
    old_.erase(found);
    put(name, value);
    return value;
  }
  void put(const std::string& name, std::shared_ptr<const T> value) {
    if (most_ == 0) return;
    if (young_.size() >= most_) old_ = std::exchange(young_, {});
    young_.insert_or_assign(name, std::move(value));
  }
  void clear() {
    young_.clear();
    old_.clear();
  }
  std::size_t size() const noexcept { return young_.size() + old_.size(); }

 private:
  using Map = std::unordered_map<std::string, std::shared_ptr<const T>>;
  std::size_t most_;
  Map young_, old_;
};

/// Thread-safe and bounded: X25519 keys of seeds, and the AEAD keys of blobs that were opened, so that a secret that is
/// asked for again costs no X25519. What is not remembered is derived anew.
class SealingKeyCache {
 public:
  enum class Format : std::uint8_t { ecies_v1, v3 };
  explicit SealingKeyCache(std::size_t most = 4096) : keys_(most), blobs_(most) {}

  /// `scope` says whose master it is, and names that very master: two masters never have the same.
  std::shared_ptr<const SealingKey> get(std::string_view scope, const crypto::Secret& master, const Seed& seed,
                                        Format format = Format::ecies_v1);
  /// Forgets everything: after a rotation, or when a vault's master is dropped. What is being derived meanwhile is not
  /// remembered.
  void clear();
  /// Of both kinds.
  std::size_t size() const;

  /// The AEAD key of a blob, by a name that says scope, seed and the blob's beginning; null: not known. For open_blob.
  std::shared_ptr<const crypto::Secret> blob_key(const std::string& name, std::uint64_t& generation);
  /// Only after the blob has opened, with the generation that blob_key() gave.
  void remember_blob_key(const std::string& name, crypto::Secret key, std::uint64_t generation);

 private:
  mutable base::Mutex mutex_;
  Remembered<SealingKey> keys_ ATTESTRY_GUARDED_BY(mutex_);
  Remembered<crypto::Secret> blobs_ ATTESTRY_GUARDED_BY(mutex_);
  std::uint64_t cleared_ ATTESTRY_GUARDED_BY(mutex_) = 0;
};

/// A verifiable random value: the Ed25519 signature of `alpha` under the key of seed `vrf-key` (deterministic, RFC
/// 8032), and its SHA-256. Error `malformed` for an empty alpha.
struct VrfProof {
  base::FixedBytes<64> signature{};
  base::Digest32 output{};
};
base::Result<VrfProof> vrf_prove(const crypto::Secret& master, std::string_view alpha);
bool vrf_verify(base::ByteView public_key, std::string_view alpha, const VrfProof& proof);

}  // namespace attestry::secrets::keystore
