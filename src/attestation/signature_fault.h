// What can be said of a signature that does not verify. For messages only: nothing here makes a decision.
#pragma once
#include <string>

#include "base/bytes.h"
#include "crypto/ec.h"

namespace attestry::attestation {

/// As precise as the bytes allow: "r is 0", "s is not below the order of P-256", "r and s are written little-endian",
/// or that numbers are well formed and do not verify. `raw` is r ‖ s, big-endian.
std::string describe_signature_fault(const crypto::EcPublicKey& key, base::ByteView message, base::ByteView raw);

/// "bytes 636 to 699" of `whole`; `part` is a view into it.
std::string bytes_at(base::ByteView whole, base::ByteView part);
/// "bytes 636 to 699".
std::string bytes_at(std::size_t begin, std::size_t size);

}  // namespace attestry::attestation
