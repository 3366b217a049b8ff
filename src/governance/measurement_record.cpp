#include "governance/measurement_record.h"

#include "base/encoding.h"
#include "state/keys.h"

namespace attestry::governance {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using state::Key;
using state::Space;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint32_t kMaxVoices = 256;
constexpr std::size_t kMaxEntries = 4096;

Key entries_prefix(const base::Tenant& tenant, const std::string& set) {
  return Key(Space::measurements, tenant).lp(set);
}

Result<MeasurementState> state_from(std::uint8_t value) {
  if (value < static_cast<std::uint8_t>(MeasurementState::proposed) ||
      value > static_cast<std::uint8_t>(MeasurementState::removed)) {
    return Error{Code::corrupt, "state of a measurement"};
  }
  return static_cast<MeasurementState>(value);
}

Result<EntryRecord> decode_entry(base::ByteView stored) {
  TRY(auto in, state::open_value(stored, kVersion, "measurement"));
  EntryRecord out;
  TRY(const auto state, in.u8("state"));
  TRY(out.state, state_from(state));
  TRY(const auto changed, in.u64be("changed"));
  out.changed = {static_cast<std::int64_t>(changed)};
  TRY(out.barred_below, in.u64be("barred below"));
  TRY(const auto count, in.u32be("voices"));
  if (count > kMaxVoices) return Error{Code::corrupt, "voices of a measurement"};
  for (std::uint32_t i = 0; i < count; ++i) {
    TRY(const auto key, in.take_array<32>("key"));
    TRY(const auto at, in.u64be("at"));
    out.voices.push_back({key, {static_cast<std::int64_t>(at)}});
  }
  TRY_OK(in.finish("measurement"));
  return out;
}

}  // namespace

Result<SetHead> read_head(const state::ReadView& view, const base::Tenant& tenant, const std::string& set) {
  TRY(const auto stored, view.get(Key(Space::measurement_sets, tenant).lp(set)));
  SetHead out;
  if (!stored) return out;
  TRY(auto in, state::open_value(*stored, kVersion, "measurement set"));
  TRY(out.count, in.u64be("count"));
  TRY(out.seq, in.u64be("seq"));
  TRY(const auto prev, in.lp("prev", 64));
  out.prev = std::string{base::as_text(prev)};
  TRY_OK(in.finish("measurement set"));
  return out;
}

Status write_head(state::WriteTxn& txn, const base::Tenant& tenant, const std::string& set, const SetHead& head) {
  auto value = state::value(kVersion);
  value.u64(head.count).u64(head.seq).lp(head.prev);
  return txn.put(Key(Space::measurement_sets, tenant).lp(set), value.bytes());
}

Result<std::optional<EntryRecord>> read_entry(const state::ReadView& view, const base::Tenant& tenant,
                                              const std::string& set, const base::Digest32& id) {
  TRY(const auto stored, view.get(entries_prefix(tenant, set).raw(id)));
  if (!stored) return std::optional<EntryRecord>{};
  TRY(auto entry, decode_entry(*stored));
  return std::optional{std::move(entry)};
}

Status write_entry(state::WriteTxn& txn, const base::Tenant& tenant, const std::string& set, const base::Digest32& id,
                   const EntryRecord& entry) {
  auto value = state::value(kVersion);
  value.u8(static_cast<std::uint8_t>(entry.state)).u64(static_cast<std::uint64_t>(entry.changed.seconds));
  value.u64(entry.barred_below).u32(static_cast<std::uint32_t>(entry.voices.size()));
  for (const Voice& voice : entry.voices) {
    value.raw(voice.key).u64(static_cast<std::uint64_t>(voice.at.seconds));
  }
  return txn.put(entries_prefix(tenant, set).raw(id), value.bytes());
}

Result<std::vector<std::pair<base::Digest32, EntryRecord>>> read_entries(const state::ReadView& view,
                                                                         const base::Tenant& tenant,
                                                                         const std::string& set) {
  const Key prefix = entries_prefix(tenant, set);
  std::vector<std::pair<base::Digest32, EntryRecord>> out;
  std::optional<Error> broken;
  TRY_OK(view.scan(prefix, {}, kMaxEntries, [&](base::ByteView key, base::ByteView value) {
    auto entry = decode_entry(value);
    base::Reader name{key.subspan(prefix.bytes().size())};
    const auto id = name.take_array<32>("id");
    if (!entry || !id) {
      broken = entry ? id.error() : entry.error();
      return false;
    }
    out.emplace_back(*id, *std::move(entry));
    return true;
  }));
  if (broken) return *broken;
  return out;
}

Result<std::uint64_t> references_version(const state::ReadView& view, const base::Tenant& tenant) {
  TRY(const auto stored, view.get(Key(Space::governance_state, tenant)));
  if (!stored) return std::uint64_t{0};
  TRY(auto in, state::open_value(*stored, kVersion, "governance version"));
  return in.u64be("version");
}

Status bump_references_version(state::WriteTxn& txn, const base::Tenant& tenant) {
  TRY(const auto now, references_version(txn, tenant));
  auto value = state::value(kVersion);
  value.u64(now + 1);
  return txn.put(Key(Space::governance_state, tenant), value.bytes());
}

Result<bool> still_holds(const state::ReadView& view, const base::Tenant& tenant, const base::AppRef& app,
                         const InstanceRecord& record) {
  constexpr std::string_view kScheme = "set:";
  const auto slash = record.source.find('/');
  TRY(const auto barred, barred_below(view, tenant, app, record.source.substr(0, slash)));
  if (record.leaf_index < barred) return false;
  if (!record.source.starts_with(kScheme) || slash == std::string::npos) return true;
  const std::string set = record.source.substr(kScheme.size(), slash - kScheme.size());
  base::Digest32 id{};
  if (!base::hex_decode_into(record.source.substr(slash + 1), id)) return true;
  TRY(const auto entry, read_entry(view, tenant, set, id));
  return entry && entry->barred_below <= record.leaf_index;
}

std::string source_of(const std::string& set, const base::Digest32& id) { return "set:" + set + "/" + base::hex(id); }

}  // namespace attestry::governance
