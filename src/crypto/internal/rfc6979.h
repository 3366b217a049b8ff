// The nonce of deterministic ECDSA (RFC 6979).
#pragma once
#include "base/bytes.h"
#include "crypto/internal/awslc.h"
#include "crypto/secret.h"

namespace attestry::crypto::internal {

/// k for this private key and this message digest, as long as the group's order, with the HMAC of the digest's own
/// hash: SHA-256 on P-256, SHA-384 on P-384, SHA-512 on P-521.
Secret rfc6979_nonce(const BIGNUM* private_scalar, const EC_GROUP* group, base::ByteView digest);

}  // namespace attestry::crypto::internal
