// Records of other spaces under the tenants' sealing keys: the rest of SecretStore.
#include <algorithm>
#include <optional>

#include "base/log.h"
#include "base/reader.h"
#include "secrets/secret_store.h"
#include "state/keys.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using state::Key;
using state::Space;

namespace {

constexpr std::uint8_t kRecordVersion = 1;
constexpr std::size_t kMaxSealed = 2u << 20;

struct Record {
  std::uint32_t epoch = 0;
  base::ByteView sealed;  ///< of the value that was parsed
};

Result<Record> parse(base::ByteView stored) {
  TRY(auto in, state::open_value(stored, kRecordVersion, "sealed record"));
  Record out;
  TRY(out.epoch, in.u32be("epoch"));
  TRY(out.sealed, in.lp("sealed", kMaxSealed));
  TRY_OK(in.finish("sealed record"));
  return out;
}

base::Bytes form(std::uint32_t epoch, base::ByteView sealed) {
  return std::move(state::value(kRecordVersion).u32(epoch).lp(sealed)).take();
}

}  // namespace

Result<SecretStore::Sealer> SecretStore::record_sealer(const state::ReadView& view, const base::Tenant& tenant,
                                                       std::uint32_t epoch) const {
  {
    const base::MutexLock lock(mutex_);
    const auto known = sealers_.find({tenant.text(), epoch});
    if (known != sealers_.end()) return known->second;
  }
  missed_ = true;
  TRY(auto made, sealer(view, tenant, epoch));
  return std::make_shared<const state::SealedValues>(std::move(made));
}

void SecretStore::remember_keys(const base::Tenant& tenant) const {
  if (!missed_.exchange(false)) return;
  const auto view = store_.read();
  if (!view) return;
  const auto now = epochs_.state(**view, tenant);
  if (!now) return;
  auto made = sealer(**view, tenant, now->current);
  const base::MutexLock lock(mutex_);
  std::erase_if(sealers_, [&](const auto& entry) {
    return entry.first.first == tenant.text() && entry.first.second < now->oldest;
  });
  // Before the first value of a tenant there is no key.
  if (made) sealers_[{tenant.text(), now->current}] = std::make_shared<const state::SealedValues>(*std::move(made));
}

Status SecretStore::put_record(state::WriteTxn& txn, const base::Tenant& tenant, base::ByteView key,
                               base::ByteView plaintext) const {
  TRY(const auto epoch, epochs_.state(txn, tenant));
  if (epoch.current == 0) TRY_OK(make_first_key(txn, tenant));
  TRY(const auto values, record_sealer(txn, tenant, epoch.current));
  TRY(const auto sealed, values->seal(key, plaintext));
  return txn.put(key, form(epoch.current, sealed));
}

Result<base::Bytes> SecretStore::seal_record(const state::ReadView& view, const base::Tenant& tenant,
                                             base::ByteView key, base::ByteView plaintext) const {
  TRY(const auto epoch, epochs_.state(view, tenant));
  TRY(const auto values, record_sealer(view, tenant, epoch.current));
  TRY(const auto sealed, values->seal(key, plaintext));
  return form(epoch.current, sealed);
}

Result<crypto::Secret> SecretStore::open_record(const state::ReadView& view, const base::Tenant& tenant,
                                                base::ByteView key, base::ByteView stored) const {
  TRY(const auto record, parse(stored));
  TRY_OK(epochs_.readable(view, tenant, record.epoch));
  TRY(const auto values, record_sealer(view, tenant, record.epoch));
  return values->open(key, record.sealed);
}

Result<SecretStore::Resealed> SecretStore::reseal_records(state::WriteTxn& txn, const base::Tenant& tenant, Space space,
                                                          base::ByteView cursor, std::size_t most) const {
  TRY(const auto epoch, epochs_.state(txn, tenant));
  Resealed out{.values = 0, .cursor = base::to_bytes(cursor), .finished = false};
  std::vector<std::pair<base::Bytes, base::Bytes>> some;
  TRY_OK(txn.scan(Key(space, tenant), cursor, most + 1, [&](base::ByteView key, base::ByteView value) {
    if (some.size() < most && !base::equal(key, cursor)) some.emplace_back(base::to_bytes(key), base::to_bytes(value));
    return true;
  }));
  out.finished = some.empty();
  for (const auto& [key, value] : some) {
    out.cursor = key;
    const auto record = parse(value);
    if (record && record->epoch == epoch.current) continue;
    const auto plain = record ? open_record(txn, tenant, key, value) : Result<crypto::Secret>(record.error());
    if (!plain) {
      // As with deposited secrets: one damaged value keeps none of the others, and retire() counts it.
      base::log(base::LogLevel::error, "a sealed record cannot be sealed anew", {{"reason", plain.error().text()}});
      continue;
    }
    TRY_OK(put_record(txn, tenant, key, plain->reveal()));
    ++out.values;
  }
  return out;
}

Result<SecretStore::Resealed> SecretStore::reseal(state::WriteTxn& txn, const base::Tenant& tenant,
                                                  base::ByteView cursor, std::size_t most) const {
  // The cursor is a key, and a key begins with its space.
  std::vector<Space> spaces{Space::secrets};
  spaces.insert(spaces.end(), std::begin(kSealedSpaces), std::end(kSealedSpaces));
  for (const Space space : spaces) {
    const auto byte = static_cast<std::uint8_t>(space);
    if (!cursor.empty() && cursor[0] > byte) continue;
    const base::ByteView from = !cursor.empty() && cursor[0] == byte ? cursor : base::ByteView{};
    TRY(auto done, space == Space::secrets ? reseal_secrets(txn, tenant, from, most)
                                           : reseal_records(txn, tenant, space, from, most));
    if (!done.finished) return done;
  }
  return Resealed{.values = 0, .cursor = base::to_bytes(cursor), .finished = true};
}

}  // namespace attestry::secrets
