#include "governance/measurement_sets.h"

#include <algorithm>

#include "attestation/policy.h"
#include "base/encoding.h"
#include "base/json_writer.h"
#include "crypto/hash.h"
#include "governance/instance_record.h"
#include "governance/measurement_record.h"
#include "state/keys.h"
#include "state/scan.h"

namespace attestry::governance {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;
using base::Status;
using state::Key;
using state::Space;

namespace {

constexpr std::uint8_t kRecordVersion = 1;
constexpr std::size_t kMaxSets = 10'000;
constexpr std::size_t kMaxEntries = 4096;
constexpr std::size_t kMaxChanges = 100'000;
constexpr std::size_t kMaxInstances = 100'000;
constexpr std::size_t kMaxEnvelope = 1u << 20;

Key changes_prefix(const base::Tenant& tenant, const std::string& set) {
  return Key(Space::set_changes, tenant).lp(set);
}
Key removal_key(const MeasurementAction& action, base::ByteView payload_sha256) {
  return Key(Space::identities, action.tenant).lp("set:" + action.set).lp(payload_sha256);
}

Status check_addressed(const MeasurementAction& action, const Registry& registry, base::UtcTime now) {
  if (action.audience != registry.audience()) {
    return Error{Code::denied, "the change is for another server", registry.audience(), action.audience};
  }
  if (action.realm != registry.realm()) {
    return Error{Code::denied, "the change is for another realm", std::string{base::to_text(registry.realm())},
                 std::string{base::to_text(action.realm)}};
  }
  if (action.expires < now) {
    return Error{Code::denied, "the signed change has expired", "expires after " + base::to_rfc3339(now),
                 base::to_rfc3339(action.expires)};
  }
  return base::done();
}

/// FORMATS 2: seq = last + 1 and prev = digest of the last payload; a removal is accepted at any seq.
Status check_order(const SetHead& head, const MeasurementAction& action) {
  if (action.verb == MeasurementVerb::remove) return base::done();
  if (action.seq != head.seq + 1) {
    return Error{Code::conflict, "the change is out of order or was sent before", "seq " + std::to_string(head.seq + 1),
                 "seq " + std::to_string(action.seq), "Read the set again and sign a new change."};
  }
  if (action.prev != head.prev) {
    return Error{Code::conflict, "the change does not follow the last one", "prev " + head.prev, "prev " + action.prev,
                 "Read the set again and sign a new change."};
  }
  return base::done();
}

bool has_voice(const EntryRecord& entry, const base::FixedBytes<32>& key) {
  return std::ranges::find(entry.voices, key, &Voice::key) != entry.voices.end();
}

void add_voices(EntryRecord& entry, const std::vector<base::FixedBytes<32>>& signers, base::UtcTime now) {
  for (const auto& key : signers) {
    if (!has_voice(entry, key)) entry.voices.push_back({key, now});
  }
}

/// A person is an operator of today: who was removed since, for a stolen key perhaps, is not the first of two.
Status keep_operators(const state::WriteTxn& txn, const base::Tenant& tenant, EntryRecord& entry) {
  std::vector<Voice> still;
  for (const auto& voice : entry.voices) {
    TRY(const auto known, txn.get(Key(Space::operators, tenant).lp(base::ByteView{voice.key})));
    if (known) still.push_back(voice);
  }
  entry.voices = std::move(still);
  return base::done();
}

Error no_entry(const MeasurementAction& action) {
  return {Code::not_found,
          "the set " + action.set + " has no such entry",
          {},
          base::hex(action.subject),
          "List them: attestry measurement show " + action.set};
}

/// What a signed change does to one entry. `entry` is null before the first proposal.
Result<EntryRecord> apply(const MeasurementAction& action, std::optional<EntryRecord> entry,
                          const std::vector<base::FixedBytes<32>>& signers, std::uint32_t required, base::UtcTime now) {
  EntryRecord out = entry.value_or(EntryRecord{});
  out.changed = now;
  switch (action.verb) {
    case MeasurementVerb::add:
      if (entry && entry->state != MeasurementState::removed) {
        return Error{Code::conflict,
                     "the entry is in the set already",
                     {},
                     std::string{to_text(entry->state)},
                     "Approve it: attestry measurement approve"};
      }
      out.state = MeasurementState::proposed;
      out.voices.clear();
      add_voices(out, signers, now);
      return out;
    case MeasurementVerb::approve: {
      if (!entry) return no_entry(action);
      if (entry->state == MeasurementState::removed) {
        return Error{Code::conflict, "the entry was removed: add it again, then approve it", "an entry in the set",
                     base::hex(action.subject), "Add it again: attestry measurement add FILE"};
      }
      const bool new_voice = std::ranges::any_of(signers, [&](const auto& key) { return !has_voice(*entry, key); });
      if (!new_voice && entry->state == MeasurementState::approved) {
        return Error{Code::conflict, "the entry is approved already, and by this operator", "another operator", {}};
      }
      // Two persons where an app asks for two: who proposed an entry cannot be the second.
      if (!new_voice && entry->voices.size() < required) {
        return Error{Code::denied, "who proposed or approved the entry cannot be the next person to approve it",
                     std::to_string(required) + " distinct operators", std::to_string(entry->voices.size()),
                     "Have another operator run: attestry measurement approve"};
      }
      add_voices(out, signers, now);
      if (out.voices.size() >= required) out.state = MeasurementState::approved;
      return out;
    }
    case MeasurementVerb::remove:
      if (!entry) return no_entry(action);
      if (entry->state == MeasurementState::removed) {
        return Error{Code::conflict, "the entry is removed already", {}, base::hex(action.subject)};
      }
      out.state = MeasurementState::removed;
      out.voices.clear();
      return out;
  }
  return Error{Code::internal, "unknown change"};
}

JsonOut impact_json(const std::string& set, const base::Digest32& id, const Impact& impact) {
  JsonOutArray apps;
  JsonOutArray policies;
  std::vector<std::string> seen;
  for (const auto& one : impact.apps) {
    apps.emplace_back(JsonOutObject{
        {"app", one.app.text()}, {"policy", one.policy}, {"identities_left", std::uint64_t{one.identities_left}}});
    if (std::ranges::find(seen, one.policy) != seen.end()) continue;
    seen.push_back(one.policy);
    policies.emplace_back(one.policy);
  }
  JsonOutArray instances;
  for (const auto& one : impact.instances) {
    instances.emplace_back(
        JsonOutObject{{"app", one.app.text()}, {"instance", one.instance}, {"expires", base::to_rfc3339(one.expires)}});
  }
  return JsonOutObject{{"set", set},
                       {"id", base::hex(id)},
                       {"apps", std::move(apps)},
                       {"policies", std::move(policies)},
                       {"instances", std::move(instances)},
                       {"more_instances", std::uint64_t{impact.more_instances}}};
}

/// Live instances whose registration rests on the entry.
Status collect_instances(const state::ReadView& view, const base::Tenant& tenant, const std::string& source,
                         std::uint64_t barred_below, base::UtcTime now, Impact& out) {
  const Key prefix = Key(Space::resting_on, tenant).lp(source);
  return state::scan_each(view, prefix, kMaxInstances, [&](base::ByteView key, base::ByteView) -> Status {
    base::Reader name{key.subspan(prefix.bytes().size())};
    TRY(const auto app_bytes, name.lp("app", 1024));
    TRY(const auto app, base::AppRef::from_bytes(app_bytes));
    TRY(const auto instance, name.lp("instance", 128));
    TRY(const auto stored, view.get(Key(Space::instances, tenant).lp(app_bytes).lp(instance)));
    if (!stored) return base::done();
    TRY(const auto record, decode_instance(*stored));
    if (record.expires <= now || record.leaf_index < barred_below) return base::done();
    TRY(const bool holds, still_holds(view, tenant, app, record));
    if (!holds) return base::done();
    list_or_count(out, {app, std::string{base::as_text(instance)}, record.expires});
    return base::done();
  });
}

}  // namespace

std::string_view to_text(MeasurementState state) noexcept {
  switch (state) {
    case MeasurementState::proposed:
      return "proposed";
    case MeasurementState::approved:
      return "approved";
    case MeasurementState::removed:
      return "removed";
  }
  return "unknown";
}

Result<AcceptedMeasurement> MeasurementSets::submit(const Envelope& envelope, base::UtcTime now,
                                                    base::Deadline deadline) {
  if (envelope.payload_type != kMeasurementPayloadType) {
    return Error{Code::malformed, "payloadType", std::string{kMeasurementPayloadType}, envelope.payload_type};
  }
  TRY(const auto action, MeasurementAction::parse(envelope.payload));
  TRY_OK(check_addressed(action, registry_, now));
  TRY(const auto bytes, registry_.blob(action.tenant, action.subject), "subject");
  TRY(auto document, Measurement::parse(base::as_text(bytes)), "subject");
  if (document.set != action.set) {
    return Error{Code::malformed, "the document is of another set", action.set, document.set};
  }
  TRY(const auto known, registry_.operators(action.tenant));
  std::vector<base::FixedBytes<32>> keys;
  for (const Operator& one : known) {
    if (one.public_key) keys.push_back(*one.public_key);
  }
  const auto signers = envelope.valid_signers(keys);
  if (signers.empty()) {  // what nobody signed does not come as far as the committer
    return Error{Code::denied, "no operator of this tenant signed the change", "an operator with an Ed25519 key",
                 "none", "List them with attestry operator list."};
  }
  TRY(const std::uint32_t required, required_voices(action.tenant, action.set));
  std::optional<Impact> hit;
  if (action.verb == MeasurementVerb::remove) {
    TRY(hit, impact(action.tenant, action.set, action.subject, now));
    if (!action.preview.empty() && action.preview != hit->sha256) {
      return Error{Code::conflict, "the removal would hit others than the operator was shown", hit->sha256,
                   action.preview, "Look again: attestry measurement remove --dry-run"};
    }
  }
  const auto digest = crypto::sha256(base::as_bytes(envelope.payload));
  AcceptedMeasurement accepted{
      .entry = {.id = action.subject, .state = {}, .changed = now, .voices = {}, .document = std::move(document)},
      .set = action.set,
      .seq = 0,
      .leaf_index = 0,
      .payload_sha256 = base::hex(digest),
      .required = required,
      .ended = std::move(hit)};
  TRY_OK(store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        for (const auto& key : signers) {
          TRY(const auto still, txn.get(Key(Space::operators, action.tenant).lp(base::ByteView{key})));
          if (!still) return Error{Code::denied, "an operator who signed has been removed meanwhile"};
        }
        TRY(auto head, read_head(txn, action.tenant, action.set));
        TRY_OK(check_order(head, action));
        const auto seen = removal_key(action, digest);
        TRY(auto before, read_entry(txn, action.tenant, action.set, action.subject));
        if (before && action.verb == MeasurementVerb::approve) TRY_OK(keep_operators(txn, action.tenant, *before));
        if (action.verb == MeasurementVerb::remove) {
          TRY(const auto mark, txn.get(seen));
          if (mark && before) {  // idempotent: the state stays as it is
            base::Reader in{*mark};
            TRY([[maybe_unused]] const auto version, in.u8("version"));
            TRY(accepted.leaf_index, in.u64be("leaf"));
            accepted.entry.state = before->state;
            accepted.entry.voices = before->voices;
            accepted.seq = head.seq;
            return base::done();
          }
        }
        TRY(auto entry, apply(action, before, signers, required, now));
        if (!before) {
          TRY(const auto all, read_entries(txn, action.tenant, action.set));
          if (all.size() >= kMaxEntries) return Error{Code::too_large, "too many entries", "at most 4096"};
        }
        audit::Leaf leaf;
        leaf.type = to_text(action.verb);
        leaf.realm = registry_.realm();
        leaf.audience = registry_.audience();
        leaf.tenant = action.tenant;
        leaf.time = now;
        leaf.reply = accepted.payload_sha256;
        TRY(accepted.leaf_index, log_.append(txn, leaf));
        if (action.verb == MeasurementVerb::remove) {
          entry.barred_below = accepted.leaf_index;
          auto mark = state::value(kRecordVersion);
          mark.u64(accepted.leaf_index);
          TRY_OK(txn.put(seen, mark.bytes()));
        }
        TRY_OK(write_entry(txn, action.tenant, action.set, action.subject, entry));
        ++head.count;
        ++head.seq;
        head.prev = accepted.payload_sha256;
        TRY_OK(write_head(txn, action.tenant, action.set, head));
        auto record = state::value(kRecordVersion);
        record.lp(envelope.to_json());
        TRY_OK(txn.put(changes_prefix(action.tenant, action.set).u64(head.count), record.bytes()));
        TRY_OK(bump_references_version(txn, action.tenant));
        accepted.entry.state = entry.state;
        accepted.entry.voices = entry.voices;
        accepted.seq = head.seq;
        return base::done();
      },
      deadline));
  return accepted;
}

