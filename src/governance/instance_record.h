// What is stored of a registered instance: written by provision with the release, read here to say whom a removal hits.
#pragma once
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "state/store.h"

namespace attestry::governance {

struct InstanceRecord {
  std::string appraisal;  ///< lower-case hex SHA-256 of the stored verdict
  std::uint64_t leaf_index = 0;
  base::UtcTime expires;
  std::string source;  ///< of the identity that matched: "set:web/<id>"; empty when it was approved for the app itself
};

/// Writes the record, and its place under `source` when there is one.
base::Status put_instance(state::WriteTxn& txn, const base::Tenant& tenant, const base::AppRef& app,
                          std::string_view instance, const InstanceRecord& record);
base::Result<InstanceRecord> decode_instance(base::ByteView stored);

}  // namespace attestry::governance
