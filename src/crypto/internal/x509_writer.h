// What the writers of certificates, CRLs and requests share.
#pragma once
#include "base/bytes.h"
#include "crypto/ec.h"

namespace attestry::crypto::internal {

/// AlgorithmIdentifier of ECDSA with the hash that belongs to the curve (RFC 5758 3.2).
base::Bytes signature_algorithm(Curve curve);
/// SIGNED{}: SEQUENCE { content, algorithm, signature over content }.
base::Bytes sign_structure(base::ByteView content, const EcPrivateKey& key, bool deterministic);

}  // namespace attestry::crypto::internal
