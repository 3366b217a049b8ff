// What the writers of certificates, CRLs and requests share.
#pragma once
#include <vector>

#include "base/bytes.h"
#include "crypto/x509.h"

namespace attestry::crypto::internal {

/// AlgorithmIdentifier of ECDSA with the hash that belongs to the curve (RFC 5758 3.2).
base::Bytes signature_algorithm(Curve curve);
/// SIGNED{}: SEQUENCE { content, algorithm, signature over content }.
base::Bytes sign_structure(base::ByteView content, const EcPrivateKey& key, bool deterministic);

/// A Name, each field checked.
base::Result<base::Bytes> written_name(const std::vector<NameField>& fields);
/// The values of a request's extensionRequest attribute: SET { Extensions } (RFC 2985 5.4.2); empty for none.
base::Result<base::Bytes> written_extensions(const std::vector<ExtensionOut>& list);

}  // namespace attestry::crypto::internal
