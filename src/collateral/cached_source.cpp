#include "collateral/cached_source.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/log.h"
#include "collateral/internal/needs_memo.h"
#include "collateral/internal/stored_set.h"
#include "state/keys.h"

namespace attestry::collateral {
namespace {

using attestation::Collateral;
using attestation::DcapNeeds;
using base::Code;
using base::Error;
using base::Result;
using base::UtcTime;
using Shared = std::shared_ptr<const Collateral>;
using Lock = std::unique_lock<std::mutex>;

/// u8 tdx ‖ fmspc ‖ u8 platform CA.
using SetName = std::array<std::uint8_t, 8>;

SetName name_of(const DcapNeeds& needs) {
  SetName out{};
  out.front() = needs.tdx ? 1 : 0;
  std::ranges::copy(needs.fmspc, out.begin() + 1);
  out.back() = needs.platform_ca ? 1 : 0;
  return out;
}

base::Bytes store_key(const SetName& name) { return state::Key(state::Space::collateral).u8(1).raw(name).bytes(); }

/// A set with its times. Immutable once published.
struct Copy {
  Shared set;
  UtcTime expires;
  UtcTime refresh_at;

  bool usable(UtcTime at) const { return set != nullptr && at <= expires; }
};

/// One platform. Guarded by Impl::mutex, and `copy` is changed only by the caller that fetches.
struct Entry {
  Copy copy{};
  Shared stale{};        ///< `copy` with its age, after a refresh that failed
  bool in_store = true;  ///< the store may have a copy that nobody has read yet
  bool fetching = false;
  std::optional<Error> failure{};  ///< of the last fetch
  base::Deadline retry_at{};       ///< no fetch before, when it failed
  std::uint64_t last_use = 0;
  std::condition_variable done{};
};

Error too_many() { return {Code::unavailable, "too many fetches of collateral are under way"}; }

}  // namespace

struct CachedSource::Impl {
  const PcsClient& client;
  const attestation::Verifier& verifier;
  state::Store* const store;
  const CacheOptions options;

  internal::NeedsMemo memo{};
  mutable std::mutex mutex{};
  std::map<SetName, std::shared_ptr<Entry>> entries{};
  CacheStats counters{};
  std::size_t in_flight = 0;
  std::uint64_t uses = 0;
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> store_refused{0};
  /// Shared with completions, which the store may run after this object is gone.
  std::shared_ptr<std::atomic<std::uint64_t>> store_errors = std::make_shared<std::atomic<std::uint64_t>>(0);

