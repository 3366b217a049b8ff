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
  /// Of the identity that matched: "set:web/<id>", "identity:<blob>" or "policy:<digest>"; empty for records of old.
  std::string source;
};

/// Where a rule of an app's effective policy came from: an identity approved for the app (its blob), one that stands in
/// its policy (SHA-256 of its text), an entry of a set. A source that a document itself gives comes behind it.
std::string identity_source(const base::Digest32& blob);
std::string policy_source(std::string_view identity_json);
/// Documents that people approve may not claim these for themselves.
bool is_own_source(std::string_view source) noexcept;

/// Writes the record, and its place under `source` when there is one; of a source only what governance gave it.
base::Status put_instance(state::WriteTxn& txn, const base::Tenant& tenant, const base::AppRef& app,
                          std::string_view instance, const InstanceRecord& record);
base::Result<InstanceRecord> decode_instance(base::ByteView stored);

/// Ends what rests on a source of the app ("set:web" stands for all entries of a set) and was registered before the
/// leaf. Letting the source in again wakes nothing.
base::Status bar_source(state::WriteTxn& txn, const base::Tenant& tenant, const base::AppRef& app,
                        std::string_view source, std::uint64_t leaf_index);
/// 0 when it was never taken back: instances whose leaf is below rested on it before.
base::Result<std::uint64_t> barred_below(const state::ReadView& view, const base::Tenant& tenant,
                                         const base::AppRef& app, std::string_view source);

}  // namespace attestry::governance
