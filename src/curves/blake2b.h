// BLAKE2b (RFC 7693) on libsodium: for dialects whose formats use it, nothing of ours does.
#pragma once
#include <initializer_list>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace attestry::curves {

/// 24 bytes over the parts one after another, without a key. Error `crypto` when libsodium cannot be set up.
/// Thread-safe.
base::Result<base::FixedBytes<24>> blake2b_192(std::initializer_list<base::ByteView> parts);

/// 32 bytes under a key of 1 to 64 bytes (RFC 7693 section 2.9), without salt and personalisation. Error `malformed`
/// for a key of another size, `crypto` as above. Thread-safe.
base::Result<crypto::Secret> blake2b_256_keyed(const crypto::Secret& key, base::ByteView data);

}  // namespace attestry::curves
