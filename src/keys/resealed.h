// What other rooms keep under the sealing epochs of a tenant, so that a rotation seals it anew and a retirement counts
// it (docs/reference/sealing.md).
#pragma once
#include <cstdint>

#include "base/ids.h"
#include "base/result.h"
#include "state/store.h"

namespace attestry::keys {

/// Thread-safe.
class Resealed {
 public:
  virtual ~Resealed() = default;
  /// Seals what is of an older epoch in the current one; how many. What cannot be opened stays as it is, and is logged.
  virtual base::Result<std::uint64_t> reseal(state::WriteTxn& txn, const base::Tenant& tenant) const = 0;
  /// How many are sealed in an epoch before `epoch`.
  virtual base::Result<std::uint64_t> older_than(const state::ReadView& view, const base::Tenant& tenant,
                                                 std::uint32_t epoch) const = 0;
};

}  // namespace attestry::keys
