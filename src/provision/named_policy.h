// Policies that contracts name by their SHA-256: documents that this server keeps as blobs
// (docs/reference/contracts.md).
#pragma once
#include <string_view>

#include "attestation/policy.h"
#include "base/ids.h"
#include "base/result.h"
#include "governance/registry.h"

namespace attestry::provision {

/// `whose`: "app" or "key service", for messages. `unavailable` when the document is not stored here, `configuration`
/// when what is stored is no policy: the contract's owner named it, so neither is the asking workload's mistake.
base::Result<attestation::Policy> named_policy(const governance::Registry& registry, const base::Tenant& tenant,
                                               const base::Digest32& digest, std::string_view whose);

}  // namespace attestry::provision
