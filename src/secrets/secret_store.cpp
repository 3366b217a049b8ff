#include "secrets/secret_store.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "base/encoding.h"
#include "base/log.h"
#include "base/reader.h"
#include "crypto/hash.h"
#include "state/keys.h"
#include "state/scan.h"
#include "state/sealed.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using state::Key;
using state::Space;

namespace {

constexpr std::uint8_t kRecordVersion = 2;       // sealed under the tenant's first key; its digest is the id
constexpr std::uint8_t kEpochRecordVersion = 3;  // sealed in an epoch, and bound to the id
constexpr std::string_view kPurpose = "secrets";
constexpr std::size_t kSealedExtra = 1024;  // what sealing adds, with room

constexpr std::size_t base64_size(std::size_t bytes) { return (bytes + 2) / 3 * 4; }
constexpr std::size_t kMaxReply = 8u << 20;          // appraisal/challenge.h
constexpr std::size_t kMaxConfiguration = 1u << 20;  // provision/template.cpp
constexpr std::size_t kRestOfRelease = 64 * 1024;    // names, keys, certificates
static_assert(kMaxValues * base64_size(kMaxValueBytes) + base64_size(kMaxConfiguration) + kRestOfRelease <= kMaxReply,
              "all values of an app fit into one sealed reply, whichever of them are approved");

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kMaxOfTenant = 1u << 30;

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 63 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.-") == std::string_view::npos;
}

Key tenant_key_record(const base::Tenant& tenant) { return Key(Space::keys, tenant).lp("sealing"); }
Key prefix_of(const base::Tenant& tenant, const base::AppRef& app) { return state::secret_key(tenant, app); }
Key record_of(const base::Tenant& tenant, const base::AppRef& app, const base::Digest32& id) {
  return prefix_of(tenant, app).raw(id);
}
/// What a sealed value is bound to: its tenant, app and name, so that it opens
/// nowhere else. The id is the digest of what comes out, so it binds by itself; what is sealed in a later epoch is
/// bound to it by epoch_binding().
base::Bytes binding_of(const base::Tenant& tenant, const base::AppRef& app, std::string_view name) {
  return base::to_bytes(base::ByteView{prefix_of(tenant, app).lp(name)});
}

/// `prefix` is prefix_of(tenant, app).
base::Bytes epoch_binding(base::ByteView prefix, std::string_view name, base::ByteView id) {
  base::LpWriter out;
  return std::move(out.raw(prefix).lp(name).lp("id").raw(id)).take();
}

struct Record {
  SecretInfo info;
  base::Bytes sealed;
  std::uint32_t epoch = 0;
};

base::Bytes encode(const Record& record) {
  auto out = state::value(record.epoch == 0 ? kRecordVersion : kEpochRecordVersion);
  if (record.epoch != 0) out.u32(record.epoch);
  out.lp(record.info.name).u64(static_cast<std::uint64_t>(record.info.stored.seconds));
  out.u32(static_cast<std::uint32_t>(record.info.size)).lp(record.sealed);
  return std::move(out).take();
}

Result<Record> decode(base::ByteView value, const base::AppRef& app, base::ByteView id) {
  const bool of_epoch = !value.empty() && value[0] == kEpochRecordVersion;
  TRY(auto in, state::open_value(value, of_epoch ? kEpochRecordVersion : kRecordVersion, "secret"));
  std::uint32_t epoch = 0;
  if (of_epoch) {
    TRY(epoch, in.u32be("epoch"));
  }
  TRY(const auto name, in.lp("name", 63));
  TRY(const auto stored, in.u64be("stored"));
  TRY(const auto size, in.u32be("size"));
  TRY(const auto sealed, in.lp("sealed", kMaxValueBytes + kSealedExtra));
  TRY_OK(in.finish("secret"));
  // Operators approved the digest of these bytes and of no others. Bytes of an epoch open for their id only.
  base::Digest32 found{};
  if (of_epoch && id.size() == found.size()) {
    std::ranges::copy(id, found.begin());
  } else {
    found = crypto::sha256(sealed);
  }
  if (!std::ranges::equal(found, id)) {
    return Error{Code::corrupt, "a stored secret has another content than its id", base::hex(id), base::hex(found),
                 "Restore the store from a backup, or deposit the value again "
                 "and approve its new id."};
  }
  return Record{SecretInfo{.id = found,
                           .name = std::string{base::as_text(name)},
                           .app = app,
                           .size = size,
                           .stored = {static_cast<std::int64_t>(stored)}},
                base::to_bytes(sealed), epoch};
}

