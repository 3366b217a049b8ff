// The vault's store: reading back, writing, listing, and taking in what somebody brings.
#include <algorithm>
#include <cstdlib>
#include <iterator>
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

constexpr std::int64_t kDay = 86400;

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

/// What the store has, if it can be used: it is accepted anew, because it may have run out, or be of other roots. Of
/// what has run out there is left how new it was.
Vault::Impl::Loaded Vault::Impl::load(const Artefact& artefact) {
  auto stored = read_copy(artefact);
  if (!stored.ok()) store_errors->add();
  if (!stored.ok() || !*stored) return {std::move(stored)};
  const Copy& kept = **stored;
  // A refresh that could not be drawn then may be possible now, and the other way round.
  std::optional<UtcTime> refresh_at = kept.refresh_at;
  if (!kept.refreshed() || fetcher == nullptr) refresh_at.reset();
  auto copy = accept(artefact, kept.documents, kept.context, kept.source, kept.fetched_at, refresh_at);
  Loaded out{std::move(copy)};
  if (out.copy.ok()) {
    out.newest = (*out.copy)->accepted;
    note_use(artefact);
  } else if (const auto then =
                 verifier.accept(artefact, *with_context(*kept.documents, *kept.context), kept.fetched_at);
             then.ok()) {
    out.newest = *then;
  }
  const Lock lock(mutex);
  ++(out.copy.ok() ? counters.store_hits : counters.store_refused);
  return out;
}

/// The clock may have been wrong, or the disk away, when it was looked at before.
bool Vault::Impl::may_be_stored(const Entry& entry) const {
  if (entry.copy || !entry.in_store) return false;
  if (!entry.store_tried) return true;
  const std::int64_t moved = clock.now().seconds - entry.store_tried->wall.seconds;
  const auto passed = clock.steady() - entry.store_tried->at;
  return std::abs(moved) >= options.refused_seconds || passed >= std::chrono::seconds(options.refused_seconds);
}

void Vault::Impl::warm(const Artefact& artefact) {
  if (store == nullptr) return;
  {
    const Lock lock(mutex);
    const auto entry = entry_of(artefact);
    if (!entry || !may_be_stored(*entry)) return;
  }
  const Entry::Tried tried{clock.steady(), clock.now()};  // not the time after: the clock may have been set meanwhile
  Loaded found = load(artefact);
  const Lock lock(mutex);
  const auto entry = entry_of(artefact);
  if (!entry || entry->copy) return;
  if (!entry->newest) entry->newest = found.newest;
  if (!found.copy.ok()) {
    entry->store_tried = tried;
    return;
  }
  entry->in_store = false;
  if (*found.copy) publish(*entry, *std::move(found.copy));
}

/// As warm(), for somebody who wants it only if it is held: names that nobody holds leave nothing behind.
void Vault::Impl::look_up(const Artefact& artefact) {
  if (store == nullptr) return;
  {
    const Lock lock(mutex);
    const auto found = entries.find(artefact);
    if (found != entries.end() && !may_be_stored(*found->second)) return;
  }
  Loaded found = load(artefact);
  if (!found.copy.ok() || !*found.copy) return;
  const Lock lock(mutex);
  const auto entry = entry_of(artefact);
  if (!entry || entry->copy) return;
  entry->in_store = false;
  publish(*entry, *std::move(found.copy));
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

/// Without `done` nobody waits for it: a copy that is lost is fetched again.
void Vault::Impl::save(const Artefact& artefact, const Copy& copy, state::Store::Completion done) const {
  if (store == nullptr) {
    if (done) done(base::done());
    return;
  }
  std::vector<CollateralItem> items = copy.documents->items();
  items.insert(items.end(), copy.context->items().begin(), copy.context->items().end());
  const auto write = [key = internal::record_key(to_text(artefact)), value = internal::encode_record(record_of(copy)),
                      items = std::move(items), now = clock.now()](state::WriteTxn& txn) -> base::Status {
    for (const CollateralItem& item : items) {
      const auto content = internal::content_key(item.sha256);
      TRY(const auto there, txn.get(content));
      // Dated anew once a day, so that what was just stored is not taken for something that nothing holds.
      const auto stored_at = there ? internal::content_stored_at(*there) : Result<UtcTime>(UtcTime{});
      const bool fresh = there && stored_at.ok() && now.seconds - stored_at->seconds < kDay;
      if (!fresh) TRY_OK(txn.put(content, internal::encode_content(item, now)));
    }
    return txn.put(key, value);
  };
  store->write(write, [errors = store_errors, done = std::move(done)](const base::Status& status) mutable {
    if (!status.ok()) errors->add();
    if (done) done(status);
  });
}

state::Store::Completion Writes::one_more(const std::shared_ptr<Writes>& writes) {
  const std::lock_guard<std::mutex> lock(writes->mutex);
  ++writes->pending;
  return [writes](const base::Status& status) {
    const std::lock_guard<std::mutex> ended(writes->mutex);
    --writes->pending;
    if (!status.ok() && !writes->failure) writes->failure = status.error();
    writes->changed.notify_all();
  };
}

base::Status Writes::wait(const base::Clock& clock, base::Deadline deadline) {
  constexpr std::chrono::milliseconds kSlice{50};  // the clock may be another than the system's
  std::unique_lock<std::mutex> lock(mutex);
  while (pending > 0 && clock.steady() < deadline) changed.wait_for(lock, kSlice);
  if (pending == 0 && !failure) return base::done();
  return Error{.code = Code::unavailable,
               .what = "what was taken in is in use, but not on the disk",
               .expected = "a write that succeeds",
               .found = failure ? failure->text() : "no answer of the store in time",
               .remedy = "Import it again: until that succeeds a restart may not know it."};
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
    out.stale_seconds = stale_of(*entry);
    if (entry->failure) out.problem = entry->failure->text();
  }
  read_infos(refs_of(*copy.documents), out.documents);
  return out;
}