Result<std::vector<MeasurementSet>> MeasurementSets::sets(const base::Tenant& tenant) const {
  const Key prefix{Space::measurement_sets, tenant};
  std::vector<std::string> names;
  std::optional<Error> broken;
  {
    TRY(const auto view, store_.read());
    TRY_OK(view->scan(prefix, {}, kMaxSets, [&](base::ByteView key, base::ByteView) {
      base::Reader name{key.subspan(prefix.bytes().size())};
      const auto text = name.lp("set", 64);
      if (!text) {
        broken = text.error();
        return false;
      }
      names.emplace_back(base::as_text(*text));
      return true;
    }));
  }
  if (broken) return *broken;
  std::vector<MeasurementSet> out;
  for (const std::string& name : names) {
    TRY(auto one, set(tenant, name));
    out.push_back(std::move(one));
  }
  return out;
}

Result<MeasurementSet> MeasurementSets::set(const base::Tenant& tenant, const std::string& name) const {
  TRY(const auto view, store_.read());
  TRY(const auto head, read_head(*view, tenant, name));
  if (head.count == 0) {
    return Error{Code::not_found, "no measurement set " + name, {}, {}, "List them: attestry measurement list"};
  }
  MeasurementSet out{.name = name, .seq = head.seq, .prev = head.prev, .entries = {}};
  TRY(const auto entries, read_entries(*view, tenant, name));
  for (const auto& [id, record] : entries) {
    TRY(const auto bytes, registry_.blob(tenant, id), "measurement");
    TRY(auto document, Measurement::parse(base::as_text(bytes)));
    out.entries.push_back({.id = id,
                           .state = record.state,
                           .changed = record.changed,
                           .voices = record.voices,
                           .document = std::move(document)});
  }
  return out;
}