Result<std::vector<SecretInfo>> read_infos(const state::ReadView& view, const base::Tenant& tenant,
                                           const base::AppRef& app) {
  const Key prefix = prefix_of(tenant, app);
  std::vector<SecretInfo> found;
  std::optional<Error> broken;
  TRY_OK(view.scan(prefix, {}, kMaxValues, [&](base::ByteView key, base::ByteView value) {
    auto record = decode(value, app, key.subspan(prefix.bytes().size()));
    if (!record) {
      broken = record.error();
      return false;
    }
    found.push_back(std::move(record->info));
    return true;
  }));
  if (broken) return *broken;
  // For people: the values of a name together, oldest first.
  std::ranges::sort(found, {}, [](const SecretInfo& info) { return std::tie(info.name, info.stored, info.id); });
  return found;
}

Status check_room(const state::ReadView& view, const base::Tenant& tenant, const base::AppRef& app) {
  std::size_t count = 0;
  TRY_OK(view.scan(prefix_of(tenant, app), {}, kMaxValues, [&](base::ByteView, base::ByteView) {
    ++count;
    return true;
  }));
  if (count < kMaxValues) return base::done();
  return Error{Code::too_large, "the app has too many stored secrets", "at most " + std::to_string(kMaxValues),
               std::to_string(count),
               "Remove values that are no longer used: attestry secret list, "
               "attestry secret remove"};
}

/// One approved value. Less than what was approved is never released, so that
/// no workload starts without a secret that its operators believe it has.
Result<Record> approved_record(const state::ReadView& view, const governance::Grant& grant, const base::Digest32& id) {
  TRY(const auto stored, view.get(record_of(grant.tenant(), grant.app(), id)));
  if (stored) return decode(*stored, grant.app(), id);
  return Error{Code::corrupt,
               "an approved secret is not stored",
               {},
               base::hex(id),
               "Restore the store from a backup, or take the approval back "
               "(attestry approve revocation APP ID) and "
               "deposit and approve the value again."};
}

}  // namespace

SecretStore::SecretStore(state::Store& store, crypto::Secret sealing, crypto::Random& random)
    : store_(store), sealing_(std::move(sealing)), random_(random), epochs_(store, sealing_.clone(), random) {}

/// The tenant's random key, unwrapped; `stored` is what its record holds.
static Result<state::SealedValues> tenant_values(const crypto::Secret& sealing, crypto::Random& random,
                                                 const base::Tenant& tenant, base::ByteView stored) {
  TRY(const auto wrapper, state::SealedValues::create(sealing.clone(), random));
  const Key record = tenant_key_record(tenant);
  TRY(auto key, wrapper.open(record, stored), "the tenant's sealing key");
  return state::SealedValues::create(std::move(key), random);
}

/// `prefix` is prefix_of() of the record's app.
static Result<crypto::Secret> open(const state::SealedValues& sealer, base::ByteView prefix, const Record& record) {
  if (record.epoch != 0) return sealer.open(epoch_binding(prefix, record.info.name, record.info.id), record.sealed);
  base::LpWriter binding;
  return sealer.open(binding.raw(prefix).lp(record.info.name).bytes(), record.sealed);
}

