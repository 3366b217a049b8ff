// Keys of tenants for what the server keeps of their blobs: random, one for each tenant, wrapped by the server's own.
#pragma once
#include <memory>
#include <string>

#include "blobs/store.h"
#include "crypto/random.h"

namespace attestry::blobs {

/// `folder` holds <tenant>.key: the tenant's random key, wrapped under `wrapping` (32 bytes; it is not kept there) with
/// AES-256-GCM. A missing file is made, a damaged one is the error `corrupt`, never replaced. `random` outlives this.
/// Sealed form: "ATB1" ‖ nonce (12) ‖ AES-256-GCM(plain, aad = LP("attestry-blob-v1") ‖ LP(tenant) ‖ LP(record)).
base::Result<std::unique_ptr<Sealer>> open_tenant_sealer(const std::string& folder, crypto::Secret wrapping,
                                                         crypto::Random& random);
/// Whether the bytes begin as sealed ones do.
bool looks_sealed(base::ByteView bytes) noexcept;

}  // namespace attestry::blobs
