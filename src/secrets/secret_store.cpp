#include "secrets/secret_store.h"

#include <algorithm>

#include "crypto/hash.h"
#include "state/keys.h"
#include "state/sealed.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using state::Key;
using state::Space;

namespace {

constexpr std::uint8_t kRecordVersion = 1;
constexpr std::size_t kMaxValue = 64 * 1024;
// All of them, opened, fit into one reply of 8 MiB (appraisal/challenge.h) beside a configuration of 1 MiB.
constexpr std::size_t kMaxSecrets = 64;
constexpr std::size_t kKeyBytes = 32;

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 63 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.-") == std::string_view::npos;
}

Key tenant_key_record(const base::Tenant& tenant) { return Key(Space::keys, tenant).lp("sealing"); }
Key prefix_of(const base::Tenant& tenant, const base::AppRef& app) {
  return Key(Space::secrets, tenant).lp(app.bytes());
}
Key record_of(const base::Tenant& tenant, const base::AppRef& app, std::string_view name) {
  return prefix_of(tenant, app).lp(name);
}
/// What a sealed value is bound to: its tenant, app and name, so that it opens nowhere else.
base::Bytes binding_of(const base::Tenant& tenant, const base::AppRef& app, std::string_view name) {
  return base::to_bytes(base::ByteView{record_of(tenant, app, name)});
}

struct Record {
  SecretInfo info;
  base::Bytes sealed;
};

Result<Record> decode(base::ByteView key, base::ByteView value, std::size_t prefix_size, const base::AppRef& app) {
  base::Reader name_reader{key.subspan(prefix_size)};
  TRY(const auto name, name_reader.lp("name", 63));
  TRY(auto in, state::open_value(value, kRecordVersion, "secret"));
  TRY(const auto stored, in.u64be("stored"));
  TRY(const auto size, in.u32be("size"));
  TRY(const auto sealed, in.lp("sealed", kMaxValue + 1024));
  TRY_OK(in.finish("secret"));
  return Record{SecretInfo{.id = crypto::sha256(sealed),
                           .name = std::string{base::as_text(name)},
                           .app = app,
                           .size = size,
                           .stored = {static_cast<std::int64_t>(stored)}},
                base::to_bytes(sealed)};
}

Result<std::vector<Record>> read_all(const state::ReadView& view, const base::Tenant& tenant, const base::AppRef& app) {
  const Key prefix = prefix_of(tenant, app);
  std::vector<Record> found;
  std::optional<Error> broken;
  TRY_OK(view.scan(prefix, {}, kMaxSecrets, [&](base::ByteView key, base::ByteView value) {
    auto record = decode(key, value, prefix.bytes().size(), app);
    if (!record) {
      broken = record.error();
      return false;
    }
    found.push_back(std::move(*record));
    return true;
  }));
  if (broken) return *broken;
  return found;
}

/// A listing stops at kMaxSecrets, so a secret beyond would be stored and never released.
Status check_room(const state::ReadView& view, const base::Tenant& tenant, const base::AppRef& app,
                  std::string_view name) {
  TRY(const auto present, view.get(record_of(tenant, app, name)));
  if (present) return base::done();
  std::size_t count = 0;
  TRY_OK(view.scan(prefix_of(tenant, app), {}, kMaxSecrets, [&](base::ByteView, base::ByteView) {
    ++count;
    return true;
  }));
  if (count < kMaxSecrets) return base::done();
  return Error{Code::too_large, "the app has too many secrets", "at most 64", std::to_string(count)};
}

}  // namespace

SecretStore::SecretStore(state::Store& store, crypto::Secret sealing, crypto::Random& random)
    : store_(store), sealing_(std::move(sealing)), random_(random) {}

/// The tenant's random key, unwrapped; `stored` is what its record holds.
static Result<state::SealedValues> tenant_values(const crypto::Secret& sealing, crypto::Random& random,
                                                 const base::Tenant& tenant, base::ByteView stored) {
  TRY(const auto wrapper, state::SealedValues::create(sealing.clone(), random));
  const Key record = tenant_key_record(tenant);
  TRY(auto key, wrapper.open(record, stored), "the tenant's sealing key");
  return state::SealedValues::create(std::move(key), random);
}

Result<SecretInfo> SecretStore::put(const base::Tenant& tenant, const base::AppRef& app, std::string_view name,
                                    const crypto::Secret& value, base::UtcTime now, base::Deadline deadline) {
  if (!is_name(name)) {
    return Error{Code::malformed, "secret name", "1 to 63 of a-z 0-9 _ . -", std::string{name}};
  }
  if (value.size() > kMaxValue) {
    return Error{Code::too_large, "secret value", "at most 65536 bytes", std::to_string(value.size()) + " bytes"};
  }
  SecretInfo info{.id = {}, .name = std::string{name}, .app = app, .size = value.size(), .stored = now};
  TRY_OK(store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        const Key key_record = tenant_key_record(tenant);
        TRY(auto stored, txn.get(key_record));
        if (!stored) {
          TRY(const auto wrapper, state::SealedValues::create(sealing_.clone(), random_));
          const auto fresh = random_.secret(kKeyBytes);
          TRY(stored, wrapper.seal(key_record, fresh.reveal()));
          TRY_OK(txn.put(key_record, *stored));
        }
        TRY_OK(check_room(txn, tenant, app, name));
        TRY(const auto values, tenant_values(sealing_, random_, tenant, *stored));
        TRY(const auto sealed, values.seal(binding_of(tenant, app, name), value.reveal()));
        info.id = crypto::sha256(sealed);
        auto record = state::value(kRecordVersion);
        record.u64(static_cast<std::uint64_t>(now.seconds)).u32(static_cast<std::uint32_t>(value.size())).lp(sealed);
        return txn.put(record_of(tenant, app, name), record.bytes());
      },
      deadline));
  return info;
}

Result<std::vector<SecretInfo>> SecretStore::list(const base::Tenant& tenant, const base::AppRef& app) const {
  TRY(const auto view, store_.read());
  TRY(auto records, read_all(*view, tenant, app));
  std::vector<SecretInfo> infos;
  infos.reserve(records.size());
  for (auto& record : records) infos.push_back(std::move(record.info));
  return infos;
}

Result<std::vector<OpenSecret>> SecretStore::release(const governance::Grant& grant) const {
  const auto& approved = grant.governance().secrets;
  std::vector<OpenSecret> released;
  if (approved.empty()) return released;
  TRY(const auto view, store_.read());
  TRY(auto records, read_all(*view, grant.tenant(), grant.app()));
  TRY(const auto stored_key, view->get(tenant_key_record(grant.tenant())));
  if (!stored_key) return released;
  TRY(const auto values, tenant_values(sealing_, random_, grant.tenant(), *stored_key));
  for (auto& record : records) {
    // A value that was replaced after its approval has another id, so it needs another approval.
    if (std::ranges::find(approved, record.info.id) == approved.end()) continue;
    TRY(auto value, values.open(binding_of(grant.tenant(), grant.app(), record.info.name), record.sealed),
        record.info.name);
    released.push_back({std::move(record.info), std::move(value)});
  }
  return released;
}

}  // namespace attestry::secrets