namespace {

/// Of the store, by name; what this program cannot read is passed over.
Result<std::map<Artefact, Record>> read_records(const state::ReadView& view) {
  std::map<Artefact, Record> out;
  const auto visit = [&](base::ByteView key, base::ByteView value) {
    const auto name = internal::name_in(key);
    const auto artefact = name.ok() ? attestation::parse_artefact(*name) : Result<Artefact>(name.error());
    auto record = internal::decode_record(value);
    if (artefact.ok() && record.ok()) out.insert_or_assign(*artefact, *std::move(record));
    return true;
  };
  TRY_OK(view.scan(internal::records_prefix(), {}, SIZE_MAX, visit));
  return out;
}

}  // namespace

Holding Vault::Impl::describe(const Artefact& artefact, const Record& record) const {
  Copy copy;
  copy.documents = Collateral::none();
  copy.accepted = record.accepted;
  copy.fetched_at = record.fetched_at;
  copy.refresh_at = record.refresh_at;
  copy.source = record.source;
  Holding held = describe(artefact, copy, nullptr);
  read_infos(record.documents, held.documents);
  return held;
}

Result<std::vector<Holding>> Vault::list() const {
  std::map<Artefact, Holding> all;
  if (impl_->store != nullptr) {
    TRY(const auto view, impl_->store->read());
    TRY(const auto records, read_records(*view));
    for (const auto& [artefact, record] : records) all.emplace(artefact, impl_->describe(artefact, record));
  }
  for (Holding& held : in_memory()) all.insert_or_assign(held.artefact, held);
  std::vector<Holding> out;
  for (auto& [artefact, held] : all) out.push_back(std::move(held));
  return out;
}

std::vector<Held> Vault::Impl::held_in_memory(const std::function<bool(const Artefact&)>& wanted) const {
  std::vector<Held> out;
  const Lock lock(mutex);
  for (const auto& [artefact, entry] : entries) {
    if (entry->copy && wanted(artefact)) {
      const auto signer = signer_of(artefact);
      const auto chain = signer ? entries.find(*signer) : entries.end();
      const bool by_itself = entry->copy->context->items().empty() || (chain != entries.end() && chain->second->copy);
      out.push_back(
          {describe(artefact, *entry->copy, entry.get()),
           by_itself ? entry->copy->documents : with_context(*entry->copy->documents, *entry->copy->context)});
    }
  }
  return out;
}

