// IPFS content identifiers of single raw blocks: CIDv1, codec raw (0x55), multihash sha2-256 (0x12, 32 bytes).
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace attestry::blobs {

/// "bafkrei…": multibase base32, lower case, no padding.
std::string raw_cid(const base::Digest32& sha256);
/// The hash in a CIDv1 of a raw block in base32; nullopt for anything else.
std::optional<base::Digest32> sha256_of_cid(std::string_view cid);

}  // namespace attestry::blobs
