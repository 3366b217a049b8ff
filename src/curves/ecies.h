// Encryption to an EC key: the registry's dialect (v1) and its authenticated successor (v2). docs/formats/registry.md
#pragma once
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/ec.h"
#include "crypto/random.h"
#include "crypto/secret.h"

namespace attestry::curves {

/// u16 length ‖ ephemeral point ‖ 12-byte nonce ‖ AES-256-GCM; key = SHA-256(x without its leading zero bytes).
base::Result<base::Bytes> ecies_v1_seal(const crypto::EcPublicKey& to, base::ByteView plaintext,
                                        crypto::Random& random);
/// Error `malformed` when it is not such a blob for this key's curve, `crypto` when it does not open.
base::Result<crypto::Secret> ecies_v1_open(const crypto::EcPrivateKey& key, base::ByteView blob);

/// "ATE2" ‖ curve ‖ ephemeral point ‖ AES-256-GCM; the key binds both public keys, and `context` says what the secret
/// is for: whoever opens it must name the same.
base::Result<base::Bytes> ecies_v2_seal(const crypto::EcPublicKey& to, std::string_view context,
                                        base::ByteView plaintext, crypto::Random& random);
base::Result<crypto::Secret> ecies_v2_open(const crypto::EcPrivateKey& key, std::string_view context,
                                           base::ByteView blob);
/// No v1 blob begins like a v2 one.
bool is_ecies_v2(base::ByteView blob) noexcept;

}  // namespace attestry::curves
