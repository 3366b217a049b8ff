// Signatures that a quantum computer does not forge: ML-DSA (FIPS 204).
#pragma once
#include <cstddef>
#include <memory>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::crypto {

inline constexpr std::size_t kMldsa65PublicKey = 1952;
inline constexpr std::size_t kMldsa65Signature = 3309;
inline constexpr std::size_t kMldsa65Seed = 32;

/// ML-DSA-65, pure, with an empty context string. False for another size of either. Thread-safe.
bool mldsa65_verify(base::ByteView public_key, base::ByteView message, base::ByteView signature);

/// An ML-DSA-65 key that signs. Movable, thread-safe.
class Mldsa65PrivateKey {
 public:
  /// 32 bytes, from which FIPS 204 makes both halves; `malformed` for another size.
  static base::Result<Mldsa65PrivateKey> from_seed(base::ByteView seed);
  const base::Bytes& public_key() const noexcept { return public_; }
  /// Pure, with an empty context string; hedged, so that two signatures of one message differ.
  base::Bytes sign(base::ByteView message) const;

 private:
  struct Key;
  Mldsa65PrivateKey(std::shared_ptr<const Key> key, base::Bytes pub) : key_(std::move(key)), public_(std::move(pub)) {}
  std::shared_ptr<const Key> key_;
  base::Bytes public_;
};

}  // namespace attestry::crypto
