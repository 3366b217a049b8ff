// Hashes that callers choose by name (FIPS 180-4, FIPS 202), and HMAC with them (FIPS 198-1).
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"

namespace attestry::crypto {

enum class HashName : std::uint8_t { sha2_224, sha2_256, sha2_384, sha2_512, sha3_224, sha3_256, sha3_384, sha3_512 };
/// "sha2-256".
std::string_view to_text(HashName name) noexcept;
std::optional<HashName> hash_name_from(std::string_view text) noexcept;

base::Bytes digest(HashName name, base::ByteView data);
base::Bytes hmac(HashName name, base::ByteView key, base::ByteView data);

}  // namespace attestry::crypto