Result<std::vector<Held>> Vault::held(const std::function<bool(const Artefact&)>& wanted, UtcTime now,
                                      std::size_t max_bytes) const {
  std::map<Artefact, Held> all;
  std::size_t size = 0;
  const auto add = [&](Held held) -> base::Status {
    if (held.about.expires < now) return base::done();
    for (const DocumentInfo& document : held.about.documents) size += document.size;
    if (size > max_bytes) {
      return Error{Code::too_large, "collateral: too much at once", std::to_string(max_bytes) + " bytes of documents",
                   "more"};
    }
    const Artefact artefact = held.about.artefact;
    all.emplace(artefact, std::move(held));
    return base::done();
  };
  for (Held& held : impl_->held_in_memory(wanted)) TRY_OK(add(std::move(held)));
  if (impl_->store != nullptr) {
    TRY(const auto view, impl_->store->read());
    TRY(const auto records, read_records(*view));
    for (const auto& [artefact, record] : records) {
      if (!wanted(artefact) || all.contains(artefact)) continue;
      auto documents = internal::read_documents(*view, record.documents);
      const auto signer = signer_of(artefact);
      const auto chain = signer ? records.find(*signer) : records.end();
      const bool by_itself = chain != records.end() && now <= chain->second.accepted.expires;
      auto context = by_itself ? std::vector<CollateralItem>{} : internal::read_documents(*view, record.context);
      if (!documents.ok() || !context.ok()) continue;  // it is fetched again when somebody needs it
      std::ranges::move(*context, std::back_inserter(*documents));
      TRY_OK(add({impl_->describe(artefact, record), Collateral::make(*std::move(documents))}));
    }
  }
  std::vector<Held> out;
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

/// The chain to judge it by, when that is another artefact: the one that came with it, if that is good; else the one
/// that is held. No signature is computed under the lock.
Shared Vault::Impl::given_context(const internal::Part& part, UtcTime now) {
  const auto signer = signer_of(part.artefact);
  if (!signer && !std::holds_alternative<attestation::RootCrlOf>(part.artefact)) return Collateral::none();
  std::vector<CollateralItem> chain = part.context;
  const auto of_amd = [](const CollateralItem& i) { return i.kind == attestation::CollateralKind::amd_chain; };
  std::erase_if(chain, [&](const CollateralItem& i) { return of_amd(i) != signer.has_value(); });
  Shared given = Collateral::make(std::move(chain));
  if (signer) {
    if (!given->items().empty() && verifier.accept(*signer, *given, now).ok()) return given;
    warm(*signer);
    const Lock lock(mutex);
    const auto held = entries.find(*signer);
    return held != entries.end() && held->second->copy ? held->second->copy->documents : given;
  }
  const Lock lock(mutex);
  for (const auto& [artefact, entry] : entries) {
    if (!given->items().empty()) break;
    if (!entry->copy) continue;
    if (!std::holds_alternative<attestation::QeIdentityOf>(artefact) &&
        !std::holds_alternative<attestation::TcbInfoOf>(artefact)) {
      continue;
    }
    std::vector<CollateralItem> items = entry->copy->documents->items();
    std::erase_if(items, [](const CollateralItem& i) { return !to_text(i.kind).ends_with("_chain"); });
    given = Collateral::make(std::move(items));
  }
  return given;
}

Imported Vault::Impl::import_part(const internal::Part& part, const Provenance& from, UtcTime now,
                                  const std::shared_ptr<Writes>& writes) {
  Imported out{.name = to_text(part.artefact), .artefact = part.artefact, .outcome = Imported::Outcome::refused};
  warm(part.artefact);
  Shared context = given_context(part, now);
  auto documents = part.documents;
  attestation::name_key_origin(part.artefact, documents);
  const UtcTime fetched_at = oldest_of(documents, from.fetched_at, now);
  auto accepted =
      accept(part.artefact, Collateral::make(std::move(documents)), std::move(context), from.source, fetched_at, {});
  if (!accepted.ok()) {
    out.reason = accepted.error().text();
    return out;
  }
  const CopyPtr copy = *std::move(accepted);
  const Lock lock(mutex);
  const auto entry = entry_of(part.artefact);
  if (!entry) {
    out.reason = "too much is being fetched";
    return out;
  }
  const CopyPtr before = entry->copy;
  const bool same = before && before->documents->digest() == copy->documents->digest();
  // The same bytes say nothing new, unless they were at their source later: then what is held is that much fresher.
  if ((!same || copy->fetched_at > before->fetched_at) && !publish(*entry, copy)) {
    out.outcome = Imported::Outcome::older;
    return out;
  }
  out.outcome = Imported::Outcome::added;
  if (before) out.outcome = same ? Imported::Outcome::same : Imported::Outcome::replaced;
  save(part.artefact, *entry->copy, Writes::one_more(writes));
  look_again = true;
  keeper_wake.notify_one();
  wake_waiters(*entry);
  return out;
}

Result<std::vector<Imported>> Vault::import(const std::vector<CollateralItem>& documents, const Provenance& from,
                                            UtcTime now, base::Deadline deadline) {
  std::vector<CollateralItem> given = documents;
  for (CollateralItem& item : given) item.sha256 = crypto::sha256(item.bytes);
  const internal::Apart apart = internal::take_apart(given, from.issuer);
  const auto writes = std::make_shared<Writes>();
  std::vector<Imported> out;
  for (const internal::Part& part : apart.parts) out.push_back(impl_->import_part(part, from, now, writes));
  for (const auto& [kind, why] : apart.refused) {
    out.push_back(
        {.name = std::string{to_text(kind)}, .artefact = {}, .outcome = Imported::Outcome::refused, .reason = why});
  }
  TRY_OK(writes->wait(impl_->clock, deadline));
  return out;
}

base::Status Vault::forget(const Artefact& artefact, base::Deadline deadline) {
  {
    const Lock lock(impl_->mutex);
    const auto found = impl_->entries.find(artefact);
    if (found != impl_->entries.end()) {
      found->second->copy = nullptr;
      found->second->refresh_failed = false;
      found->second->newest.reset();
      found->second->failure.reset();
      found->second->in_store = false;
    }
  }
  if (impl_->store == nullptr) return base::done();
  const auto name = to_text(artefact);
  const auto erase = [&](state::WriteTxn& txn) -> base::Status {
    TRY_OK(txn.erase(internal::use_key(name)));
    return txn.erase(internal::record_key(name));
  };
  return impl_->store->write_and_wait(erase, deadline);
}

}  // namespace attestry::collateral
