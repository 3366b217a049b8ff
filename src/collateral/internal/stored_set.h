// A set of collateral as the store keeps it: version u8 1 ‖ u64 fetched_at ‖ u8 n ‖ n × (LP(kind) ‖ LP(bytes)), with
// each kind by its name, so that a new kind in the list of all changes no old value.
#pragma once
#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "collateral/bundle.h"

namespace attestry::collateral::internal {

struct StoredSet {
  base::UtcTime fetched_at;
  Bundle bundle;
};

base::Bytes encode_set(const Bundle& bundle, base::UtcTime fetched_at);
/// Error `corrupt`, also for kinds that this program does not know and for kinds given twice.
base::Result<StoredSet> decode_set(base::ByteView stored);

}  // namespace attestry::collateral::internal
