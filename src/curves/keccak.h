// Keccak-256 as Ethereum uses it: the Keccak submission's padding 0x01, not SHA-3's 0x06 (FIPS 202 differs only in
// that).
#pragma once
#include "base/bytes.h"

namespace attestry::curves {

/// For public data: addresses, function selectors, message digests.
base::Digest32 keccak256(base::ByteView data);

}  // namespace attestry::curves
