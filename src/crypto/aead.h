// AES-GCM (NIST SP 800-38D) and ChaCha20-Poly1305 (RFC 8439), both with a 96-bit nonce and a 128-bit tag appended.
#pragma once
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/random.h"
#include "crypto/secret.h"

namespace attestry::crypto {

/// key 32 bytes, nonce 12 bytes and never twice under one key.
base::Result<base::Bytes> aes256gcm_seal(base::ByteView key, base::ByteView nonce, base::ByteView plaintext,
                                         base::ByteView aad);
/// Error `crypto` when key, nonce, aad or ciphertext is not the one that was sealed.
base::Result<Secret> aes256gcm_open(base::ByteView key, base::ByteView nonce, base::ByteView sealed,
                                    base::ByteView aad);

/// salt (24, random) ‖ AES-256-GCM under 32 bytes of key and 12 of nonce, which are HKDF-SHA-256(salt, ikm = key, info
/// = LP(label)): each text has a key of its own, so that no number of them under one key is too many
/// (docs/decisions/0018). key 32 bytes.
inline constexpr std::size_t kSaltBytes = 24;
base::Result<base::Bytes> aes256gcm_seal_salted(base::ByteView key, std::string_view label, base::ByteView plaintext,
                                                base::ByteView aad, Random& random);
/// Error `crypto` as aes256gcm_open().
base::Result<Secret> aes256gcm_open_salted(base::ByteView key, std::string_view label, base::ByteView sealed,
                                           base::ByteView aad);

/// aes256gcm_seal() with AES-128-GCM and a key of 16 bytes.
base::Result<base::Bytes> aes128gcm_seal(base::ByteView key, base::ByteView nonce, base::ByteView plaintext,
                                         base::ByteView aad);
base::Result<Secret> aes128gcm_open(base::ByteView key, base::ByteView nonce, base::ByteView sealed,
                                    base::ByteView aad);

/// The same with ChaCha20-Poly1305.
base::Result<base::Bytes> chacha20poly1305_seal(base::ByteView key, base::ByteView nonce, base::ByteView plaintext,
                                                base::ByteView aad);
base::Result<Secret> chacha20poly1305_open(base::ByteView key, base::ByteView nonce, base::ByteView sealed,
                                           base::ByteView aad);

}  // namespace attestry::crypto
