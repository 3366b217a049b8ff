// Hashes, HMAC and HKDF (FIPS 180-4, RFC 2104, RFC 5869).
#pragma once
#include <initializer_list>

#include "base/bytes.h"
#include "crypto/secret.h"

namespace attestry::crypto {

using Sha256Digest = base::FixedBytes<32>;
using Sha384Digest = base::FixedBytes<48>;
using Sha512Digest = base::FixedBytes<64>;

Sha256Digest sha256(base::ByteView data);
/// Hash of the parts one after another, without copying them together.
Sha256Digest sha256(std::initializer_list<base::ByteView> parts);
/// The hash of the first `prefix` bytes and the hash of all, in one pass. `prefix` at most the size.
struct Sha256Pair {
  Sha256Digest prefix, whole;
};
Sha256Pair sha256_with_prefix(base::ByteView data, std::size_t prefix);
Sha384Digest sha384(base::ByteView data);
Sha384Digest sha384(std::initializer_list<base::ByteView> parts);
Sha512Digest sha512(base::ByteView data);

Sha256Digest hmac_sha256(base::ByteView key, base::ByteView data);

/// RFC 5869 with SHA-256. `length` at most 255 * 32.
Secret hkdf_sha256(base::ByteView salt, base::ByteView ikm, base::ByteView info, std::size_t length);
Secret hkdf_expand_sha256(base::ByteView prk, base::ByteView info, std::size_t length);

/// scrypt (RFC 7914) for passphrases. n is a power of two; memory is about 128 * n * r bytes.
base::Result<Secret> scrypt(base::ByteView passphrase, base::ByteView salt, std::uint64_t n, std::uint32_t r,
                            std::uint32_t p, std::size_t length);

}  // namespace attestry::crypto
