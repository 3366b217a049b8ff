#include "keys/rotation.h"

#include <algorithm>

#include "crypto/hash.h"
#include "keys/derivation.h"
#include "state/keys.h"
#include "state/scan.h"
#include "state/sealed.h"

namespace attestry::keys {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kMaxSealed = 128 * 1024;
constexpr std::size_t kMaxValues = 100'000;

state::Key app_key(const base::Tenant& tenant, const base::AppRef& app) {
  return state::Key(state::Space::rotation, tenant).lp(app.bytes());
}
state::Key state_key(const base::Tenant& tenant, const base::AppRef& app) { return app_key(tenant, app).u8(0); }
state::Key values_of(const base::Tenant& tenant, const base::AppRef& app) { return app_key(tenant, app).u8(1); }

struct Stored {
  EpochState state;
  base::Bytes cursor;  ///< the last key that was looked at; empty: none
};

Result<Stored> read_state(const state::ReadView& view, base::ByteView key) {
  Stored out;
  TRY(const auto stored, view.get(key));
  if (!stored) return out;
  TRY(auto in, state::open_value(*stored, kVersion, "epochs"));
  TRY(out.state.current, in.u32be("current"));
  TRY(out.state.oldest, in.u32be("oldest"));
  TRY(out.state.resealed, in.u64be("resealed"));
  TRY(const auto finished, in.u8("finished"));
  out.state.finished = finished != 0;
  TRY(const auto cursor, in.lp("cursor", 4096));
  out.cursor = base::to_bytes(cursor);
  TRY_OK(in.finish("epochs"));
  return out;
}

Status write_state(state::WriteTxn& txn, base::ByteView key, const Stored& stored) {
  const auto& state = stored.state;
  auto value = state::value(kVersion);
  value.u32(state.current).u32(state.oldest).u64(state.resealed).u8(state.finished ? 1 : 0).lp(stored.cursor);
  return txn.put(key, value.bytes());
}

}  // namespace

struct EpochSealed::Record {
  std::uint32_t epoch = 0;
  base::Bytes sealed;

  static Result<Record> read(base::ByteView stored) {
    Record out;
    TRY(auto in, state::open_value(stored, kVersion, "sealed value"));
    TRY(out.epoch, in.u32be("epoch"));
    TRY(const auto sealed, in.lp("sealed", kMaxSealed));
    out.sealed = base::to_bytes(sealed);
    TRY_OK(in.finish("sealed value"));
    return out;
  }
};

Result<crypto::Secret> DerivedEpochKeys::sealing_key(const base::Tenant& tenant, const base::AppRef& app,
                                                     std::uint32_t epoch) const {
  const auto app_root = derive_app_root(root_, realm_, tenant, app, epoch);
  base::LpWriter info;
  info.lp("sealing").lp("epoch");
  return crypto::hkdf_expand_sha256(app_root.reveal(), info.bytes(), 32);
}

Result<base::Bytes> EpochSealed::seal(const base::Tenant& tenant, const base::AppRef& app, std::uint32_t epoch,
                                      base::ByteView record_key, base::ByteView value) const {
  TRY(auto key, keys_.sealing_key(tenant, app, epoch));
  TRY(const auto sealer, state::SealedValues::create(std::move(key), random_));
  TRY(const auto sealed, sealer.seal(record_key, value));
  return state::value(kVersion).u32(epoch).lp(sealed).bytes();
}

Result<crypto::Secret> EpochSealed::open(const base::Tenant& tenant, const base::AppRef& app, base::ByteView record_key,
                                         const Record& record) const {
  TRY(auto key, keys_.sealing_key(tenant, app, record.epoch));
  TRY(const auto sealer, state::SealedValues::create(std::move(key), random_));
  return sealer.open(record_key, record.sealed);
}

Status EpochSealed::put(const base::Tenant& tenant, const base::AppRef& app, std::string_view name,
                        const crypto::Secret& value, base::Deadline deadline) {
  const auto at = state_key(tenant, app);
  const auto key = values_of(tenant, app).lp(name);
  return store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY(const auto stored, read_state(txn, at));
        TRY(const auto record, seal(tenant, app, stored.state.current, key, value.reveal()));
        return txn.put(key, record);
      },
      deadline);
}