Result<SecretInfo> SecretStore::put(const base::Tenant& tenant, const base::AppRef& app, std::string_view name,
                                    const crypto::Secret& value, base::UtcTime now, base::Deadline deadline) {
  if (!is_name(name)) {
    return Error{Code::malformed, "secret name", "1 to 63 of a-z 0-9 _ . -", std::string{name}};
  }
  if (value.size() > kMaxValueBytes) {
    return Error{Code::too_large, "secret value", "at most " + std::to_string(kMaxValueBytes) + " bytes",
                 std::to_string(value.size()) + " bytes"};
  }
  SecretInfo info{.id = {}, .name = std::string{name}, .app = app, .size = value.size(), .stored = now};
  TRY_OK(store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY(const auto epoch, epochs_.state(txn, tenant));
        if (epoch.current == 0) TRY_OK(make_first_key(txn, tenant));
        TRY_OK(check_room(txn, tenant, app));
        TRY(const auto values, sealer(txn, tenant, epoch.current));
        Record record{.info = info, .sealed = {}, .epoch = epoch.current};
        TRY(record.sealed, values.seal(binding_of(tenant, app, name), value.reveal()));
        info.id = crypto::sha256(record.sealed);
        if (epoch.current != 0) {
          // The id is as random as ever, and from now on what the sealed bytes are bound to.
          TRY(record.sealed, values.seal(epoch_binding(prefix_of(tenant, app), name, info.id), value.reveal()));
        }
        return txn.insert(record_of(tenant, app, info.id), encode(record));
      },
      deadline));
  return info;
}

Status SecretStore::remove(const governance::AppState& governed, std::string_view name, const base::Digest32& id,
                           base::Deadline deadline) {
  if (std::ranges::find(governed.secrets, id) != governed.secrets.end()) {
    return Error{Code::conflict,
                 "the value is approved",
                 {},
                 base::hex(id),
                 "Take its approval back first: attestry approve revocation APP ID"};
  }
  return store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        if (auto same = governance::Registry::require_version(txn, governed.tenant, governed.app, governed.version);
            !same) {
          same.error().remedy = "Try again: what is approved now decides.";
          return same;
        }
        const Key key = record_of(governed.tenant, governed.app, id);
        TRY(const auto stored, txn.get(key));
        if (!stored) return Error{Code::not_found, "the app has no stored secret of that id", {}, base::hex(id)};
        // A damaged value has no name that could be compared, and must not be there for ever.
        const auto record = decode(*stored, governed.app, id);
        if (record && record->info.name != name) {
          return Error{Code::not_found, "the value of that id has another name", record->info.name, std::string{name}};
        }
        return txn.erase(key);
      },
      deadline);
}

Result<std::vector<SecretInfo>> SecretStore::list(const base::Tenant& tenant, const base::AppRef& app) const {
  TRY(const auto view, store_.read());
  return read_infos(*view, tenant, app);
}

Result<std::vector<OpenSecret>> SecretStore::release(const governance::Grant& grant) const {
  const auto& approved = grant.governance().secrets;
  std::vector<OpenSecret> released;
  if (approved.empty()) return released;
  TRY(const auto view, store_.read());
  // In the order of their approvals, so that of each name the last approved
  // value remains.
  std::map<std::string, Record> chosen;
  for (const auto& id : approved) {
    TRY(auto record, approved_record(*view, grant, id));
    chosen.insert_or_assign(record.info.name, std::move(record));
  }
  std::map<std::uint32_t, state::SealedValues> sealers;
  const Key prefix = prefix_of(grant.tenant(), grant.app());
  for (auto& [name, record] : chosen) {
    auto known = sealers.find(record.epoch);
    if (known == sealers.end()) {
      TRY(auto made, sealer(*view, grant.tenant(), record.epoch));
      known = sealers.emplace(record.epoch, std::move(made)).first;
    }
    TRY(auto value, open(known->second, prefix, record), name);
    released.push_back({std::move(record.info), std::move(value)});
  }
  return released;
}

Result<state::SealedValues> SecretStore::sealer(const state::ReadView& view, const base::Tenant& tenant,
                                                std::uint32_t epoch) const {
  if (epoch != 0) {
    TRY(auto key, epochs_.key(view, tenant, epoch, kPurpose));
    return state::SealedValues::create(std::move(key), random_);
  }
  TRY_OK(epochs_.readable(view, tenant, 0));
  TRY(const auto stored, view.get(tenant_key_record(tenant)));
  if (!stored) return Error{Code::corrupt, "the tenant's sealing key is not stored"};
  return tenant_values(sealing_, random_, tenant, *stored);
}

