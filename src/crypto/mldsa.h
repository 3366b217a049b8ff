// Signatures that a quantum computer does not forge: ML-DSA (FIPS 204), to verify those of others.
#pragma once
#include <cstddef>

#include "base/bytes.h"

namespace attestry::crypto {

inline constexpr std::size_t kMldsa65PublicKey = 1952;
inline constexpr std::size_t kMldsa65Signature = 3309;

/// ML-DSA-65, pure, with an empty context string. False for another size of either. Thread-safe.
bool mldsa65_verify(base::ByteView public_key, base::ByteView message, base::ByteView signature);

}  // namespace attestry::crypto
