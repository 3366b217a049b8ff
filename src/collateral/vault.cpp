#include "collateral/vault.h"

#include <algorithm>
#include <utility>

#include "attestation/dcap/pck_origin.h"
#include "base/log.h"
#include "collateral/internal/vault_impl.h"

namespace attestry::collateral {

using attestation::Artefact;
using attestation::Collateral;
using attestation::CollateralKind;
using attestation::Needs;
using base::Code;
using base::Deadline;
using base::Error;
using base::Result;
using base::UtcTime;

std::string_view to_text(Imported::Outcome outcome) noexcept {
  switch (outcome) {
    case Imported::Outcome::added:
      return "added";
    case Imported::Outcome::replaced:
      return "replaced";
    case Imported::Outcome::same:
      return "same";
    case Imported::Outcome::older:
      return "older";
    case Imported::Outcome::refused:
      break;
  }
  return "refused";
}

namespace {

constexpr std::size_t kMaxMade = 4096;
constexpr unsigned kMaxRounds = 3;

Error too_many() { return {Code::unavailable, "too many fetches of collateral are under way"}; }
Error shutting_down() { return {Code::unavailable, "collateral: this server is shutting down"}; }
Error too_slow() { return {Code::deadline_exceeded, "collateral: still being fetched"}; }

internal::GateOptions gate_options(const VaultOptions& options) {
  return {.scarce_seconds = options.scarce_seconds,
          .scarce_burst = options.scarce_burst,
          .fetches_per_minute = options.host_fetches_per_minute,
          .failure_seconds = options.failure_seconds,
          .max_failure_seconds = options.max_failure_seconds,
          .max_retry_after = options.max_retry_after};
}

/// Waits on the calling thread for an answer that comes by the deadline at the latest.
struct Box {
  std::mutex mutex{};
  std::condition_variable done{};
  std::optional<Vault::Given> given{};
};

}  // namespace

Vault::Impl::Impl(Fetcher* given, const attestation::Verifier& judge, state::Store* kept, const VaultOptions& wanted)
    : fetcher(given),
      verifier(judge),
      store(kept),
      options(wanted),
      clock(*wanted.clock),
      random(wanted.random != nullptr ? *wanted.random : crypto::system_random()),
      gates(gate_options(wanted), clock, random) {}

// -- Requests --------------------------------------------------------------------------------------------------------

/// The entry of that artefact, new if need be; nullptr when all places are taken by fetches.
std::shared_ptr<Entry> Vault::Impl::entry_of(const Artefact& artefact) {
  auto found = entries.find(artefact);
  if (found == entries.end()) {
    if (entries.size() >= options.max_artefacts && !make_room()) return nullptr;
    found = entries.emplace(artefact, std::make_shared<Entry>(Entry{.artefact = artefact})).first;
    Entry& made_now = *found->second;
    made_now.in_store = store != nullptr;
    made_now.ages = &bare;
    made_now.place = bare.insert(bare.end(), found->second);
  }
  found->second->used_at = clock.now();
  place(*found->second);
  return found->second;
}

/// It was used just now.
void Vault::Impl::place(Entry& entry) {
  Ages& ages = entry.copy ? full : bare;
  ages.splice(ages.end(), *entry.ages, entry.place);
  entry.ages = &ages;
}

/// Somebody else still owns it.
void Vault::Impl::drop(Entry& entry) {
  entry.ages->erase(entry.place);
  entries.erase(entry.artefact);
}

/// Entries without a copy go first: whoever asks for what does not exist pushes out nothing real.
bool Vault::Impl::make_room() {
  for (Ages* ages : {&bare, &full}) {
    for (std::size_t left = ages->size(); left > 0; --left) {
      const std::shared_ptr<Entry> oldest = ages->front();
      if (oldest->job) {  // in use: it is not looked at again soon
        place(*oldest);
        continue;
      }
      drop(*oldest);
      ++counters.evicted;
      return true;
    }
  }
  return false;
}

UtcTime Vault::Impl::usable_until(const Copy& copy) const {
  if (!copy.refreshed() || fetcher == nullptr) return copy.accepted.expires;
  return std::min(copy.accepted.expires, copy.refresh_at + options.max_stale_seconds);
}

bool Vault::Impl::usable(const Entry& entry, UtcTime now) const {
  return entry.copy != nullptr && now <= usable_until(*entry.copy);
}

bool Vault::Impl::due(const Entry& entry) const {
  return entry.copy != nullptr && entry.copy->refreshed() && clock.now() >= entry.copy->refresh_at;
}

/// How long ago its refresh was due, when that failed or should long have been done, whatever keeps it. In whole
/// minutes, begun ones too: the same set then serves many requests.
std::optional<std::int64_t> Vault::Impl::stale_of(const Entry& entry) const {
  if (fetcher == nullptr || !due(entry)) return std::nullopt;
  const std::int64_t age = clock.now().seconds - entry.copy->refresh_at.seconds;
  if (!entry.refresh_failed && age < options.late_seconds) return std::nullopt;
  return (age + 59) / 60 * 60;
}

bool Vault::Impl::failed(const Entry& entry) const { return entry.failure && clock.steady() < entry.retry_at; }

/// RFC 7517 keys are rolled over: a token under a key that is not in the set may be newer than the set. One fetch says;
/// tokens with invented key ids cause no more than one in unknown_key_seconds.
bool Vault::Impl::wants_other_key(Request& request, const std::shared_ptr<Entry>& held, const Needs& needs) {
  Entry& entry = *held;
  if (!std::holds_alternative<attestation::JwksOf>(entry.artefact) || needs.key_id.empty()) return false;
  if (request.key_asked || entry.copy->key_ids.contains(needs.key_id) || fetcher == nullptr) return false;
  if (!entry.job) {
    if (failed(entry) || clock.steady() < entry.other_key_at) return false;
    const auto origin = fetcher->origin(entry.artefact);
    if (!origin.ok() || gates.state(*origin).away || !enqueue(held, *origin, true)) return false;
    entry.other_key_at = clock.steady() + std::chrono::seconds(options.unknown_key_seconds);
  }
  request.key_asked = true;
  return true;
}

/// When a host allows only so many fetches, somebody far back in the queue need not wait to hear that it takes too
/// long.
std::optional<Error> Vault::Impl::too_late(const Entry& entry, Deadline deadline) const {
  const Job& job = *entry.job;
  if (job.running) return std::nullopt;
  if (!job.origin.scarce && gates.turn(job.origin, 0) < deadline) return std::nullopt;
  std::int64_t before = 0;
  for (const auto& other : queue) {
    if (other->job->origin.host != job.origin.host || other->job->origin.scarce != job.origin.scarce) continue;
    if (awaited(*other) && other->job->order < job.order) ++before;
  }
  const Deadline begins = gates.turn(job.origin, before);
  if (begins < deadline) return std::nullopt;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(begins - clock.steady()).count();
  return Error{.code = Code::unavailable,
               .what = to_text(entry.artefact) + ": " + job.origin.host + " gives out no more for now",
               .expected = "a fetch in time",
               .found = "a place in the queue, about " + std::to_string(seconds) + " s from now",
               .remedy = "Ask again later: the fetch goes on, and its result is kept."};
}

/// From where it may be fetched for this request. What a quote names is its maker's invention until its PCK certificate
/// is known to be Intel's.
Result<Origin> Vault::Impl::origin_for(const Request& request, const Artefact& artefact) const {
  if (fetcher == nullptr) {
    return Error{Code::collateral_missing, to_text(artefact) + ": not held, and the network is not asked"};
  }
  if (request.origin != Request::Origin::stranger) return fetcher->origin(artefact);
  return Error{Code::collateral_missing, to_text(artefact) +
                                             ": not held, and not asked for, because the quote's PCK "
                                             "certificate is not signed under a trusted root"};
}

/// `shared` waits for what is pending.
Step Vault::Impl::evaluate_way(Request& request, const RequestPtr& shared, const Needs& needs) {
  Parts parts{.copies = {}, .problems = needs.problems, .stale = {}};
  std::optional<Error> failure;
  std::vector<std::shared_ptr<Entry>> pending;
  const auto wait_for = [&](const std::shared_ptr<Entry>& entry) {
    entry->waiters.insert(shared);
    pending.push_back(entry);
  };
  for (const Artefact& artefact : needs.artefacts) {
    const auto entry = entry_of(artefact);
    if (!entry) {
      failure = too_many();
      break;
    }
    const auto origin = origin_for(request, artefact);
    if (usable(*entry, request.now)) {
      if (wants_other_key(request, entry, needs)) {
        wait_for(entry);
        continue;
      }
      if (due(*entry) && !entry->job && !failed(*entry) && origin.ok()) enqueue(entry, *origin, false);
      parts.copies.push_back(entry->copy);
      if (const auto age = stale_of(*entry)) parts.stale = std::max(parts.stale.value_or(0), *age);
      continue;
    }
    if (!entry->copy && request.origin == Request::Origin::unknown && fetcher != nullptr) {
      request.origin = Request::Origin::asked;
      failure = Error{Code::internal, "collateral: whose platform this is has not been asked yet"};
      break;
    }
    if (!origin.ok()) {
      for (const CollateralKind kind : documents_of(artefact)) {
        const std::string& remedy = origin.error().remedy;
        parts.problems.push_back(
            {.kind = kind, .what = origin.error().what + (remedy.empty() ? "" : ". " + remedy), .missing = true});
      }
      continue;
    }
    if (!entry->job) {
      if (failed(*entry)) {
        if (!request.waited) ++counters.negative_hits;
        failure = *entry->failure;
        if (failure->code == Code::collateral_missing) break;
        continue;
      }
      if (const auto state = gates.state(*origin); state.away) {
        if (!request.waited) ++counters.negative_hits;
        failure = *state.away;
        continue;
      }
      if (!enqueue(entry, *origin, true)) {
        failure = too_many();
        continue;
      }
    } else if (!request.waited) {
      ++entry->job->asks;
    }
    wait_for(entry);
  }
  if (!failure && pending.empty()) return parts;
  if (!failure && clock.steady() >= request.deadline) failure = too_slow();
  if (!failure && !request.place && waiting.size() >= options.max_waiters) failure = too_many();
  for (const auto& entry : pending) {
    if (!failure) failure = too_late(*entry, request.deadline);
  }
  if (!failure) return Pending{};
  for (const auto& entry : pending) entry->waiters.erase(shared);
  return *std::move(failure);
}

/// A report that does not say its product may be one of a chip that is known.
bool Vault::Impl::prefer_held(Request& request) {
  for (std::size_t way = 0; way < request.ways.size(); ++way) {
    const auto& artefacts = request.ways[way].artefacts;
    const bool held = std::ranges::all_of(artefacts, [&](const Artefact& artefact) {
      const auto found = entries.find(artefact);
      return found != entries.end() && usable(*found->second, request.now);
    });
    if (!held) continue;
    request.way = way;
    return true;
  }
  return false;
}

Step Vault::Impl::evaluate(Request& request, const RequestPtr& shared) {
  if (stopping) return shutting_down();
  if (request.ways.size() > 1) prefer_held(request);
  while (true) {
    Step step = evaluate_way(request, shared, request.ways[request.way]);
    if (request.way + 1 == request.ways.size()) return step;
    // What a service does not know may be of the other product; what no service has is perhaps held for that.
    const auto* error = std::get_if<Error>(&step);
    const auto* parts = std::get_if<Parts>(&step);
    const bool nobody = error != nullptr && error->code == Code::collateral_missing;
    const bool unheld = parts != nullptr && !parts->problems.empty() && fetcher != nullptr;
    if (!nobody && !unheld) return step;
    ++request.way;
  }
}

/// What a set must be beyond its parts: of one root, and each certificate under the chain beside it. `spoilt` is what
/// has to be got anew when it is not.
base::Status Vault::Impl::judge_set(const Request& request, const Parts& parts, const Collateral& set,
                                    std::optional<Artefact>& spoilt) const {
  const Needs& needs = request.ways[request.way];
  if (std::holds_alternative<attestation::TcbInfoOf>(needs.artefacts.front())) {
    if (parts.copies.size() != needs.artefacts.size())
      return base::done();  // offline: the verdict says what is missing
    TRY_OK(verifier.accept_collateral(set, dcap_needs_in(needs), request.now));
    return base::done();
  }
  const auto* chain = set.find(CollateralKind::amd_chain);
  if (chain == nullptr) return base::done();
  for (const CopyPtr& copy : parts.copies) {
    const auto* accepted_under = copy->context->find(CollateralKind::amd_chain);
    if (accepted_under == nullptr || accepted_under->sha256 == chain->sha256) continue;
    // The chain was replaced since.
    for (const Artefact& artefact : needs.artefacts) {
      if (documents_of(artefact).front() != copy->documents->items().front().kind) continue;
      const auto accepted = verifier.accept(artefact, set, request.now);
      if (accepted.ok()) continue;
      spoilt = artefact;
      return accepted.error();
    }
  }
  return base::done();
}

/// The same parts make the same object. The lock is not held while signatures are computed.
Result<Shared> Vault::Impl::make_set(Lock& lock, const Request& request, const Parts& parts,
                                     std::optional<Artefact>& spoilt) {
  std::vector<std::uint64_t> name{static_cast<std::uint64_t>(parts.stale.value_or(-1)), request.whole_set ? 1u : 0u};
  for (const CopyPtr& copy : parts.copies) name.push_back(copy->serial);
  const bool nameable = parts.problems.empty();
  if (const auto found = made.find(name); nameable && found != made.end()) {
    found->second.last_use = ++uses;
    return found->second.set;
  }
  lock.unlock();
  std::vector<attestation::CollateralItem> items;
  for (const CopyPtr& copy : parts.copies) {
    items.insert(items.end(), copy->documents->items().begin(), copy->documents->items().end());
  }
  Shared set = Collateral::make(std::move(items), parts.problems, parts.stale);
  const auto judged = request.whole_set ? judge_set(request, parts, *set, spoilt) : base::done();
  lock.lock();
  if (!judged.ok()) return judged.error();
  if (!nameable) return set;
  if (made.size() >= kMaxMade) {
    made.erase(std::ranges::min_element(made, {}, [](const auto& m) { return m.second.last_use; }));
  }
  // Somebody else may have made it meanwhile: then theirs is the one.
  const auto at = made.emplace(std::move(name), Made{std::move(set), 0}).first;
  at->second.last_use = ++uses;
  return at->second.set;
}

/// `lock` is held on entry; not on return, when the answer has been given.
void Vault::Impl::answer(Lock& lock, const RequestPtr& request, Step step) {
  while (true) {
    if (std::holds_alternative<Pending>(step)) {
      if (!std::exchange(request->waited, true)) ++counters.waits;
      request->place = waiting.emplace(request->deadline, request);
      keeper_wake.notify_one();
      lane_wake.notify_one();
      lock.unlock();
      return;
    }
    if (auto* error = std::get_if<Error>(&step)) {
      Given given = *std::move(error);
      lock.unlock();
      return finish(request, std::move(given));
    }
    const Parts parts = std::get<Parts>(std::move(step));
    std::optional<Artefact> spoilt;
    auto set = make_set(lock, *request, parts, spoilt);
    if (!set.ok() && spoilt && ++request->rounds < kMaxRounds) {
      const auto entry = entry_of(*spoilt);
      if (entry && !entry->failure) {
        entry->copy = nullptr;
        entry->newest.reset();  // its signer is another one now
        entry->in_store = false;
        step = evaluate(*request, request);
        continue;
      }
    }
    if (set.ok() && !request->waited) ++counters.hits;
    if (set.ok() && parts.stale) ++counters.stale;
    lock.unlock();
    return finish(request, std::move(set));
  }
}

void Vault::Impl::finish(const RequestPtr& request, Given given) {
  if (std::exchange(request->finished, true)) return;
  Done done = std::move(request->done);
  done(std::move(given));
}

/// It waits for nothing any more.
void Vault::Impl::leave(const RequestPtr& request) {
  if (!request->place) return;
  waiting.erase(*std::exchange(request->place, std::nullopt));
  for (const auto& way : request->ways) {
    for (const Artefact& artefact : way.artefacts) {
      const auto found = entries.find(artefact);
      if (found != entries.end()) found->second->waiters.erase(request);
    }
  }
}

/// Whoever waited for it looks again; those who are served are answered on another thread.
void Vault::Impl::wake_waiters(Entry& entry) {
  const auto waiters = std::exchange(entry.waiters, {});
  for (const auto& weak : waiters) {
    const RequestPtr request = weak.lock();
    if (!request) continue;
    if (!request->place) continue;  // answered already
    Step step = evaluate(*request, request);
    if (std::holds_alternative<Pending>(step)) continue;
    leave(request);
    answers.emplace_back(request, std::move(step));
    answer_wake.notify_one();
  }
}

void Vault::Impl::ask(std::vector<Needs> ways, bool whole_set, UtcTime now, Deadline deadline, Done done,
                      const attestation::Evidence* quote) {
  warm(ways);
  const auto request = std::make_shared<Request>();
  request->ways = std::move(ways);
  request->now = now;
  request->deadline = deadline;
  request->done = std::move(done);
  request->whole_set = whole_set;
  if (quote != nullptr) request->origin = Request::Origin::unknown;
  Lock lock(mutex);
  Step step = evaluate(*request, request);
  const bool asked = request->origin == Request::Origin::asked;
  request->origin = Request::Origin::good;
  if (asked) {
    // Signatures are computed without the lock, and only for what nobody holds.
    lock.unlock();
    const bool good = attestation::dcap::judge_pck_origin(quote->bytes, verifier.anchors()).ok();
    lock.lock();
    if (!good) request->origin = Request::Origin::stranger;
    if (!good) ++counters.strangers;
    step = evaluate(*request, request);
  }
  answer(lock, request, std::move(step));
}

Vault::Given Vault::Impl::ask_and_wait(std::vector<Needs> ways, bool whole_set, UtcTime now, Deadline deadline,
                                       const attestation::Evidence* quote) {
  const auto box = std::make_shared<Box>();
  const auto put = [box](Given given) {
    const std::lock_guard<std::mutex> lock(box->mutex);
    box->given = std::move(given);
    box->done.notify_one();
  };
  ask(std::move(ways), whole_set, now, deadline, put, quote);
  std::unique_lock<std::mutex> lock(box->mutex);
  box->done.wait(lock, [&] { return box->given.has_value(); });
  return *std::move(box->given);
}

// -- The public door -------------------------------------------------------------------------------------------------

Vault::Vault(Fetcher* fetcher, const attestation::Verifier& verifier, state::Store* store, VaultOptions options)
    : impl_(std::make_unique<Impl>(fetcher, verifier, store, options)) {
  impl_->start();
}

Vault::~Vault() { stop(); }
void Vault::stop() { impl_->stop(); }

namespace {

std::vector<Needs> ways_of(internal::NeedsMemo& memo, const attestation::Verifier& verifier,
                           const attestation::Evidence& evidence) {
  if (evidence.format != attestation::EvidenceFormat::dcap_quote) {
    return needs_of(evidence, verifier.anchors().token_issuers());
  }
  const auto needs = memo.of(evidence.bytes);
  return needs.ok() ? needs_of(*needs) : std::vector<Needs>{};
}

const attestation::Evidence* quote_in(const attestation::Evidence& evidence) {
  return evidence.format == attestation::EvidenceFormat::dcap_quote ? &evidence : nullptr;
}

}  // namespace

Vault::Given Vault::collateral_for(const attestation::Evidence& evidence, UtcTime now, Deadline deadline) {
  auto ways = ways_of(impl_->memo, impl_->verifier, evidence);
  if (ways.empty()) return Collateral::none();
  return impl_->ask_and_wait(std::move(ways), true, now, deadline, quote_in(evidence));
}

void Vault::when_ready(const attestation::Evidence& evidence, UtcTime now, Deadline deadline, Done done) {
  auto ways = ways_of(impl_->memo, impl_->verifier, evidence);
  if (ways.empty()) return done(Collateral::none());
  impl_->ask(std::move(ways), true, now, deadline, std::move(done), quote_in(evidence));
}

Result<Held> Vault::get(const Artefact& artefact, UtcTime now, Deadline deadline, bool fetch) {
  const auto held = [&]() -> std::optional<Held> {
    const Lock lock(impl_->mutex);
    const auto found = impl_->entries.find(artefact);
    if (found == impl_->entries.end() || !impl_->usable(*found->second, now)) return std::nullopt;
    const Entry& entry = *found->second;
    return Held{impl_->describe(artefact, *entry.copy, &entry), entry.copy->documents};
  };
  if (!fetch) {
    impl_->look_up(artefact);
    if (auto out = held()) return *std::move(out);
    return Error{Code::not_found, to_text(artefact) + " is not held"};
  }
  Needs needs;
  needs.artefacts.push_back(artefact);
  TRY(const Shared set, impl_->ask_and_wait({needs}, false, now, deadline, nullptr));
  if (auto out = held()) return *std::move(out);
  const auto missing = set->problems().empty() ? std::string{} : set->problems().front().what;
  return Error{Code::collateral_missing, missing.empty() ? to_text(artefact) + " is not held" : missing};
}

Result<Held> Vault::refresh(const Artefact& artefact, Deadline deadline) {
  if (impl_->fetcher == nullptr) return Error{Code::unavailable, to_text(artefact) + ": the network is not asked"};
  TRY(const Origin origin, impl_->fetcher->origin(artefact));
  impl_->warm(artefact);
  Lock lock(impl_->mutex);
  const auto entry = impl_->entry_of(artefact);
  if (!entry) return too_many();
  entry->failure.reset();
  if (!entry->job && !impl_->enqueue(entry, origin, true)) return too_many();
  // Who waits here is no Request; nobody else's request may push this fetch out all the same.
  ++entry->job->pinned;
  const std::uint64_t order = entry->job->order;
  impl_->lane_wake.notify_one();
  while (entry->job && entry->job->order == order) {
    if (impl_->clock.steady() >= deadline) {
      --entry->job->pinned;
      return too_slow();
    }
    impl_->settled.wait_for(lock, impl_->options.slice);
  }
  if (entry->failure) return *entry->failure;
  if (entry->fetched_by != order) return Error{Code::unavailable, to_text(artefact) + ": the fetch was given up"};
  if (!entry->copy) return Error{Code::unavailable, to_text(artefact) + ": forgotten meanwhile"};
  return Held{impl_->describe(artefact, *entry->copy, entry.get()), entry->copy->documents};
}

VaultStats Vault::stats() const {
  const Lock lock(impl_->mutex);
  VaultStats out = impl_->counters;
  out.artefacts = impl_->entries.size();
  out.queued = impl_->queue.size();
  out.in_flight = impl_->in_flight;
  out.waiting = impl_->waiting.size();
  out.store_errors = impl_->store_errors->get();
  const UtcTime now = impl_->clock.now();
  for (const auto& [artefact, entry] : impl_->entries) {
    const auto age = impl_->stale_of(*entry);
    if (!age) continue;
    ++out.stale_artefacts;
    out.oldest_stale_seconds = std::max(out.oldest_stale_seconds, *age);
  }
  out.alarms = impl_->alarms.size();
  if (!impl_->alarms.empty()) {
    out.soonest_end_seconds = impl_->alarms.front().usable_until.seconds - now.seconds;
  }
  return out;
}

std::vector<Alarm> Vault::alarms() const {
  const Lock lock(impl_->mutex);
  return impl_->alarms;
}

void Vault::on_alarms(std::move_only_function<void(const std::vector<Alarm>&)> listener) {
  const Lock lock(impl_->mutex);
  impl_->alarm_listener = std::move(listener);
}

}  // namespace attestry::collateral
