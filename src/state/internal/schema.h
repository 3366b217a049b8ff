// The table, its version and the records that belong to the store itself.
#pragma once
#include <optional>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "state/internal/sqlite.h"
#include "state/store.h"

namespace attestry::state {

/// Creates an empty database's table with `realm`, or migrates an older one forward. Errors: `configuration` for a file
/// that is no store of ours or has a newer schema, `realm_mismatch`.
base::Status open_schema(Connection& writer, base::Realm realm);
/// The same checks without writing anything.
base::Status check_schema(Connection& reader, base::Realm realm);

base::Result<std::optional<base::UtcTime>> read_highest_time(const Connection& connection);
base::Status write_highest_time(WriteTxn& txn, base::UtcTime time);

}  // namespace attestry::state
