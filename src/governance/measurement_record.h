// How measurement sets are stored, and what of them counts for an app. Private to governance.
#pragma once
#include <optional>
#include <vector>

#include "governance/instance_record.h"
#include "governance/measurement_sets.h"
#include "state/store.h"

namespace attestry::governance {

/// Place in the chain of one set's changes.
struct SetHead {
  std::uint64_t count = 0;  ///< accepted changes
  std::uint64_t seq = 0;
  std::string prev;
};

/// An entry as stored: the document is a blob.
struct EntryRecord {
  MeasurementState state = MeasurementState::proposed;
  base::UtcTime changed;
  std::uint64_t barred_below = 0;  ///< instances whose leaf is below rested on it before it was removed
  std::vector<Voice> voices;       ///< the first one proposed it
};

base::Result<SetHead> read_head(const state::ReadView& view, const base::Tenant& tenant, const std::string& set);
base::Status write_head(state::WriteTxn& txn, const base::Tenant& tenant, const std::string& set, const SetHead& head);
base::Result<std::optional<EntryRecord>> read_entry(const state::ReadView& view, const base::Tenant& tenant,
                                                    const std::string& set, const base::Digest32& id);
base::Status write_entry(state::WriteTxn& txn, const base::Tenant& tenant, const std::string& set,
                         const base::Digest32& id, const EntryRecord& entry);
/// Ids in ascending order.
base::Result<std::vector<std::pair<base::Digest32, EntryRecord>>> read_entries(const state::ReadView& view,
                                                                               const base::Tenant& tenant,
                                                                               const std::string& set);

/// Counts the changes of a tenant's sets and lists: a release that rests on them aborts when it moved (FORMATS 6).
base::Result<std::uint64_t> references_version(const state::ReadView& view, const base::Tenant& tenant);
base::Status bump_references_version(state::WriteTxn& txn, const base::Tenant& tenant);

/// False when what an instance's registration rests on was taken back after it: the entry of a set, the app's own
/// identity, or the policy that named either.
base::Result<bool> still_holds(const state::ReadView& view, const base::Tenant& tenant, const base::AppRef& app,
                               const InstanceRecord& record);

/// "set:web/<id>"
std::string source_of(const std::string& set, const base::Digest32& id);

}  // namespace attestry::governance
