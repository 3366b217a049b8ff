// AES-256-GCM with a 96-bit nonce and a 128-bit tag appended (NIST SP 800-38D).
#pragma once
#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace attestry::crypto {

/// key 32 bytes, nonce 12 bytes and never twice under one key.
base::Result<base::Bytes> aes256gcm_seal(base::ByteView key, base::ByteView nonce, base::ByteView plaintext,
                                         base::ByteView aad);
/// Error `crypto` when key, nonce, aad or ciphertext is not the one that was sealed.
base::Result<Secret> aes256gcm_open(base::ByteView key, base::ByteView nonce, base::ByteView sealed,
                                    base::ByteView aad);

}  // namespace attestry::crypto