Status SecretStore::make_first_key(state::WriteTxn& txn, const base::Tenant& tenant) const {
  const Key record = tenant_key_record(tenant);
  TRY(const auto stored, txn.get(record));
  if (stored) return base::done();
  TRY(const auto wrapper, state::SealedValues::create(sealing_.clone(), random_));
  const auto fresh = random_.secret(kKeyBytes);
  TRY(const auto wrapped, wrapper.seal(record, fresh.reveal()));
  return txn.put(record, wrapped);
}

Result<SecretStore::Resealed> SecretStore::reseal_secrets(state::WriteTxn& txn, const base::Tenant& tenant,
                                                          base::ByteView cursor, std::size_t most) const {
  TRY(const auto epoch, epochs_.state(txn, tenant));
  Resealed out{.values = 0, .cursor = base::to_bytes(cursor), .finished = false};
  // Which app a record is of stands in its key, which stays as it is.
  TRY(const auto any_app, base::AppRef::parse("name:any"));
  std::vector<std::pair<base::Bytes, base::Bytes>> some;
  // From the last key that was looked at, which comes again and is skipped.
  TRY_OK(txn.scan(Key(Space::secrets, tenant), cursor, most + 1, [&](base::ByteView key, base::ByteView value) {
    if (some.size() < most && !base::equal(key, cursor)) some.emplace_back(base::to_bytes(key), base::to_bytes(value));
    return true;
  }));
  out.finished = some.empty();
  for (const auto& [key, value] : some) {
    out.cursor = key;
    const base::ByteView prefix = base::ByteView{key}.first(key.size() - std::tuple_size_v<base::Digest32>);
    auto record = decode(value, any_app, base::ByteView{key}.subspan(prefix.size()));
    if (!record) {
      // A damaged value cannot be sealed anew, and must not keep the others from it: retire() will name it.
      base::log(base::LogLevel::error, "a stored secret cannot be sealed anew", {{"reason", record.error().text()}});
      continue;
    }
    if (record->epoch == epoch.current) continue;
    const auto before = sealer(txn, tenant, record->epoch);
    const auto plain = before ? open(*before, prefix, *record) : Result<crypto::Secret>(before.error());
    if (!plain) {
      base::log(base::LogLevel::error, "a stored secret cannot be sealed anew", {{"reason", plain.error().text()}});
      continue;
    }
    TRY(const auto now, sealer(txn, tenant, epoch.current));
    TRY(record->sealed, now.seal(epoch_binding(prefix, record->info.name, record->info.id), plain->reveal()));
    record->epoch = epoch.current;
    TRY_OK(txn.put(key, encode(*record)));
    ++out.values;
  }
  return out;
}

Result<std::uint64_t> SecretStore::older_than(const state::ReadView& view, const base::Tenant& tenant,
                                              std::uint32_t epoch) const {
  std::uint64_t count = 0;
  TRY_OK(state::scan_each(view, Key(Space::secrets, tenant), kMaxOfTenant,
                          [&](base::ByteView, base::ByteView value) -> Status {
                            base::Reader in{value};
                            TRY(const auto version, in.u8("version"));
                            std::uint32_t of = 0;
                            if (version == kEpochRecordVersion) {
                              TRY(of, in.u32be("epoch"));
                            }
                            if (of < epoch) ++count;
                            return base::done();
                          }));
  for (const Space space : kSealedSpaces) {
    TRY_OK(
        state::scan_each(view, Key(space, tenant), kMaxOfTenant, [&](base::ByteView, base::ByteView value) -> Status {
          base::Reader in{value};
          TRY_OK(in.u8("version"));
          TRY(const auto of, in.u32be("epoch"));
          if (of < epoch) ++count;
          return base::done();
        }));
  }
  return count;
}

Status SecretStore::erase_first_key(state::WriteTxn& txn, const base::Tenant& tenant) const {
  {
    const base::MutexLock lock(mutex_);
    sealers_.erase({tenant.text(), 0});
  }
  return txn.erase(tenant_key_record(tenant));
}

}  // namespace attestry::secrets
