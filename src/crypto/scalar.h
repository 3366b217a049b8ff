// Reduction of wide random bytes to a private scalar, in constant time.
#pragma once
#include <cstddef>

#include "base/bytes.h"
#include "crypto/secret.h"

namespace attestry::crypto {

/// d = OS2IP(wide) mod (order - 1) + 1 (FIPS 186-5 A.2.1), big-endian, as long as `order`. Both big-endian; `order` is
/// public, odd and at most 66 bytes. Constant time in `wide`.
Secret scalar_from_wide(base::ByteView wide, base::ByteView order);

}  // namespace attestry::crypto
