// The vault's background: lanes that fetch, threads that answer, and the keeper that minds deadlines, refreshes and
// alarms.
#include <algorithm>
#include <tuple>
#include <utility>

#include "attestation/maa/jwks.h"
#include "base/log.h"
#include "collateral/internal/vault_impl.h"

namespace attestry::collateral {

using attestation::Artefact;
using attestation::Collateral;
using attestation::CollateralKind;
using base::Code;
using base::Deadline;
using base::Error;
using base::Result;
using base::UtcTime;
using std::chrono::seconds;

namespace {

constexpr std::size_t kAnswerers = 2;

bool certificate(const Artefact& artefact) {
  return std::holds_alternative<attestation::VcekOf>(artefact) || std::holds_alternative<attestation::VlekOf>(artefact);
}

bool of_intel(const Artefact& artefact) {
  return std::holds_alternative<attestation::TcbInfoOf>(artefact) ||
         std::holds_alternative<attestation::QeIdentityOf>(artefact) ||
         std::holds_alternative<attestation::PckCrlOf>(artefact);
}

/// The chain alone of what Intel signed: it is all that a revocation list needs of it.
Shared chain_in(const Collateral& documents) {
  for (const auto kind :
       {CollateralKind::tcb_info_chain, CollateralKind::qe_identity_chain, CollateralKind::pck_crl_chain}) {
    if (const auto* item = documents.find(kind)) return Collateral::make({*item});
  }
  return Collateral::none();
}

std::set<std::string> key_ids_in(const Collateral& documents) {
  std::set<std::string> out;
  const auto* item = documents.find(CollateralKind::jwks);
  const auto set = attestation::maa::parse_jwks(base::as_text(item->bytes));
  if (!set) return out;
  for (const auto& key : set->keys) out.insert(key.kid);
  return out;
}

}  // namespace

Shared with_context(const Collateral& documents, const Collateral& context) {
  std::vector<attestation::CollateralItem> items = documents.items();
  for (const auto& item : context.items()) {
    if (documents.find(item.kind) == nullptr) items.push_back(item);
  }
  return Collateral::make(std::move(items));
}

// -- The queue -------------------------------------------------------------------------------------------------------

/// False when the queue is full. What is held is refreshed whatever strangers ask for: there are no more of these than
/// what is held, and they neither take a place from others nor need one.
bool Vault::Impl::enqueue(const std::shared_ptr<Entry>& entry, const Origin& origin, bool asked) {
  if (!entry->copy && !place_in_queue(origin)) return false;
  entry->job = Job{.origin = origin, .queued_at = clock.steady(), .order = ++orders, .asks = asked ? 1u : 0u};
  queue.push_back(entry);
  lane_wake.notify_one();
  return true;
}

/// Makes room if need be among those of the same kind at the same host. Of what nobody waits for the least asked for
/// goes first, then the newest: a flood pushes out itself.
bool Vault::Impl::place_in_queue(const Origin& origin) {
  std::size_t before = 0;
  auto idle = queue.end();
  for (auto it = queue.begin(); it != queue.end(); ++it) {
    const Entry& other = **it;
    if (other.copy || other.job->origin.scarce != origin.scarce || other.job->origin.host != origin.host) continue;
    ++before;
    if (!awaited(other) && (idle == queue.end() || other.job->asks <= (*idle)->job->asks)) idle = it;
  }
  if (before < options.max_queue) return true;
  if (idle == queue.end()) return false;
  (*idle)->job.reset();
  queue.erase(idle);
  ++counters.displaced;
  return true;
}

/// A chain of AMD's, for what is signed under it. Nothing and no error: it is on its way.
Vault::Impl::Context Vault::Impl::chain_of(const Artefact& artefact) {
  const auto entry = entry_of(artefact);
  if (!entry) return {nullptr, Error{Code::unavailable, "too many fetches of collateral are under way"}};
  if (usable(*entry, clock.now())) return {entry->copy->documents};
  if (entry->job) return {nullptr};
  if (failed(*entry)) return {nullptr, entry->failure};
  const auto origin = fetcher->origin(artefact);
  if (!origin.ok()) return {nullptr, origin.error()};
  if (auto state = gates.state(*origin); state.away) return {nullptr, std::move(state.away)};
  if (!enqueue(entry, *origin, true)) return {nullptr, Error{Code::unavailable, "too many fetches are under way"}};
  return {nullptr};
}

/// Under which chain an artefact is judged that brings none.
Vault::Impl::Context Vault::Impl::context_for(const Entry& entry) {
  if (const auto signer = signer_of(entry.artefact)) return chain_of(*signer);
  if (!std::holds_alternative<attestation::RootCrlOf>(entry.artefact)) return {Collateral::none()};
  bool coming = false;
  for (const auto& [artefact, other] : entries) {
    if (!of_intel(artefact)) continue;
    if (usable(*other, clock.now())) return {chain_in(*other->copy->documents)};
    coming = coming || other->job;
  }
  if (entry.copy) return {entry.copy->context};
  if (coming) return {nullptr};
  // Asked for alone, by somebody who serves it on: then a chain is fetched for it.
  Context out = chain_of(attestation::QeIdentityOf{false});
  if (out.chain) out.chain = chain_in(*out.chain);
  return out;
}

/// Whether it may begin now. When it never will, it has been settled.
bool Vault::Impl::ready_to_run(const std::shared_ptr<Entry>& entry) {
  const Job job = *entry->job;
  const auto state = gates.state(job.origin, entry->copy != nullptr);
  if (state.away) {
    settle_failure(*entry, *state.away, false);
    return false;
  }
  if (clock.steady() < state.opens || !gates.has_room(job.origin, options.lanes_per_host)) {
    const bool forgotten = !awaited(*entry) && clock.steady() > job.queued_at + seconds(options.queue_seconds);
    if (forgotten) settle_failure(*entry, {Code::unavailable, to_text(entry->artefact) + ": gave up waiting"}, false);
    return false;
  }
  const Context context = context_for(*entry);
  if (!context.failure) return context.chain != nullptr;
  settle_failure(*entry, *context.failure, false);
  return false;
}

/// The job that is due most: somebody waits for it, then the more asked for it, then the older.
std::shared_ptr<Entry> Vault::Impl::pick() {
  auto order = queue;  // settling changes the queue
  std::ranges::sort(order, [](const auto& a, const auto& b) {
    const bool waited_a = awaited(*a);
    const bool waited_b = awaited(*b);
    if (waited_a != waited_b) return waited_a;
    if (a->job->asks != b->job->asks && !waited_a) return a->job->asks > b->job->asks;
    return a->job->order < b->job->order;
  });
  for (const auto& entry : order) {
    if (!entry->job || entry->job->running || !ready_to_run(entry)) continue;
    std::erase(queue, entry);
    return entry;
  }
  return nullptr;
}

// -- Lanes -----------------------------------------------------------------------------------------------------------

UtcTime Vault::Impl::draw_refresh(const Artefact& artefact, const attestation::Accepted& accepted,
                                  UtcTime fetched_at) const {
  // A certificate stays what it is; and what nobody gives out cannot be asked for again.
  if (certificate(artefact) || fetcher == nullptr || !fetcher->origin(artefact).ok()) return accepted.expires;
  const std::int64_t left = accepted.expires.seconds - fetched_at.seconds;
  const std::int64_t longest = std::min(options.refresh_seconds, left / 2);
  const std::int64_t drawn = internal::jittered_ms(longest, random) / 1000;
  return std::min(fetched_at + std::max(drawn, options.min_refresh_seconds), accepted.expires - 1);
}

/// Judges by itself what came from anywhere; `refresh_at` nullopt: it is new.
Result<CopyPtr> Vault::Impl::accept(const Artefact& artefact, Shared documents, Shared context, std::string source,
                                    UtcTime fetched_at, std::optional<UtcTime> refresh_at) const {
  const Shared judged = with_context(*documents, *context);
  TRY(auto accepted, verifier.accept(artefact, *judged, clock.now()));
  auto copy = std::make_shared<Copy>();
  if (std::holds_alternative<attestation::JwksOf>(artefact)) {
    TRY_OK(date_key_set(artefact, fetched_at, clock.now(), options.jwks_seconds, accepted));
    copy->key_ids = key_ids_in(*documents);
  } else {
    fetched_at = std::max(fetched_at, accepted.issued);  // whatever somebody says of it
  }
  copy->refresh_at = refresh_at.value_or(draw_refresh(artefact, accepted, fetched_at));
  copy->documents = std::move(documents);
  copy->context = std::move(context);
  copy->accepted = std::move(accepted);
  copy->fetched_at = fetched_at;
  copy->source = std::move(source);
  return CopyPtr{std::move(copy)};
}

namespace {

/// Whether an authentic copy is one from before the newest that was ever here, whether that can still be used or not: a
/// cache that was away must not bring back what its vendor has revoked since. What has run out by itself is replaced by
/// whatever is in force, but for the numbers, which never fall.
bool from_before(const attestation::Accepted& fresh, const attestation::Accepted& newest, UtcTime now) {
  if (now <= newest.expires) return older(fresh, newest);
  attestation::Accepted same_time = newest;
  same_time.issued = fresh.issued;
  return older(fresh, same_time);
}

}  // namespace

/// False when it is older than what is or was held; that then stays.
bool Vault::Impl::publish(Entry& entry, CopyPtr copy) {
  auto fresh = std::make_shared<Copy>(*copy);
  if (entry.newest && from_before(fresh->accepted, *entry.newest, clock.now())) return false;
  const bool same = entry.copy && entry.copy->documents->digest() == fresh->documents->digest();
  if (same) fresh->documents = entry.copy->documents;
  fresh->serial = same ? entry.copy->serial : ++serials;
  entry.newest = fresh->accepted;
  entry.copy = std::move(fresh);
  place(entry);
  entry.in_store = false;
  entry.refresh_failed = false;
  entry.failure.reset();
  return true;
}

void Vault::Impl::run_job(Lock& lock, const std::shared_ptr<Entry>& entry) {
  const Artefact artefact = entry->artefact;
  const Origin origin = entry->job->origin;
  const Context context = context_for(*entry);
  if (!context.chain) {  // pick() has just asked, under the same lock
    const Error defect{Code::internal, to_text(entry->artefact) + ": what vouches for it is gone"};
    return settle_failure(*entry, context.failure.value_or(defect), false);
  }
  entry->job->running = true;
  gates.begin(origin);
  ++in_flight;
  ++counters.fetches;
  if (entry->copy) ++counters.refreshes;
  lock.unlock();

  Trouble trouble;
  bool refused = false;
  const auto fetch = [&]() -> Result<CopyPtr> {
    TRY(Fetched fetched, fetcher->fetch(artefact, clock.steady() + seconds(options.fetch_seconds), trouble));
    const std::string source = fetched.source;
    auto copy = accept(artefact, Collateral::make(std::move(fetched.items)), context.chain, source, clock.now(), {});
    if (copy.ok()) return copy;
    refused = true;
    Error error = std::move(copy).error().at(source);
    base::log(base::LogLevel::warning, "collateral refused",
              {{"artefact", to_text(artefact)},
               {"reason", error.what},
               {"expected", error.expected},
               {"found", error.found}});
    return error;
  };
  Result<CopyPtr> outcome = fetch();

  lock.lock();
  --in_flight;
  if (outcome.ok() || refused) {
    gates.succeeded(origin);
  } else {
    gates.failed(origin, trouble, outcome.error());
  }
  settle(entry, std::move(outcome), trouble, refused);
  look_again = true;
  keeper_wake.notify_one();
  settled.notify_all();
  lane_wake.notify_all();
}

void Vault::Impl::settle(const std::shared_ptr<Entry>& shared, Result<CopyPtr> outcome, const Trouble& trouble,
                         bool refused) {
  Entry& entry = *shared;
  if (!outcome.ok() && trouble.throttled) {
    // Nothing is wrong and nothing is lost: it waits for its turn again.
    ++counters.throttled;
    entry.job->running = false;
    note_failed_refresh(entry);
    queue.push_back(shared);
    return wake_waiters(entry);
  }
  if (!outcome.ok()) return settle_failure(entry, outcome.error(), refused);
  const CopyPtr copy = *std::move(outcome);
  if (!publish(entry, copy)) {
    ++counters.older;
    const std::string held = base::to_rfc3339(entry.newest->issued);
    const std::string came = base::to_rfc3339(copy->accepted.issued);
    base::log(base::LogLevel::warning, "collateral is older than what is held",
              {{"artefact", to_text(entry.artefact)}, {"source", copy->source}, {"held", held}, {"came", came}});
    return settle_failure(
        entry, {Code::unavailable, copy->source + ": older than what is held", "issued " + held + " or later", came},
        false);
  }
  save(entry.artefact, *entry.copy);
  entry.fetched_by = entry.job->order;
  entry.job.reset();
  wake_waiters(entry);
}

void Vault::Impl::note_failed_refresh(Entry& entry) const {
  if (due(entry)) entry.refresh_failed = true;
}

/// What is held stays in use; who waits is told.
void Vault::Impl::settle_failure(Entry& entry, const Error& error, bool refused) {
  const bool missing = error.code == Code::collateral_missing;
  if (entry.job && entry.job->running) {
    ++counters.failures;
    if (refused) ++counters.refused;
    if (missing) ++counters.missing;
  } else if (entry.job) {
    std::erase_if(queue, [&](const auto& e) { return e.get() == &entry; });
  }
  const std::int64_t pause = missing ? options.missing_seconds : options.refused_seconds;
  // At least for as long as those who waited take to hear of it.
  entry.retry_at =
      clock.steady() + std::chrono::milliseconds(std::max<std::int64_t>(1000, internal::jittered_ms(pause, random)));
  if (entry.job) {
    // The host is asked again at its own time, and so is this.
    const auto state = gates.state(entry.job->origin);
    if (state.away) entry.retry_at = std::max(state.opens, clock.steady() + seconds(1));
  }
  entry.failure = error;
  if (error.code == Code::deadline_exceeded) {
    entry.failure->code = Code::unavailable;
    entry.failure->what += ": no answer in time";
  }
  note_failed_refresh(entry);
  entry.job.reset();
  wake_waiters(entry);
}

void Vault::Impl::lane() {
  Lock lock(mutex);
  while (!stopping) {
    if (const auto entry = pick()) {
      run_job(lock, entry);
    } else if (queue.empty()) {
      lane_wake.wait(lock);
    } else {
      lane_wake.wait_for(lock, options.slice);
    }
  }
}

void Vault::Impl::answerer() {
  Lock lock(mutex);
  while (!stopping) {
    if (answers.empty()) {
      answer_wake.wait(lock);
      continue;
    }
    auto [request, step] = std::move(answers.front());
    answers.pop_front();
    answer(lock, request, std::move(step));
    lock.lock();
  }
}

// -- The keeper ------------------------------------------------------------------------------------------------------

void Vault::Impl::time_out() {
  const Deadline now = clock.steady();
  while (!waiting.empty() && waiting.begin()->first <= now) {
    const RequestPtr request = waiting.begin()->second;
    leave(request);
    ++counters.timeouts;
    answers.emplace_back(request, Error{Code::deadline_exceeded, "collateral: still being fetched"});
    answer_wake.notify_one();
  }
}

/// What is due is asked for although nobody wants it at the moment.
void Vault::Impl::refresh_due() {
  if (fetcher == nullptr || !options.background) return;
  std::vector<std::shared_ptr<Entry>> found;  // settling changes the entries
  for (const auto& [artefact, entry] : entries) {
    if (due(*entry) && !entry->job) found.push_back(entry);
  }
  for (const auto& entry : found) {
    if (entry->job || failed(*entry)) continue;
    const auto origin = fetcher->origin(entry->artefact);
    if (!origin.ok()) continue;
    const auto state = gates.state(*origin);
    if (!state.away) {
      enqueue(entry, *origin, false);
      continue;
    }
    settle_failure(*entry, *state.away, false);
    entry->retry_at = state.opens;
  }
}

/// Only what matters: something in use that cannot be renewed, or that nobody renews.
void Vault::Impl::look_for_alarms(Lock& lock) {
  std::vector<Alarm> now_on;
  const UtcTime now = clock.now();
  for (const auto& [artefact, entry] : entries) {
    if (!entry->copy) continue;
    const UtcTime until = usable_until(*entry->copy);
    if (until.seconds - now.seconds > options.alarm_seconds) continue;
    if (entry->copy->refreshed() && !stale_of(*entry)) continue;        // it will be renewed in time
    if (until.seconds + options.alarm_seconds < now.seconds) continue;  // nobody has missed it since
    std::string problem;
    if (entry->failure) problem = entry->failure->text();
    if (problem.empty() && due(*entry)) problem = "not renewed since " + base::to_rfc3339(entry->copy->refresh_at);
    now_on.push_back({artefact, until, std::move(problem)});
  }
  std::ranges::sort(now_on, {}, [](const Alarm& a) { return std::tie(a.usable_until, a.artefact); });
  const auto names = [](const std::vector<Alarm>& list) {
    std::set<Artefact> out;
    for (const Alarm& alarm : list) out.insert(alarm.artefact);
    return out;
  };
  const auto before = names(alarms);
  const bool changed = before != names(now_on);
  alarms = now_on;
  if (!changed) return;
  auto listener = std::exchange(alarm_listener, {});
  lock.unlock();
  for (const Alarm& alarm : now_on) {
    if (before.contains(alarm.artefact)) continue;
    base::log(base::LogLevel::warning, "collateral runs out and could not be renewed",
              {{"artefact", to_text(alarm.artefact)},
               {"usable_until", base::to_rfc3339(alarm.usable_until)},
               {"reason", alarm.problem}});
  }
  if (listener) listener(now_on);
  lock.lock();
  if (!alarm_listener) alarm_listener = std::move(listener);
}

void Vault::Impl::keep(Lock& lock) {
  time_out();
  refresh_due();
  look_for_alarms(lock);
}

void Vault::Impl::keeper() {
  Lock lock(mutex);
  Deadline looked{};
  while (!stopping) {
    time_out();
    const Deadline now = clock.steady();
    if (std::exchange(look_again, false) || now - looked >= seconds(1)) {
      looked = now;
      keep(lock);
    }
    keeper_wake.wait_for(lock, options.slice);
  }
}

void Vault::Impl::start() {
  if (fetcher != nullptr) {
    for (std::size_t i = 0; i < std::max<std::size_t>(1, options.lanes); ++i) threads.emplace_back([this] { lane(); });
  }
  for (std::size_t i = 0; i < kAnswerers; ++i) threads.emplace_back([this] { answerer(); });
  threads.emplace_back([this] { keeper(); });
  threads.emplace_back([this] { store_keeper(); });
}

void Vault::Impl::stop() {
  {
    const Lock lock(mutex);
    stopping = true;
  }
  lane_wake.notify_all();
  answer_wake.notify_all();
  keeper_wake.notify_all();
  store_wake.notify_all();
  for (std::thread& thread : threads) thread.join();
  threads.clear();
  const Error away{Code::unavailable, "collateral: this server is shutting down"};
  for (auto& [deadline, request] : std::exchange(waiting, {})) finish(request, away);
  for (auto& [request, step] : std::exchange(answers, {})) finish(request, away);
}

}  // namespace attestry::collateral
