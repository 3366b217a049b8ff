// The vault's store: reading back, writing, listing, and taking in what somebody brings.
#include <algorithm>
#include <utility>

#include "base/encoding.h"
#include "base/log.h"
#include "collateral/internal/vault_impl.h"
#include "crypto/hash.h"

namespace attestry::collateral {

using attestation::Artefact;
using attestation::Collateral;
using attestation::CollateralItem;
using base::Code;
using base::Error;
using base::Result;
using base::UtcTime;
using internal::DocumentRef;
using internal::Record;

namespace {

std::vector<DocumentRef> refs_of(const Collateral& documents) {
  std::vector<DocumentRef> out;
  for (const CollateralItem& item : documents.items()) out.push_back({item.kind, item.sha256, item.bytes.size()});
  return out;
}

Record record_of(const Copy& copy) {
  return {.fetched_at = copy.fetched_at,
          .refresh_at = copy.refresh_at,
          .accepted = copy.accepted,
          .source = copy.source,
          .documents = refs_of(*copy.documents),
          .context = refs_of(*copy.context)};
}

void read_infos(const std::vector<DocumentRef>& refs, std::vector<DocumentInfo>& out) {
  for (const DocumentRef& ref : refs) out.push_back({ref.kind, ref.sha256, static_cast<std::size_t>(ref.size)});
}

}  // namespace

/// The store's copy as it is, not judged.
Result<CopyPtr> Vault::Impl::read_copy(const Artefact& artefact) const {
  TRY(const auto view, store->read());
  TRY(const auto value, view->get(internal::record_key(to_text(artefact))));
  if (!value) return CopyPtr{};
  TRY(const Record record, internal::decode_record(*value));
  TRY(auto documents, internal::read_documents(*view, record.documents));
  TRY(auto context, internal::read_documents(*view, record.context));
  attestation::name_key_origin(artefact, documents);
  auto copy = std::make_shared<Copy>();
  copy->documents = Collateral::make(std::move(documents));
  copy->context = Collateral::make(std::move(context));
  copy->fetched_at = record.fetched_at;
  copy->refresh_at = record.refresh_at;
  copy->accepted = record.accepted;
  copy->source = record.source;
  return CopyPtr{std::move(copy)};
}

/// What the store has, if it can be used: it is accepted anew, because it may have run out, or be of other roots.
/// nullptr otherwise.
CopyPtr Vault::Impl::load(const Artefact& artefact) {
  const auto stored = read_copy(artefact);
  if (!stored.ok()) store_errors->add();
  if (!stored.ok() || !*stored) return nullptr;
  const Copy& kept = **stored;
  // A refresh that could not be drawn then may be possible now, and the other way round.
  std::optional<UtcTime> refresh_at = kept.refresh_at;
  if (!kept.refreshed() || fetcher == nullptr) refresh_at.reset();
  auto copy = accept(artefact, kept.documents, kept.context, kept.source, kept.fetched_at, refresh_at);
  const Lock lock(mutex);
  if (!copy.ok()) {
    ++counters.store_refused;
    return nullptr;
  }
  ++counters.store_hits;
  return *std::move(copy);
}

void Vault::Impl::warm(const Artefact& artefact) {
  if (store == nullptr) return;
  {
    const Lock lock(mutex);
    const auto entry = entry_of(artefact);
    if (!entry || !entry->in_store) return;
    if (entry->copy) return;
  }
  CopyPtr copy = load(artefact);
  const Lock lock(mutex);
  const auto entry = entry_of(artefact);
  if (!entry) return;
  entry->in_store = false;
  if (copy && !entry->copy) publish(*entry, std::move(copy));
}

/// On the calling thread: a copy of the store waits for no fetch of another.
void Vault::Impl::warm(const std::vector<attestation::Needs>& ways) {
  if (store == nullptr) return;
  for (const auto& needs : ways) {
    for (const Artefact& artefact : needs.artefacts) {
      warm(artefact);
      if (const auto signer = signer_of(artefact)) warm(*signer);
    }
  }
}

/// Nobody waits for this: a copy that is lost is fetched again.
void Vault::Impl::save(const Artefact& artefact, const Copy& copy) const {
  if (store == nullptr) return;
  std::vector<CollateralItem> items = copy.documents->items();
  items.insert(items.end(), copy.context->items().begin(), copy.context->items().end());
  const auto write = [key = internal::record_key(to_text(artefact)), value = internal::encode_record(record_of(copy)),
                      items = std::move(items), now = clock.now()](state::WriteTxn& txn) -> base::Status {
    for (const CollateralItem& item : items) {
      const auto content = internal::content_key(item.sha256);
      TRY(const auto there, txn.get(content));
      if (!there) TRY_OK(txn.put(content, internal::encode_content(item, now)));
    }
    return txn.put(key, value);
  };
  store->write(write, [errors = store_errors](const base::Status& status) {
    if (!status.ok()) errors->add();
  });
}

/// What has to be refreshed is known from the start, whether anybody asks or not. Certificates of chips, of which there
/// may be many, are read when they are asked for.
void Vault::Impl::load_all() {
  if (store == nullptr) return;
  std::vector<Artefact> found;
  const auto view = store->read();
  if (!view.ok()) return store_errors->add();
  const auto visit = [&](base::ByteView key, base::ByteView) {
    const auto name = internal::name_in(key);
    auto artefact = name.ok() ? attestation::parse_artefact(*name) : Result<Artefact>(name.error());
    if (!artefact.ok()) {
      store_errors->add();
    } else if (!std::holds_alternative<attestation::VcekOf>(*artefact) && found.size() < options.max_artefacts / 2) {
      found.push_back(*std::move(artefact));
    }
    return true;
  };
  const auto scanned = (*view)->scan(internal::records_prefix(), {}, SIZE_MAX, visit);
  if (!scanned.ok()) store_errors->add();
  for (const Artefact& artefact : found) {
    {
      const Lock lock(mutex);
      if (stopping) return;
    }
    warm(artefact);
  }
  const Lock lock(mutex);
  look_again = true;
  keeper_wake.notify_one();
}

Holding Vault::Impl::describe(const Artefact& artefact, const Copy& copy, const Entry* entry) const {
  Holding out{.artefact = artefact,
              .issued = copy.accepted.issued,
              .expires = copy.accepted.expires,
              .fetched_at = copy.fetched_at,
              .refresh_at = copy.refresh_at,
              .usable_until = usable_until(copy),
              .number = copy.accepted.number,
              .source = copy.source};
  if (entry != nullptr) {
    out.stale_seconds = entry->stale;
    if (entry->failure) out.problem = entry->failure->text();
  }
  read_infos(refs_of(*copy.documents), out.documents);
  return out;
}

Result<std::vector<Holding>> Vault::list() const {
  std::map<Artefact, Holding> all;
  if (impl_->store != nullptr) {
    TRY(const auto view, impl_->store->read());
    const auto visit = [&](base::ByteView key, base::ByteView value) {
      const auto name = internal::name_in(key);
      const auto artefact = name.ok() ? attestation::parse_artefact(*name) : Result<Artefact>(name.error());
      const auto record = internal::decode_record(value);
      if (!artefact.ok() || !record.ok()) return true;
      Copy copy;
      copy.accepted = record->accepted;
      copy.fetched_at = record->fetched_at;
      copy.refresh_at = record->refresh_at;
      Holding held{.artefact = *artefact,
                   .issued = record->accepted.issued,
                   .expires = record->accepted.expires,
                   .fetched_at = record->fetched_at,
                   .refresh_at = record->refresh_at,
                   .usable_until = impl_->usable_until(copy),
                   .number = record->accepted.number,
                   .source = record->source};
      read_infos(record->documents, held.documents);
      all.insert_or_assign(*artefact, std::move(held));
      return true;
    };
    TRY_OK(view->scan(internal::records_prefix(), {}, SIZE_MAX, visit));
  }
  for (Holding& held : in_memory()) all.insert_or_assign(held.artefact, held);
  std::vector<Holding> out;
  for (auto& [artefact, held] : all) out.push_back(std::move(held));
  return out;
}

std::vector<Holding> Vault::in_memory() const {
  std::vector<Holding> out;
  const Lock lock(impl_->mutex);
  for (const auto& [artefact, entry] : impl_->entries) {
    if (entry->copy) out.push_back(impl_->describe(artefact, *entry->copy, entry.get()));
  }
  return out;
}

UtcTime Vault::now() const { return impl_->clock.now(); }

Result<base::Bytes> Vault::content(const base::Digest32& sha256) const {
  {
    const Lock lock(impl_->mutex);
    for (const auto& [artefact, entry] : impl_->entries) {
      if (!entry->copy) continue;
      for (const CollateralItem& item : entry->copy->documents->items()) {
        if (item.sha256 == sha256) return item.bytes;
      }
    }
  }
  if (impl_->store != nullptr) {
    TRY(const auto view, impl_->store->read());
    TRY(const auto stored, view->get(internal::content_key(sha256)));
    if (stored) {
      TRY(CollateralItem item, internal::decode_content(*stored));
      if (item.sha256 == sha256) return std::move(item.bytes);
      return Error{Code::corrupt, "stored document " + base::hex(sha256) + " is another one"};
    }
  }
  return Error{Code::not_found, "no document of that digest", {}, base::hex(sha256)};
}

Imported Vault::Impl::import_part(const internal::Part& part, const std::string& source, UtcTime now) {
  Imported out{.name = to_text(part.artefact), .artefact = part.artefact, .outcome = Imported::Outcome::refused};
  warm(part.artefact);
  Shared context = Collateral::none();
  if (const auto signer = signer_of(part.artefact)) {
    warm(*signer);
    std::vector<CollateralItem> chain;
    for (const CollateralItem& item : part.context) {
      if (item.kind == attestation::CollateralKind::amd_chain) chain.push_back(item);
    }
    context = Collateral::make(std::move(chain));
    const Lock lock(mutex);
    const auto held = entries.find(*signer);
    const bool wrong = context->items().empty() || !verifier.accept(*signer, *context, now).ok();
    if (wrong && held != entries.end() && held->second->copy) context = held->second->copy->documents;
  } else if (std::holds_alternative<attestation::RootCrlOf>(part.artefact)) {
    std::vector<CollateralItem> chain = part.context;
    std::erase_if(chain, [](const CollateralItem& i) { return i.kind == attestation::CollateralKind::amd_chain; });
    context = Collateral::make(std::move(chain));
    const Lock lock(mutex);
    for (const auto& [artefact, entry] : entries) {
      if (!context->items().empty() || !entry->copy) continue;
      if (std::holds_alternative<attestation::QeIdentityOf>(artefact) ||
          std::holds_alternative<attestation::TcbInfoOf>(artefact)) {
        std::vector<CollateralItem> items = entry->copy->documents->items();
        std::erase_if(items, [](const CollateralItem& i) { return !to_text(i.kind).ends_with("_chain"); });
        context = Collateral::make(std::move(items));
      }
    }
  }
  auto documents = part.documents;
  attestation::name_key_origin(part.artefact, documents);
  auto copy = accept(part.artefact, Collateral::make(std::move(documents)), context, source, now, {});
  if (!copy.ok()) {
    out.reason = copy.error().text();
    return out;
  }
  const Lock lock(mutex);
  const auto entry = entry_of(part.artefact);
  if (!entry) {
    out.reason = "too much is being fetched";
    return out;
  }
  const CopyPtr before = entry->copy;
  if (before && before->documents->digest() == (*copy)->documents->digest()) {
    out.outcome = Imported::Outcome::same;
  } else if (!publish(*entry, *std::move(copy))) {
    out.outcome = Imported::Outcome::older;
    return out;
  } else {
    out.outcome = before ? Imported::Outcome::replaced : Imported::Outcome::added;
  }
  save(part.artefact, *entry->copy);
  wake_waiters(*entry);
  return out;
}

std::vector<Imported> Vault::import(const std::vector<CollateralItem>& documents, const std::string& source,
                                    UtcTime now, const std::string& issuer) {
  std::vector<CollateralItem> given = documents;
  for (CollateralItem& item : given) item.sha256 = crypto::sha256(item.bytes);
  const internal::Apart apart = internal::take_apart(given, issuer);
  std::vector<Imported> out;
  for (const internal::Part& part : apart.parts) out.push_back(impl_->import_part(part, source, now));
  for (const auto& [kind, why] : apart.refused) {
    out.push_back(
        {.name = std::string{to_text(kind)}, .artefact = {}, .outcome = Imported::Outcome::refused, .reason = why});
  }
  return out;
}

base::Status Vault::forget(const Artefact& artefact, base::Deadline deadline) {
  {
    const Lock lock(impl_->mutex);
    const auto found = impl_->entries.find(artefact);
    if (found != impl_->entries.end()) {
      found->second->copy = nullptr;
      found->second->stale.reset();
      found->second->failure.reset();
      found->second->in_store = false;
    }
  }
  if (impl_->store == nullptr) return base::done();
  const auto key = internal::record_key(to_text(artefact));
  return impl_->store->write_and_wait([&](state::WriteTxn& txn) { return txn.erase(key); }, deadline);
}

}  // namespace attestry::collateral
