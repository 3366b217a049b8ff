// Signatures of requests: the algorithms that writers of requests use, beyond the few that certificates may have here.
#pragma once
#include "base/bytes.h"
#include "crypto/internal/x509_reader.h"

namespace attestry::crypto::internal {

/// True when the signature verifies under `spki` and both are of a kind that parse_csr_full names.
bool verifies_any(const Signed& what, base::ByteView spki);

}  // namespace attestry::crypto::internal
