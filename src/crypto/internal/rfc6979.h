// The nonce of deterministic ECDSA (RFC 6979).
#pragma once
#include "base/bytes.h"
#include "crypto/internal/awslc.h"
#include "crypto/secret.h"

namespace attestry::crypto::internal {

/// k for this private key and this message digest, with the HMAC of the digest's own hash (SHA-256 for 32 bytes,
/// SHA-384 for 48) on a group whose order is as long as the digest.
Secret rfc6979_nonce(const BIGNUM* private_scalar, const EC_GROUP* group, base::ByteView digest);

}  // namespace attestry::crypto::internal