Result<std::vector<std::string>> MeasurementSets::changes(const base::Tenant& tenant, const std::string& name) const {
  TRY(const auto view, store_.read());
  std::vector<std::string> found;
  std::optional<Error> broken;
  TRY_OK(view->scan(changes_prefix(tenant, name), {}, kMaxChanges, [&](base::ByteView, base::ByteView value) {
    const auto text = [&]() -> Result<std::string> {
      TRY(auto in, state::open_value(value, kRecordVersion, "change"));
      TRY(const auto json, in.lp("envelope", kMaxEnvelope));
      return std::string{base::as_text(json)};
    }();
    if (!text) {
      broken = text.error();
      return false;
    }
    found.push_back(*text);
    return true;
  }));
  if (broken) return *broken;
  return found;
}

/// Apps whose approved policy names the set.
Result<std::vector<std::pair<AppState, attestation::Policy>>> MeasurementSets::apps_of(const base::Tenant& tenant,
                                                                                       const std::string& name) const {
  TRY(auto apps, registry_.apps(tenant));
  std::vector<std::pair<AppState, attestation::Policy>> out;
  for (AppState& state : apps) {
    if (!state.policy) continue;
    TRY(const auto bytes, registry_.blob(tenant, *state.policy), "policy");
    TRY(auto policy, attestation::Policy::parse(base::as_text(bytes)));
    const auto& sets = policy.rules().identities_from;
    if (std::ranges::find(sets, name, &attestation::SetReference::name) == sets.end()) continue;
    out.emplace_back(std::move(state), std::move(policy));
  }
  return out;
}

