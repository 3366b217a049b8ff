// What contracts answer at a block: from the cache, from a question that is under way already, or by asking everybody.
#include <algorithm>

#include "chain/internal/quorum_impl.h"
#include "chain/proof.h"

namespace attestry::chain {

using base::Code;
using base::Error;
using base::Result;
using internal::CallsBallot;
using internal::CallsBallots;
using internal::ResultCache;

namespace {

constexpr std::size_t kMaxProofs = 4096;

std::string proof_key(const Address& contract, std::span<const Word> slots) {
  std::string key{base::as_text(contract)};
  for (const Word& slot : slots) key += base::as_text(slot);
  return key;
}

/// Nobody else's question waits with a stranger's.
std::string pending_key(const BlockRef& at, bool stranger, const std::string& key) {
  return (stranger ? "?" : "") + std::string{base::as_text(at.hash)} + key;
}

}  // namespace

void QuorumReader::Impl::trust_events(const Address& address, bool trusted) {
  const base::MutexLock lock{mutex_};
  emits_[address] = {.always = trusted};
}

Result<std::vector<CallOutcome>> QuorumReader::Impl::call(const BlockRef& at, std::span<const Call> calls,
                                                          base::Deadline deadline, Asker asker) {
  if (auto error = alarm()) return *std::move(error);
  std::shared_ptr<Flight> mine;
  auto wanted = sources(at, calls, asker, mine);
  if (mine) launch(mine);
  std::vector<CallOutcome> out;
  for (Source& source : wanted) {
    TRY(const Outcome outcome, await(source, deadline));
    out.push_back(*outcome);
  }
  return out;
}

/// Finds out who knows each answer. What nobody knows or is asking for goes into one new flight, `mine`.
std::vector<QuorumReader::Impl::Source> QuorumReader::Impl::sources(const BlockRef& at, std::span<const Call> calls,
                                                                    Asker asker, std::shared_ptr<Flight>& mine) {
  std::vector<Source> out;
  const base::MutexLock lock{mutex_};
  for (const Call& call : calls) {
    Source source{.key = ResultCache::key_of(call)};
    source.outcome = cache_.find(at.hash, source.key);
    if (source.outcome) {
      ++counters_.cache_hits;
      out.push_back(std::move(source));
      continue;
    }
    auto& pending = pending_[pending_key(at, asker == Asker::stranger, source.key)];
    const bool open = pending.first && (pending.first == mine || !pending.first->round.complete());
    if (open && options_.clock->steady() < pending.first->round.deadline()) {
      ++counters_.shared;
    } else {
      ++counters_.cache_misses;
      if (!mine) mine = std::make_shared<Flight>(at, asker, endpoints_.size(), round_deadline(asker));
      pending = {mine, mine->calls.size()};
      mine->calls.push_back(call);
    }
    source.flight = pending.first;
    source.place = pending.second;
    out.push_back(std::move(source));
  }
  return out;
}

void QuorumReader::Impl::launch(const std::shared_ptr<Flight>& flight) {
  const std::shared_ptr<CallsRound> round{flight, &flight->round};
  start<CallsBallot>(
      flight->asker, round,
      [this, flight](std::size_t voter, Endpoint& endpoint, base::Deadline deadline) {
        return ask_calls(voter, endpoint, *flight, deadline);
      },
      [this, flight](std::size_t) {
        // A stranger's contract may answer everybody differently: by the gas that is left, for example.
        if (flight->asker != Asker::stranger) count_disagreement(*flight);
        if (flight->round.complete()) forget(*flight);
      });
}

/// When everybody has answered, nobody new is to wait for this flight: what it decided is in the cache, and what it did
/// not is to be asked anew.
void QuorumReader::Impl::forget(const Flight& flight) {
  const base::MutexLock lock{mutex_};
  for (const Call& call : flight.calls) {
    const auto found =
        pending_.find(pending_key(flight.at, flight.asker == Asker::stranger, ResultCache::key_of(call)));
    if (found != pending_.end() && found->second.first.get() == &flight) pending_.erase(found);
  }
}

Result<CallsBallot> QuorumReader::Impl::ask_calls(std::size_t voter, Endpoint& endpoint, const Flight& flight,
                                                  base::Deadline deadline) {
  bool by_number = false;
  {
    const base::MutexLock lock{mutex_};
    by_number = voters_[voter].status.by_number;
  }
  TRY(RpcAnswers answers, endpoint.batch(internal::call_requests(flight.at, flight.calls, by_number), deadline));
  // Only where a single endpoint is believed anyway: a number means another block to each of several.
  if (!by_number && quorum_ == 1 && internal::refuses_block_hash(answers)) {
    by_number = true;
    TRY(answers, endpoint.batch(internal::call_requests(flight.at, flight.calls, by_number), deadline));
    const base::MutexLock lock{mutex_};
    voters_[voter].status.by_number = true;
  }
  return internal::read_calls(answers, flight.at, by_number);
}

Result<QuorumReader::Impl::Outcome> QuorumReader::Impl::await(Source& source, base::Deadline deadline) {
  if (source.outcome) return source.outcome;
  CallsRound& round = source.flight->round;
  auto decided = round.wait(deadline, [&source, quorum = quorum_](const CallsBallots& ballots, bool ended) {
    return internal::count(ballots, source.place, quorum, ended);
  });
  const bool over = round.complete() || options_.clock->steady() >= round.deadline();
  if (!decided && !over) return Error{Code::deadline_exceeded, "chain: no quorum answered in time"};
  const BlockRef& at = source.flight->at;
  if (decided) source.outcome = std::make_shared<const CallOutcome>(*std::move(decided));
  const bool stranger = source.flight->asker == Asker::stranger;
  {
    const base::MutexLock lock{mutex_};
    if (source.outcome && !stranger) cache_.put(at, source.key, source.outcome, at.number);
    const auto pending = pending_.find(pending_key(at, stranger, source.key));
    if (pending != pending_.end() && pending->second.first == source.flight) pending_.erase(pending);
  }
  if (source.outcome) return source.outcome;
  const auto ballots = round.look([](const CallsBallots& b) { return b; });
  return no_quorum("no quorum agrees on what a contract answers at block " + std::to_string(at.number),
                   troubles<CallsBallot>(ballots));
}

/// Names whoever says something else than the quorum, after every ballot: each counts once, as soon as there is a
/// quorum to compare it with.
void QuorumReader::Impl::count_disagreement(Flight& flight) {
  const auto contradicts = [&flight, quorum = quorum_](const CallsBallots& ballots, std::size_t who) {
    for (std::size_t place = 0; place < flight.calls.size(); ++place) {
      const auto decided = internal::count(ballots, place, quorum, false);
      const auto& said = (**ballots[who])[place];
      if (decided && said && (said->reverted != decided->reverted || said->data != decided->data)) return true;
    }
    return false;
  };
  const auto verdicts = flight.round.look([&](const CallsBallots& ballots) {
    std::vector<std::pair<std::size_t, bool>> out;
    if (!internal::count(ballots, 0, quorum_, false)) return out;
    for (std::size_t i = 0; i < ballots.size(); ++i) {
      if (!ballots[i] || !ballots[i]->ok() || flight.judged[i]) continue;
      flight.judged[i] = true;
      out.emplace_back(i, contradicts(ballots, i));
    }
    return out;
  });
  for (const auto& [who, lies] : verdicts) note_vote(who, lies);
}

std::optional<ProvedStorage> QuorumReader::Impl::known_proof(const BlockRef& at, const std::string& key) {
  const base::MutexLock lock{mutex_};
  if (proofs_at_ != at) return std::nullopt;
  const auto found = proofs_.find(key);
  return found == proofs_.end() ? std::nullopt : std::optional{found->second};
}

void QuorumReader::Impl::keep_proof(const BlockRef& at, const std::string& key, const ProvedStorage& proved) {
  const base::MutexLock lock{mutex_};
  if (proofs_at_ && at.number < proofs_at_->number) return;
  if (proofs_at_ != at || proofs_.size() >= kMaxProofs) proofs_.clear();
  proofs_at_ = at;
  proofs_.insert_or_assign(key, proved);
}

Result<ProvedStorage> QuorumReader::Impl::storage(const BlockRef& at, const Address& contract,
                                                  std::span<const Word> slots, base::Deadline deadline) {
  if (auto error = alarm()) return *std::move(error);
  const std::string key = proof_key(contract, slots);
  if (auto known = known_proof(at, key)) return *std::move(known);
  using Ballots = internal::Round<ProvedStorage>::Ballots;
  const auto round =
      std::make_shared<internal::Round<ProvedStorage>>(endpoints_.size(), round_deadline(Asker::release));
  const std::vector<Word> asked{slots.begin(), slots.end()};
  start<ProvedStorage>(Asker::release, round,
                       [at, contract, asked](std::size_t, Endpoint& endpoint, base::Deadline until) {
                         return proved_storage(endpoint, at, contract, asked, until);
                       });
  const auto proved = round->wait(deadline, [](const Ballots& ballots, bool) {
    const auto holds = std::ranges::find_if(ballots, [](const auto& b) { return b && b->ok(); });
    return holds == ballots.end() ? std::optional<ProvedStorage>{} : std::optional{***holds};
  });
  if (proved) {
    keep_proof(at, key, *proved);
    return *proved;
  }
  const auto ballots = round->look([](const Ballots& b) { return b; });
  return Error{.code = Code::unavailable,
               .what = "chain: no endpoint proves what stands in storage",
               .found = troubles<ProvedStorage>(ballots)};
}

}  // namespace attestry::chain
