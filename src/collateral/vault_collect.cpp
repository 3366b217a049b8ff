// The vault's housekeeping in the store: reading back what has to be refreshed, and forgetting what nobody needs.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "collateral/internal/vault_impl.h"

namespace attestry::collateral {

using attestation::Artefact;
using base::Result;
using base::UtcTime;
using internal::DocumentRef;
using internal::Record;

namespace {

constexpr std::int64_t kDay = 86400;
constexpr std::size_t kBatch = 256;  ///< rows of one transaction: others write too

Result<Artefact> artefact_in(base::ByteView key) {
  TRY(const std::string name, internal::name_in(key));
  return attestation::parse_artefact(name);
}

/// A chip's certificate that was neither stored nor used since: with its name.
Result<std::vector<std::string>> unused_chips(const state::ReadView& view, UtcTime since) {
  std::set<std::string> used;
  const auto see_use = [&](base::ByteView key, base::ByteView value) {
    const auto name = internal::name_in(key);
    const auto at = internal::decode_use(value);
    if (name.ok() && at.ok() && *at >= since) used.insert(*name);
    return true;
  };
  TRY_OK(view.scan(internal::uses_prefix(), {}, SIZE_MAX, see_use));
  std::vector<std::string> out;
  const auto see_record = [&](base::ByteView key, base::ByteView value) {
    const auto artefact = artefact_in(key);
    if (!artefact.ok() || !std::holds_alternative<attestation::VcekOf>(*artefact)) return true;
    const auto record = internal::decode_record(value);
    if (record.ok() && record->fetched_at < since && !used.contains(to_text(*artefact))) {
      out.push_back(to_text(*artefact));
    }
    return true;
  };
  TRY_OK(view.scan(internal::records_prefix(), {}, SIZE_MAX, see_record));
  return out;
}

/// Documents that no record names and that were not stored since.
Result<std::vector<base::Digest32>> loose_documents(const state::ReadView& view, UtcTime since) {
  std::set<base::Digest32> named;
  const auto see_record = [&](base::ByteView, base::ByteView value) {
    const auto record = internal::decode_record(value);
    if (!record.ok()) return true;
    for (const auto* refs : {&record->documents, &record->context}) {
      for (const DocumentRef& ref : *refs) named.insert(ref.sha256);
    }
    return true;
  };
  TRY_OK(view.scan(internal::records_prefix(), {}, SIZE_MAX, see_record));
  std::vector<base::Digest32> out;
  const auto see_content = [&](base::ByteView key, base::ByteView value) {
    const auto digest = internal::digest_in(key);
    const auto stored_at = internal::content_stored_at(value);
    if (digest.ok() && stored_at.ok() && *stored_at < since && !named.contains(*digest)) out.push_back(*digest);
    return true;
  };
  TRY_OK(view.scan(internal::contents_prefix(), {}, SIZE_MAX, see_content));
  return out;
}

/// Looked at again in the transaction: somebody may have stored it meanwhile.
base::Status erase_chip(state::WriteTxn& txn, const std::string& name, UtcTime since) {
  const auto key = internal::record_key(name);
  TRY(const auto stored, txn.get(key));
  if (!stored) return base::done();
  const auto record = internal::decode_record(*stored);
  if (record.ok() && record->fetched_at >= since) return base::done();
  TRY(const auto use, txn.get(internal::use_key(name)));
  if (const auto at = use ? internal::decode_use(*use) : Result<UtcTime>(UtcTime{}); at.ok() && *at >= since) {
    return base::done();
  }
  TRY_OK(txn.erase(key));
  if (use) TRY_OK(txn.erase(internal::use_key(name)));
  return base::done();
}

base::Status erase_document(state::WriteTxn& txn, const base::Digest32& sha256, UtcTime since) {
  const auto key = internal::content_key(sha256);
  TRY(const auto stored, txn.get(key));
  if (!stored) return base::done();
  const auto stored_at = internal::content_stored_at(*stored);
  if (stored_at.ok() && *stored_at >= since) return base::done();
  return txn.erase(key);
}

/// `erase` of each, a batch in each transaction. Nobody waits for it.
template <class Item, class Erase>
void erase_all(state::Store& store, const std::vector<Item>& items, UtcTime since, Erase erase,
               const std::function<void(const base::Status&)>& done) {
  for (std::size_t at = 0; at < items.size(); at += kBatch) {
    const auto begin = items.begin() + static_cast<std::ptrdiff_t>(at);
    std::vector<Item> batch(begin, begin + static_cast<std::ptrdiff_t>(std::min(kBatch, items.size() - at)));
    store.write(
        [batch = std::move(batch), since, erase](state::WriteTxn& txn) -> base::Status {
          for (const Item& item : batch) TRY_OK(erase(txn, item, since));
          return base::done();
        },
        done);
  }
}

}  // namespace

/// False when the vault ends meanwhile.
bool Vault::Impl::pause_until(std::chrono::steady_clock::time_point until) {
  Lock lock(mutex);
  while (!stopping && clock.steady() < until) store_wake.wait_for(lock, options.slice * 20);
  return !stopping;
}

void Vault::Impl::store_keeper() {
  if (store == nullptr) return;
  while (!load_all()) {
    if (!pause_until(clock.steady() + std::chrono::seconds(options.refused_seconds))) return;
  }
  // From before the look, not from its end: what became old while it was under way must not wait for another day.
  auto started = clock.steady();
  do {
    started = clock.steady();
    collect();
  } while (pause_until(started + std::chrono::seconds(kDay)));
}

/// What has to be refreshed is known from the start, whether anybody asks or not. Certificates of chips, of which there
/// may be many, are read when they are asked for. False when the store does not say what it has.
bool Vault::Impl::load_all() {
  std::vector<Artefact> found;
  const auto visit = [&](base::ByteView key, base::ByteView) {
    auto artefact = artefact_in(key);
    if (!artefact.ok()) {
      store_errors->add();
    } else if (!std::holds_alternative<attestation::VcekOf>(*artefact) && found.size() < options.max_artefacts / 2) {
      found.push_back(*std::move(artefact));
    }
    return true;
  };
  const auto view = store->read();
  const auto scanned =
      view.ok() ? (*view)->scan(internal::records_prefix(), {}, SIZE_MAX, visit) : base::Status(view.error());
  if (!scanned.ok()) {
    store_errors->add();
    return false;
  }
  for (const Artefact& artefact : found) {
    {
      const Lock lock(mutex);
      if (stopping) return true;
    }
    warm(artefact);
  }
  const Lock lock(mutex);
  look_again = true;
  keeper_wake.notify_one();
  return true;
}

/// A certificate that its vendor gives out again.
bool Vault::Impl::collectable(const Artefact& artefact) const {
  return fetcher != nullptr && std::holds_alternative<attestation::VcekOf>(artefact) && fetcher->origin(artefact).ok();
}

/// Of what is read back, because it may be pushed out of memory again before anybody looks; once a day each.
void Vault::Impl::note_use(const Artefact& artefact) const {
  if (!collectable(artefact)) return;
  const UtcTime now = clock.now();
  const auto key = internal::use_key(to_text(artefact));
  const auto view = store->read();
  const auto stored = view.ok() ? (*view)->get(key) : Result<std::optional<base::Bytes>>(view.error());
  if (!stored.ok()) return store_errors->add();
  const auto known = *stored ? internal::decode_use(**stored) : Result<UtcTime>(UtcTime{});
  if (known.ok() && now.seconds - known->seconds < kDay) return;
  store->write([key, now](state::WriteTxn& txn) { return txn.put(key, internal::encode_use(now)); },
               [errors = store_errors](const base::Status& status) {
                 if (!status.ok()) errors->add();
               });
}

/// What was asked for since the last look, to the day: the store alone would know of fetches only.
void Vault::Impl::note_uses(UtcTime now) {
  std::vector<std::pair<std::string, UtcTime>> used;
  {
    const Lock lock(mutex);
    for (const auto& [artefact, entry] : entries) {
      const bool lately = now.seconds - entry->used_at.seconds < 2 * kDay;
      if (entry->copy && lately && collectable(artefact)) used.emplace_back(to_text(artefact), entry->used_at);
    }
  }
  for (std::size_t at = 0; at < used.size(); at += kBatch) {
    const auto begin = used.begin() + static_cast<std::ptrdiff_t>(at);
    std::vector batch(begin, begin + static_cast<std::ptrdiff_t>(std::min(kBatch, used.size() - at)));
    store->write(
        [batch = std::move(batch)](state::WriteTxn& txn) -> base::Status {
          for (const auto& [name, at_time] : batch) {
            TRY_OK(txn.put(internal::use_key(name), internal::encode_use(at_time)));
          }
          return base::done();
        },
        [errors = store_errors](const base::Status& status) {
          if (!status.ok()) errors->add();
        });
  }
}

/// The same in memory.
void Vault::Impl::forget_unused(UtcTime since) {
  const Lock lock(mutex);
  for (auto it = entries.begin(); it != entries.end();) {
    const std::shared_ptr<Entry> entry = (it++)->second;
    const bool idle = entry->copy && !entry->job && entry->waiters.empty();
    if (idle && entry->used_at < since && collectable(entry->artefact)) drop(*entry);
  }
}

/// Not while the clock cannot be trusted: a wrong one would call everything old.
void Vault::Impl::collect() {
  if (!store->clock_usable().ok()) return;
  const UtcTime now = clock.now();
  note_uses(now);
  const UtcTime chips_since = now + -options.unused_vcek_seconds;
  const UtcTime documents_since = now + -options.replaced_seconds;
  forget_unused(chips_since);
  const auto view = store->read();
  if (!view.ok()) return store_errors->add();
  const auto chips = unused_chips(**view, chips_since);
  const auto documents = loose_documents(**view, documents_since);
  if (!chips.ok() || !documents.ok()) return store_errors->add();
  const auto done = [errors = store_errors](const base::Status& status) {
    if (!status.ok()) errors->add();
  };
  std::vector<std::string> unused;
  for (const std::string& name : *chips) {
    const auto artefact = attestation::parse_artefact(name);
    if (artefact.ok() && collectable(*artefact)) unused.push_back(name);
  }
  erase_all(*store, unused, chips_since, erase_chip, done);
  erase_all(*store, *documents, documents_since, erase_document, done);
  const Lock lock(mutex);
  counters.collected += unused.size() + documents->size();
}

}  // namespace attestry::collateral
