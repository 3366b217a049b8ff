// Measurement sets as a service: proposed by one operator, approved by another where an app asks for two, removed with
// all that rests on them. Every change is signed, ordered, and a leaf in the same transaction (FORMATS 2).
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "audit/log.h"
#include "base/result.h"
#include "governance/measurement.h"
#include "governance/registry.h"
#include "state/store.h"

namespace attestry::governance {

enum class MeasurementState : std::uint8_t { proposed = 1, approved = 2, removed = 3 };
std::string_view to_text(MeasurementState state) noexcept;

/// An operator's key that signed for an entry, and when.
struct Voice {
  base::FixedBytes<32> key{};
  base::UtcTime at;
};

struct MeasurementEntry {
  base::Digest32 id{};
  MeasurementState state = MeasurementState::proposed;
  base::UtcTime changed;
  std::vector<Voice> voices;  ///< the first one proposed it
  Measurement document;
};

struct MeasurementSet {
  std::string name;
  std::uint64_t seq = 0;
  std::string prev;
  std::vector<MeasurementEntry> entries;  ///< by id
};

/// Whom the removal of an entry hits.
struct Impact {
  struct App {
    base::AppRef app;
    std::string policy;           ///< hex SHA-256 of the approved policy that names the set
    std::size_t identities_left;  ///< identities that could still register afterwards
  };
  struct Instance {
    base::AppRef app;
    std::string instance;
    base::UtcTime expires;
  };
  std::vector<App> apps;
  std::vector<Instance> instances;  ///< those that live; at most kMaxListedInstances
  std::size_t more_instances = 0;
  std::string json;    ///< canonical: set, id, apps, policies, instances
  std::string sha256;  ///< of the JSON: what the operator confirms

  static constexpr std::size_t kMaxListedInstances = 10'000;
};

/// One more that would end: listed, or beyond kMaxListedInstances counted.
template <class Report>
void list_or_count(Report& out, Impact::Instance one) {
  if (out.instances.size() < Impact::kMaxListedInstances) {
    out.instances.push_back(std::move(one));
  } else {
    ++out.more_instances;
  }
}

struct AcceptedMeasurement {
  MeasurementEntry entry;
  std::string set;
  std::uint64_t seq = 0;
  std::uint64_t leaf_index = 0;
  std::string payload_sha256;
  std::uint32_t required = 1;   ///< distinct operators that the apps which name the set ask for
  std::optional<Impact> ended;  ///< of a removal: what rested on it
};

/// An instance and whether what let it in still holds.
struct InstanceStatus {
  std::string instance;
  base::UtcTime expires;
  std::string source;
  std::string state;  ///< "live", "expired" or "ended"
  std::string why;    ///< of "ended"
};

/// Thread-safe. Writes go through the store's committer.
class MeasurementSets {
 public:
  MeasurementSets(state::Store& store, audit::Log& log, const Registry& registry)
      : store_(store), log_(log), registry_(registry) {}

  /// `conflict` for a replayed or out-of-order change, for an entry that is there already, and for a removal whose
  /// preview is no longer true; `denied` for too few valid signatures, and for a proposer who would be the second
  /// person; `not_found` for an entry or a document that is not stored.
  base::Result<AcceptedMeasurement> submit(const Envelope& envelope, base::UtcTime now, base::Deadline deadline);

  base::Result<std::vector<MeasurementSet>> sets(const base::Tenant& tenant) const;
  base::Result<MeasurementSet> set(const base::Tenant& tenant, const std::string& name) const;
  /// Envelopes as accepted, oldest first.
  base::Result<std::vector<std::string>> changes(const base::Tenant& tenant, const std::string& name) const;
  /// What removing the entry now would end.
  base::Result<Impact> impact(const base::Tenant& tenant, const std::string& name, const base::Digest32& id,
                              base::UtcTime now) const;

  /// Instances of an app, each with its state now: what renews anything asks here first.
  base::Result<std::vector<InstanceStatus>> instances(const base::Tenant& tenant, const base::AppRef& app,
                                                      base::UtcTime now) const;

 private:
  base::Result<std::vector<std::pair<AppState, attestation::Policy>>> apps_of(const base::Tenant& tenant,
                                                                              const std::string& name) const;
  base::Result<std::uint32_t> required_voices(const base::Tenant& tenant, const std::string& name) const;

  state::Store& store_;
  audit::Log& log_;
  const Registry& registry_;
};

}  // namespace attestry::governance