Result<std::uint32_t> MeasurementSets::required_voices(const base::Tenant& tenant, const std::string& name) const {
  TRY(const auto apps, apps_of(tenant, name));
  std::uint32_t required = 1;
  for (const auto& [state, policy] : apps) {
    required = std::max(required, state.threshold);
    for (const auto& reference : policy.rules().identities_from) {
      if (reference.name == name) required = std::max(required, reference.approvals);
    }
  }
  return required;
}

Result<Impact> MeasurementSets::impact(const base::Tenant& tenant, const std::string& name, const base::Digest32& id,
                                       base::UtcTime now) const {
  TRY(const auto view, store_.read());
  TRY(const auto entry, read_entry(*view, tenant, name, id));
  if (!entry) {
    return Error{Code::not_found,
                 "the set " + name + " has no such entry",
                 {},
                 base::hex(id),
                 "List them: attestry measurement show " + name};
  }
  Impact out;
  TRY(const auto apps, apps_of(tenant, name));
  const std::string source = source_of(name, id);
  for (const auto& [state, policy] : apps) {
    TRY(const auto effective, registry_.effective_policy(state, now));
    const auto& all = effective.identities();
    const auto here = std::ranges::count(all, source, &attestation::IdentityRule::source);
    out.apps.push_back({.app = state.app,
                        .policy = base::hex(*state.policy),
                        .identities_left = all.size() - static_cast<std::size_t>(here)});
  }
  TRY_OK(collect_instances(*view, tenant, source, entry->barred_below, now, out));
  out.json = impact_json(name, id, out).canonical();
  out.sha256 = base::hex(crypto::sha256(base::as_bytes(out.json)));
  return out;
}

Result<std::vector<InstanceStatus>> MeasurementSets::instances(const base::Tenant& tenant, const base::AppRef& app,
                                                               base::UtcTime now) const {
  TRY(const auto view, store_.read());
  const Key prefix = Key(Space::instances, tenant).lp(app.bytes());
  std::vector<InstanceStatus> out;
  TRY_OK(state::scan_each(*view, prefix, kMaxInstances, [&](base::ByteView key, base::ByteView value) -> Status {
    base::Reader name{key.subspan(prefix.bytes().size())};
    TRY(const auto instance, name.lp("instance", 128));
    TRY(const auto record, decode_instance(value));
    InstanceStatus status{.instance = std::string{base::as_text(instance)},
                          .expires = record.expires,
                          .source = record.source,
                          .state = record.expires <= now ? "expired" : "live",
                          .why = {}};
    TRY(const bool holds, still_holds(*view, tenant, app, record));
    if (!holds) {
      status.state = "ended";
      status.why = "what let it in was removed: " + record.source;
    }
    out.push_back(std::move(status));
    return base::done();
  }));
  return out;
}

}  // namespace attestry::governance