  Result<Shared> get(const DcapNeeds& needs, UtcTime now, base::Deadline deadline);
  std::shared_ptr<Entry> entry_of(const SetName& name);
  bool make_room();
  Shared give(const Entry& entry);
  Result<Shared> lead(Lock& lock, const std::shared_ptr<Entry>& entry, const DcapNeeds& needs, UtcTime now,
                      base::Deadline deadline);
  void publish(Entry& entry, Copy copy) const;
  void note_failure(Entry& entry, const Error& error, bool callers_own, UtcTime now);
  Copy timed(Shared set, UtcTime fetched_at, UtcTime expires) const;
  Result<Copy> fetch(const DcapNeeds& needs, UtcTime now, base::Deadline deadline);
  Copy load(const DcapNeeds& needs, UtcTime now);
  void save(const SetName& name, const Bundle& bundle, UtcTime fetched_at) const;
};

/// The entry of that name, new if need be; nullptr when all places are taken by fetches.
std::shared_ptr<Entry> CachedSource::Impl::entry_of(const SetName& name) {
  auto found = entries.find(name);
  if (found == entries.end()) {
    if (entries.size() >= options.max_sets && !make_room()) return nullptr;
    found = entries.emplace(name, std::make_shared<Entry>()).first;
  }
  found->second->last_use = ++uses;
  return found->second;
}

/// Entries without a set go first: whoever asks for platforms that do not exist pushes out no real one.
bool CachedSource::Impl::make_room() {
  const auto value = [](const Entry& e) { return std::pair{e.copy.set != nullptr, e.last_use}; };
  auto victim = entries.end();
  for (auto it = entries.begin(); it != entries.end(); ++it) {
    if (it->second->fetching) continue;
    if (victim == entries.end() || value(*it->second) < value(*victim->second)) victim = it;
  }
  if (victim == entries.end()) return false;
  entries.erase(victim);
  ++counters.evicted;
  return true;
}

Shared CachedSource::Impl::give(const Entry& entry) {
  if (!entry.stale) return entry.copy.set;
  ++counters.stale;
  return entry.stale;
}

Result<Shared> CachedSource::Impl::get(const DcapNeeds& needs, UtcTime now, base::Deadline deadline) {
  Lock lock(mutex);
  bool waited = false;
  while (true) {
    const std::shared_ptr<Entry> entry = entry_of(name_of(needs));
    if (!entry) return too_many();
    const bool usable = entry->copy.usable(now);
    const bool due = !usable || options.clock->now() >= entry->copy.refresh_at;
    const bool failed = entry->failure && options.clock->steady() < entry->retry_at;
    if (usable && (!due || failed || entry->fetching || in_flight >= options.max_parallel)) {
      if (!waited) ++counters.hits;
      return give(*entry);
    }
    if (!entry->fetching) {
      if (failed) return *entry->failure;
      if (in_flight >= options.max_parallel && !(entry->in_store && store != nullptr)) return too_many();
      return lead(lock, entry, needs, now, deadline);
    }
    if (!std::exchange(waited, true)) ++counters.waits;
    const bool in_time = entry->done.wait_until(lock, deadline, [&] { return !entry->fetching; });
    if (!in_time) return Error{Code::deadline_exceeded, "collateral: still being fetched"};
  }
}

/// What one caller does for all: the store first, then the network. `lock` is held on entry and on return, not while
/// anything is waited for.
Result<Shared> CachedSource::Impl::lead(Lock& lock, const std::shared_ptr<Entry>& entry, const DcapNeeds& needs,
                                        UtcTime now, base::Deadline deadline) {
  struct Flight {  // whatever happens, the others are woken
    Impl& impl;
    Lock& lock;
    Entry& entry;
    bool counted = false;  ///< over the network; a set of the store is nobody's to wait for
    ~Flight() {
      if (!lock.owns_lock()) lock.lock();
      entry.fetching = false;
      if (counted) --impl.in_flight;
      entry.done.notify_all();
    }
  };
  entry->fetching = true;
  Flight flight{*this, lock, *entry};

  if (std::exchange(entry->in_store, false) && store != nullptr) {
    lock.unlock();
    Copy stored = load(needs, now);
    lock.lock();
    if (stored.set) {
      ++counters.store_hits;
      publish(*entry, std::move(stored));
      if (entry->copy.usable(now) && options.clock->now() < entry->copy.refresh_at) return give(*entry);
    }
  }

  const bool usable = entry->copy.usable(now);
  const base::Deadline start = options.clock->steady();
  base::Deadline until = std::min(deadline, start + std::chrono::seconds(options.fetch_seconds));
  if (usable) {
    // The copy at hand is good enough: leave the caller time to use it.
    const auto half = start < deadline ? (deadline - start) / 2 : base::Deadline::duration::zero();
    until = start + std::min<base::Deadline::duration>(half, std::chrono::seconds(options.refresh_seconds));
  } else if (start >= deadline) {
    return Error{Code::deadline_exceeded, "collateral: no time was left to fetch it"};
  }
  if (in_flight >= options.max_parallel) {
    if (usable) return give(*entry);
    return too_many();
  }
  ++in_flight;
  flight.counted = true;
  ++counters.fetches;
  lock.unlock();
  Result<Copy> fetched = fetch(needs, now, until);
  lock.lock();
  if (fetched.ok()) {
    publish(*entry, *std::move(fetched));
    return give(*entry);
  }
  const bool callers_own = fetched.error().code == Code::deadline_exceeded && until == deadline;
  note_failure(*entry, fetched.error(), callers_own, now);
  if (usable) return give(*entry);
  if (callers_own || !entry->failure) return std::move(fetched).error();
  return *entry->failure;
}

void CachedSource::Impl::publish(Entry& entry, Copy copy) const {
  // The same documents stay the same object.
  if (entry.copy.set && entry.copy.set->digest() == copy.set->digest()) copy.set = entry.copy.set;
  entry.copy = std::move(copy);
  entry.stale = nullptr;
  entry.failure.reset();
}

/// A caller that was in a hurry says nothing about the service: then the next one tries again at once.
void CachedSource::Impl::note_failure(Entry& entry, const Error& error, bool callers_own, UtcTime now) {
  ++counters.failures;
  if (entry.copy.usable(now)) {
    const UtcTime wall = options.clock->now();
    const std::int64_t age = std::max<std::int64_t>(0, wall.seconds - entry.copy.refresh_at.seconds);
    entry.stale = Collateral::make(entry.copy.set->items(), {}, age);
  } else if (callers_own) {
    return;
  }
  entry.failure = error;
  if (error.code == Code::deadline_exceeded) {
    entry.failure->code = Code::unavailable;
    entry.failure->what += ": no answer in time";
  }
  entry.retry_at = options.clock->steady() + std::chrono::seconds(options.failure_seconds);
}

Copy CachedSource::Impl::timed(Shared set, UtcTime fetched_at, UtcTime expires) const {
  const std::int64_t half = (expires.seconds - fetched_at.seconds) / 2;
  return {std::move(set), expires, fetched_at + std::max(half, options.min_refresh)};
}

Result<Copy> CachedSource::Impl::fetch(const DcapNeeds& needs, UtcTime now, base::Deadline deadline) {
  TRY(const Bundle bundle, client.fetch(needs, deadline));
  Shared set = bundle.collateral();
  auto expires = verifier.accept_collateral(*set, needs, now);
  if (!expires.ok()) {
    refused.fetch_add(1, std::memory_order_relaxed);
    Error error = std::move(expires).error().at(client.base_url());
    base::log(base::LogLevel::warning, "collateral refused",
              {{"reason", error.what}, {"expected", error.expected}, {"found", error.found}});
    return error;
  }
  const UtcTime fetched_at = options.clock->now();
  save(name_of(needs), bundle, fetched_at);
  return timed(std::move(set), fetched_at, *expires);
}

/// Without a set when the store has none that is usable.
Copy CachedSource::Impl::load(const DcapNeeds& needs, UtcTime now) {
  const auto read = [&]() -> Result<std::optional<internal::StoredSet>> {
    TRY(const auto view, store->read());
    TRY(const auto value, view->get(store_key(name_of(needs))));
    if (!value) return std::optional<internal::StoredSet>{};
    TRY(internal::StoredSet set, internal::decode_set(*value));
    return std::optional{std::move(set)};
  };
  const auto stored = read();
  if (!stored.ok()) store_errors->fetch_add(1, std::memory_order_relaxed);
  if (!stored.ok() || !*stored) return {};
  Shared set = (*stored)->bundle.collateral();
  const auto expires = verifier.accept_collateral(*set, needs, now);
  if (!expires.ok()) {
    store_refused.fetch_add(1, std::memory_order_relaxed);
    return {};
  }
  return timed(std::move(set), (*stored)->fetched_at, *expires);
}

/// Nobody waits for this: a set that is lost is fetched again.
void CachedSource::Impl::save(const SetName& name, const Bundle& bundle, UtcTime fetched_at) const {
  if (store == nullptr) return;
  store->write([key = store_key(name),
                value = internal::encode_set(bundle, fetched_at)](state::WriteTxn& txn) { return txn.put(key, value); },
               [errors = store_errors](const base::Status& status) {
                 if (!status.ok()) errors->fetch_add(1, std::memory_order_relaxed);
               });
}

CachedSource::CachedSource(const PcsClient& client, const attestation::Verifier& verifier, state::Store* store,
                           CacheOptions options)
    : impl_(new Impl{client, verifier, store, options}) {}
CachedSource::~CachedSource() = default;

Result<Shared> CachedSource::collateral_for(const attestation::Evidence& evidence, UtcTime now,
                                            base::Deadline deadline) {
  if (evidence.format != attestation::EvidenceFormat::dcap_quote) return Collateral::none();
  const auto needs = impl_->memo.of(evidence.bytes);
  if (!needs.ok()) return Collateral::none();
  return impl_->get(*needs, now, deadline);
}

CacheStats CachedSource::stats() const {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  CacheStats out = impl_->counters;
  out.sets = impl_->entries.size();
  const UtcTime now = impl_->options.clock->now();
  for (const auto& [name, entry] : impl_->entries) {
    if (!entry->stale) continue;
    ++out.stale_sets;
    out.oldest_stale_seconds = std::max(out.oldest_stale_seconds, now.seconds - entry->copy.refresh_at.seconds);
  }
  out.refused = impl_->refused.load(std::memory_order_relaxed);
  out.store_refused = impl_->store_refused.load(std::memory_order_relaxed);
  out.store_errors = impl_->store_errors->load(std::memory_order_relaxed);
  return out;
}

}  // namespace attestry::collateral
