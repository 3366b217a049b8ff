// SHA-1 (FIPS 180-4), for identifiers that a foreign format defines by it (BEP 3) and for nothing else: whoever can
// choose both inputs finds two with one hash.
#pragma once
#include "base/bytes.h"

namespace attestry::crypto {

using Sha1Digest = base::FixedBytes<20>;

/// Thread-safe.
Sha1Digest sha1(base::ByteView data);

}  // namespace attestry::crypto