Result<crypto::Secret> EpochSealed::get(const base::Tenant& tenant, const base::AppRef& app,
                                        std::string_view name) const {
  const auto key = values_of(tenant, app).lp(name);
  TRY(const auto view, store_.read());
  TRY(const auto value, view->get(key));
  if (!value) return Error{Code::not_found, "there is no sealed value of that name"};
  TRY(const auto stored, read_state(*view, state_key(tenant, app)));
  TRY(const auto record, Record::read(*value));
  if (record.epoch < stored.state.oldest) {
    return Error{Code::denied, "the value was sealed in a retired epoch",
                 "epoch " + std::to_string(stored.state.oldest) + " or later", std::to_string(record.epoch)};
  }
  return open(tenant, app, key, record);
}

Result<EpochState> EpochSealed::state(const base::Tenant& tenant, const base::AppRef& app) const {
  TRY(const auto view, store_.read());
  TRY(const auto stored, read_state(*view, state_key(tenant, app)));
  return stored.state;
}

Status EpochSealed::advance(const base::Tenant& tenant, const base::AppRef& app, std::uint32_t epoch,
                            base::Deadline deadline) {
  const auto at = state_key(tenant, app);
  return store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY(auto stored, read_state(txn, at));
        if (epoch == stored.state.current) return base::done();
        if (epoch < stored.state.current) {
          return Error{Code::conflict, "epochs only go up", "after " + std::to_string(stored.state.current),
                       std::to_string(epoch)};
        }
        // Where an unfinished rotation stood does not matter: the new one looks at every value from the first.
        stored = {.state = {.current = epoch, .oldest = stored.state.oldest, .resealed = 0, .finished = false},
                  .cursor = {}};
        return write_state(txn, at, stored);
      },
      deadline);
}

Status EpochSealed::reseal(state::WriteTxn& txn, const base::Tenant& tenant, const base::AppRef& app,
                           std::size_t most) const {
  const auto at = state_key(tenant, app);
  TRY(auto stored, read_state(txn, at));
  if (stored.state.finished) return base::done();
  std::vector<std::pair<base::Bytes, base::Bytes>> some;
  // From the last key that was looked at, which comes again and is skipped.
  TRY_OK(txn.scan(values_of(tenant, app), stored.cursor, most + 1, [&](base::ByteView key, base::ByteView value) {
    if (some.size() < most && !base::equal(key, stored.cursor))
      some.emplace_back(base::to_bytes(key), base::to_bytes(value));
    return true;
  }));
  for (const auto& [key, value] : some) {
    TRY(const auto record, Record::read(value));
    stored.cursor = key;
    if (record.epoch == stored.state.current) continue;
    TRY(const auto plain, open(tenant, app, key, record));
    TRY(const auto again, seal(tenant, app, stored.state.current, key, plain.reveal()));
    TRY_OK(txn.put(key, again));
    ++stored.state.resealed;
  }
  if (some.empty()) {
    stored.state.finished = true;
    stored.cursor.clear();
  }
  return write_state(txn, at, stored);
}

Result<EpochState> EpochSealed::step(const base::Tenant& tenant, const base::AppRef& app, std::size_t most,
                                     base::Deadline deadline) {
  const std::size_t count = std::max<std::size_t>(most, 1);
  TRY_OK(store_.write_and_wait([&](state::WriteTxn& txn) { return reseal(txn, tenant, app, count); }, deadline));
  return state(tenant, app);
}

Status EpochSealed::retire(const base::Tenant& tenant, const base::AppRef& app, std::uint32_t oldest,
                           base::Deadline deadline) {
  const auto at = state_key(tenant, app);
  const auto values = values_of(tenant, app);
  return store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY(auto stored, read_state(txn, at));
        if (oldest <= stored.state.oldest) return base::done();
        if (oldest > stored.state.current)
          return Error{Code::conflict, "that epoch has not begun", "at most " + std::to_string(stored.state.current),
                       std::to_string(oldest)};
        // Not the progress but the values themselves are asked: none may become unreadable.
        TRY_OK(state::scan_each(txn, values, kMaxValues, [&](base::ByteView, base::ByteView value) -> Status {
          TRY(const auto record, Record::read(value));
          if (record.epoch >= oldest) return base::done();
          return Error{Code::conflict, "values of older epochs are left",
                       "every value in epoch " + std::to_string(oldest) + " or later", std::to_string(record.epoch),
                       "Let the rotation finish first."};
        }));
        stored.state.oldest = oldest;
        return write_state(txn, at, stored);
      },
      deadline);
}

}  // namespace attestry::keys
