// The quorum of endpoints: which block is the head, and what the chain says at a block.
#include <algorithm>
#include <condition_variable>
#include <functional>
#include <map>
#include <unordered_map>

#include "base/base58.h"
#include "base/log.h"
#include "base/mutex.h"
#include "chain/internal/lane.h"
#include "chain/internal/round.h"
#include "chain/near_rpc.h"

namespace attestry::chain::near {
namespace {

using base::Code;
using base::Error;
using base::Result;
using internal::Lane;
using internal::Round;

using BlockRound = Round<Block>;
using AnswerRound = Round<Answer>;

/// How long a round waits for endpoints beside the quorum, so that a laggard among the fastest does not speak for all.
constexpr std::chrono::milliseconds kGrace{250};
/// Heights that may be the head; the honest endpoints are rarely further apart.
constexpr std::size_t kMaxCandidates = 4;

template <class Ballots>
std::size_t usable(const Ballots& ballots) {
  return static_cast<std::size_t>(std::ranges::count_if(ballots, [](const auto& b) { return b && b->ok(); }));
}

/// What `quorum` of them say, the same.
template <class Ballot>
std::optional<Ballot> agreed(const typename Round<Ballot>::Ballots& ballots, std::size_t quorum) {
  for (const auto& one : ballots) {
    if (!one || !one->ok()) continue;
    const auto votes = std::ranges::count_if(ballots, [&](const auto& b) { return b && b->ok() && **b == **one; });
    if (static_cast<std::size_t>(votes) >= quorum) return **one;
  }
  return std::nullopt;
}

/// Heights that may be the head, highest first. The highest is one that `quorum` endpoints have reached: with fewer
/// liars than that it is not above what an honest one has. Not every height has a block, and a liar may have made it
/// up, hence the others.
std::vector<std::uint64_t> candidates(const BlockRound::Ballots& ballots, std::size_t quorum) {
  std::vector<std::uint64_t> heights;
  for (const auto& ballot : ballots) {
    if (ballot && ballot->ok()) heights.push_back((*ballot)->height);
  }
  std::ranges::sort(heights, std::greater{});
  if (heights.size() < quorum) return {};
  heights.erase(heights.begin(), heights.begin() + static_cast<std::ptrdiff_t>(quorum) - 1);
  const auto repeated = std::ranges::unique(heights);
  heights.erase(repeated.begin(), repeated.end());
  heights.resize(std::min(heights.size(), kMaxCandidates));
  return heights;
}

/// What went wrong and what was found, without advice.
std::string in_words(const Error& error) { return error.found.empty() ? error.what : error.what + ": " + error.found; }

std::string_view to_text(Finality finality) {
  switch (finality) {
    case Finality::optimistic:
      return "optimistic";
    case Finality::final:
      return "final";
  }
  return {};
}

std::string seconds(std::int64_t count) { return std::to_string(count) + " s"; }

}  // namespace

std::vector<Error> mistakes_in(const ReaderOptions& options) {
  auto out = mistakes_in(options.chain_id, options.endpoints, options.quorum);
  const auto mistake = [&](std::string what) { out.push_back({Code::configuration, "NEAR: " + std::move(what)}); };
  if (options.max_head_age < 0 || options.max_clock_skew < 0) mistake("a negative age");
  if (options.round_timeout.count() <= 0 || options.head_ttl.count() < 0) mistake("no time for an answer");
  if (options.lanes == 0) mistake("no threads");
  return out;
}

struct QuorumReader::Impl {
  Impl(net::HttpTransport& transport, ReaderOptions given)
      : options_(std::move(given)),
        quorum_(options_.quorum > 0 ? options_.quorum : options_.endpoints.size() / 2 + 1),
        voters_(options_.endpoints.size()) {
    for (std::size_t i = 0; i < options_.endpoints.size(); ++i) {
      endpoints_.push_back(std::make_unique<Endpoint>(transport, options_.endpoints[i]));
      voters_[i].status.name = endpoints_[i]->name();
      lanes_.push_back(std::make_unique<Lanes>(options_.lanes));
    }
  }

  Result<Block> head(base::Deadline deadline);
  Result<Answer> ask(const Block& at, const Question& question, base::Deadline deadline);
  ReaderStatus status() const;

 private:
  struct Voter {
    EndpointStatus status{};
    bool suspect = false;     ///< gave no answer last time: nobody waits for it when a quorum is there
    bool chain_seen = false;  ///< serves the right network
  };
  /// One question under way.
  struct Flight {
    Flight(std::size_t voters, base::Deadline deadline) : round(voters, deadline), judged(voters) {}
    AnswerRound round;
    // With the round's lock:
    std::vector<bool> judged;  ///< whose ballot was compared
    std::optional<Answer> outcome{};
  };
  using Flights = std::unordered_map<std::string, std::shared_ptr<Flight>>;

  template <class Ballot>
  Result<Ballot> noted(std::size_t voter, Result<Ballot> ballot);
  bool waits_for_none(const BlockRound::Ballots& ballots) const;
  template <class Ballot>
  std::string troubles(const typename Round<Ballot>::Ballots& ballots) const;
  Error no_quorum(std::string what, std::string found);
  std::optional<Error> alarm() const ATTESTRY_REQUIRES(mutex_);
  /// Rounds about questions are shared, so no caller's deadline shortens them.
  base::Deadline round_deadline(base::Deadline deadline = base::Deadline::max()) const {
    return std::min(deadline, options_.clock->steady() + options_.round_timeout);
  }

  bool fresh() const ATTESTRY_REQUIRES(mutex_) {
    return head_ && options_.clock->steady() - confirmed_ < options_.head_ttl;
  }
  Result<Block> refresh(base::Deadline deadline);
  base::Status check_chain(std::size_t voter, base::Deadline deadline);
  BlockRound::Ballots ask_heads(base::Deadline deadline);
  void note_heads(const BlockRound::Ballots& heads);
  Result<Block> choose(const BlockRound::Ballots& heads, base::Deadline deadline);
  std::optional<Block> elect(const BlockRound::Ballots& heads, std::uint64_t height, base::Deadline deadline);
  void ask_height(const std::shared_ptr<BlockRound>& round, std::size_t voter, std::uint64_t height);
  Result<Block> accept(const Block& chosen);
  std::optional<Error> stale(const Block& block) const;

  std::optional<Answer> cached(const std::string& key) ATTESTRY_REQUIRES(mutex_);
  void keep(const Block& at, const std::string& key, const Answer& answer) ATTESTRY_REQUIRES(mutex_);
  std::shared_ptr<Flight> board(const std::string& key, bool& mine) ATTESTRY_REQUIRES(mutex_);
  void launch(const std::shared_ptr<Flight>& flight, const std::string& key, const Block& at, const Question& question);
  void judge(Flight& flight);
  void note_liars(const std::vector<std::size_t>& voters);
  void land(const std::string& key, const std::shared_ptr<Flight>& flight);

  const ReaderOptions options_;
  const std::size_t quorum_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;

  mutable base::Mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Voter> voters_ ATTESTRY_GUARDED_BY(mutex_);
  std::optional<Block> head_ ATTESTRY_GUARDED_BY(mutex_);
  std::chrono::steady_clock::time_point confirmed_ ATTESTRY_GUARDED_BY(mutex_){};
  bool refreshing_ ATTESTRY_GUARDED_BY(mutex_) = false;
  std::uint64_t refreshes_ ATTESTRY_GUARDED_BY(mutex_) = 0;
  std::optional<Error> trouble_ ATTESTRY_GUARDED_BY(mutex_);  ///< of the last refresh
  std::string alarm_ ATTESTRY_GUARDED_BY(mutex_);
  Flights flights_ ATTESTRY_GUARDED_BY(mutex_);  ///< by the parameters of the question, which name the block
  std::optional<Block> cached_at_ ATTESTRY_GUARDED_BY(mutex_);
  std::unordered_map<std::string, Answer> cache_ ATTESTRY_GUARDED_BY(mutex_);
  std::size_t cached_bytes_ ATTESTRY_GUARDED_BY(mutex_) = 0;
  ReaderStatus counters_ ATTESTRY_GUARDED_BY(mutex_);

  /// Of one endpoint: for heads, for views. Last, so that their threads end before what they use.
  struct Lanes {
    explicit Lanes(std::size_t threads) : heads(1), views(threads) {}
    Lane heads, views;
  };
  std::vector<std::unique_ptr<Lanes>> lanes_;
};

// -- rounds

template <class Ballot>
Result<Ballot> QuorumReader::Impl::noted(std::size_t voter, Result<Ballot> ballot) {
  const base::MutexLock lock{mutex_};
  Voter& one = voters_[voter];
  ++one.status.asked;
  // That what was asked for is too much says nothing about who was asked.
  const bool large = !ballot.ok() && ballot.error().code == Code::too_large;
  one.suspect = !ballot.ok() && !large;
  one.status.trouble = ballot.ok() ? "" : in_words(ballot.error());
  if (one.suspect) ++one.status.failed;
  return ballot;
}

/// Whether all that have not voted gave no answer last time either.
bool QuorumReader::Impl::waits_for_none(const BlockRound::Ballots& ballots) const {
  const base::MutexLock lock{mutex_};
  for (std::size_t i = 0; i < ballots.size(); ++i) {
    if (!ballots[i] && !voters_[i].suspect) return false;
  }
  return true;
}

template <class Ballot>
std::string QuorumReader::Impl::troubles(const typename Round<Ballot>::Ballots& ballots) const {
  std::string out;
  for (std::size_t i = 0; i < ballots.size(); ++i) {
    if (ballots[i] && ballots[i]->ok()) continue;
    out += (out.empty() ? "" : "; ") + endpoints_[i]->name() + ": ";
    out += ballots[i] ? in_words(ballots[i]->error()) : "no answer in time";
  }
  return out.empty() ? "the endpoints contradict each other" : out;
}

Error QuorumReader::Impl::no_quorum(std::string what, std::string found) {
  const base::MutexLock lock{mutex_};
  ++counters_.without_quorum;
  return {.code = Code::unavailable,
          .what = "NEAR: " + std::move(what),
          .expected = std::to_string(quorum_) + " of " + std::to_string(endpoints_.size()) + " endpoints",
          .found = std::move(found)};
}

std::optional<Error> QuorumReader::Impl::alarm() const {
  if (alarm_.empty()) return std::nullopt;
  return Error{.code = Code::unavailable,
               .what = "NEAR: a final block was replaced",
               .found = alarm_,
               .remedy = "Find out which endpoints lie, or which chain they follow, and restart."};
}

// -- the head

Result<Block> QuorumReader::Impl::head(base::Deadline deadline) {
  std::uint64_t seen = 0;
  {
    const base::MutexLock lock{mutex_};
    seen = refreshes_;
    while (refreshing_ && !fresh() && refreshes_ == seen) {
      if (changed_.wait_until(mutex_, deadline) == std::cv_status::timeout && refreshing_) {
        return Error{Code::deadline_exceeded, "NEAR: no head in time"};
      }
    }
    if (auto error = alarm()) return *std::move(error);
    if (fresh()) return *head_;
    // That somebody else had little time says nothing about the endpoints.
    if (refreshes_ != seen && trouble_ && trouble_->code != Code::deadline_exceeded) return *trouble_;
    refreshing_ = true;
  }
  auto result = refresh(deadline);
  const bool late = !result.ok() && options_.clock->steady() >= deadline;
  if (late) result = Error{Code::deadline_exceeded, "NEAR: no head in time", {}, in_words(result.error())};
  {
    const base::MutexLock lock{mutex_};
    refreshing_ = false;
    ++refreshes_;
    trouble_.reset();
    if (!result.ok()) trouble_ = result.error();
  }
  changed_.notify_all();
  return result;
}

Result<Block> QuorumReader::Impl::refresh(base::Deadline deadline) {
  const auto heads = ask_heads(deadline);
  note_heads(heads);
  if (usable(heads) < quorum_) return no_quorum("too few endpoints name a head", troubles<Block>(heads));
  TRY(const Block chosen, choose(heads, deadline));
  return accept(chosen);
}

base::Status QuorumReader::Impl::check_chain(std::size_t voter, base::Deadline deadline) {
  {
    const base::MutexLock lock{mutex_};
    if (voters_[voter].chain_seen) return base::done();
  }
  TRY(const Reply reply, endpoints_[voter]->ask("status", base::JsonOutArray{}, deadline));
  TRY(const std::string chain, read_chain_id(reply));
  const base::MutexLock lock{mutex_};
  voters_[voter].chain_seen = chain == options_.chain_id;
  voters_[voter].status.wrong_chain = !voters_[voter].chain_seen;
  if (voters_[voter].chain_seen) return base::done();
  return Error{Code::unavailable, "it serves another network than " + options_.chain_id};
}

BlockRound::Ballots QuorumReader::Impl::ask_heads(base::Deadline deadline) {
  const auto round = std::make_shared<BlockRound>(endpoints_.size(), round_deadline(deadline));
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    const auto vote = [this, i, round]() -> Result<Block> {
      TRY_OK(check_chain(i, round->deadline()));
      const base::JsonOutObject params{{"finality", to_text(options_.finality)}};
      TRY(const Reply reply, endpoints_[i]->ask("block", params, round->deadline()));
      return read_block(reply);
    };
    const bool runs = lanes_[i]->heads.run([this, i, round, vote] { round->cast(i, noted(i, vote())); });
    if (!runs) round->cast(i, Error{Code::unavailable, "too many questions wait for this endpoint"});
  }
  return round->gather(kGrace, [this](const BlockRound::Ballots& ballots, bool all) {
    return usable(ballots) >= quorum_ && (!all || waits_for_none(ballots));
  });
}

void QuorumReader::Impl::note_heads(const BlockRound::Ballots& heads) {
  const base::MutexLock lock{mutex_};
  for (std::size_t i = 0; i < heads.size(); ++i) {
    if (heads[i] && heads[i]->ok()) voters_[i].status.newest = (*heads[i])->height;
  }
}

/// Its block at a height, of an endpoint that has gone further.
void QuorumReader::Impl::ask_height(const std::shared_ptr<BlockRound>& round, std::size_t voter, std::uint64_t height) {
  const auto vote = [this, voter, round, height]() -> Result<Block> {
    const base::JsonOutObject params{{"block_id", height}};
    TRY(const Reply reply, endpoints_[voter]->ask("block", params, round->deadline()));
    return read_block(reply);
  };
  const bool runs = lanes_[voter]->heads.run([this, round, voter, vote] { round->cast(voter, noted(voter, vote())); });
  if (!runs) round->cast(voter, Error{Code::unavailable, "too many questions wait for this endpoint"});
}

std::optional<Block> QuorumReader::Impl::elect(const BlockRound::Ballots& heads, std::uint64_t height,
                                               base::Deadline deadline) {
  const auto round = std::make_shared<BlockRound>(heads.size(), round_deadline(deadline));
  for (std::size_t i = 0; i < heads.size(); ++i) {
    const bool shown = heads[i] && heads[i]->ok();
    if (shown && (*heads[i])->height == height) {
      round->cast(i, **heads[i]);
    } else if (shown && (*heads[i])->height > height) {
      ask_height(round, i, height);
    } else {
      round->cast(i, Error{Code::unavailable, "not so far"});
    }
  }
  const auto elected = round->wait(round->deadline(), [this](const BlockRound::Ballots& ballots, bool /*ended*/) {
    return agreed<Block>(ballots, quorum_);
  });
  if (!elected) return std::nullopt;
  note_liars(round->look([&](const BlockRound::Ballots& ballots) {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < ballots.size(); ++i) {
      if (ballots[i] && ballots[i]->ok() && **ballots[i] != *elected) out.push_back(i);
    }
    return out;
  }));
  return elected;
}

Result<Block> QuorumReader::Impl::choose(const BlockRound::Ballots& heads, base::Deadline deadline) {
  std::optional<Block> before;
  {
    const base::MutexLock lock{mutex_};
    before = head_;
  }
  const std::uint64_t floor = before ? before->height : options_.floor.value_or(0);
  bool behind = false;
  for (const std::uint64_t height : candidates(heads, quorum_)) {
    behind = height < floor;
    if (behind) break;
    if (const auto block = elect(heads, height, deadline)) return *block;
  }
  // Who was ahead may be away for a moment: what a quorum has shown already stays true.
  if (behind && before) return *before;
  if (behind) {
    return no_quorum("the endpoints are behind what was seen before", "block " + std::to_string(floor) + " was seen");
  }
  return no_quorum("the endpoints do not agree on a head", troubles<Block>(heads));
}

std::optional<Error> QuorumReader::Impl::stale(const Block& block) const {
  const std::int64_t age = options_.clock->now().seconds - block.time.seconds;
  const bool future = -age > options_.max_clock_skew;
  if (!future && (options_.max_head_age == 0 || age <= options_.max_head_age)) return std::nullopt;
  return Error{.code = Code::unavailable,
               .what = future ? "NEAR: the head is from the future" : "NEAR: the head is too old",
               .expected = "at most " + seconds(future ? options_.max_clock_skew : options_.max_head_age),
               .found = seconds(future ? -age : age),
               .remedy = "Look whether the chain makes blocks, whether the endpoints follow it, and at this clock."};
}

Result<Block> QuorumReader::Impl::accept(const Block& chosen) {
  if (auto error = stale(chosen)) return *std::move(error);
  const base::MutexLock lock{mutex_};
  if (head_ && chosen.height < head_->height) return *head_;
  const bool replaced = head_ && head_->height == chosen.height && head_->hash != chosen.hash;
  if (replaced && options_.finality == Finality::final) {
    alarm_ = "block " + std::to_string(chosen.height) + " was " + base::base58(head_->hash) + " and is now " +
             base::base58(chosen.hash);
    base::log(base::LogLevel::error, "near.final_block_replaced", {{"what", alarm_}});
    return *alarm();
  }
  head_ = chosen;
  confirmed_ = options_.clock->steady();
  return chosen;
}

// -- questions

std::optional<Answer> QuorumReader::Impl::cached(const std::string& key) {
  const auto entry = cache_.find(key);
  ++(entry == cache_.end() ? counters_.cache_misses : counters_.cache_hits);
  return entry == cache_.end() ? std::nullopt : std::optional{entry->second};
}

/// Answers at the newest block that was asked about; when there is no room, the newest answers only.
void QuorumReader::Impl::keep(const Block& at, const std::string& key, const Answer& answer) {
  if (cached_at_ && at.height < cached_at_->height) return;
  const auto* value = std::get_if<base::Bytes>(&answer);
  const std::size_t size = key.size() + 512 + (value != nullptr ? value->size() : 0);
  if (cached_at_ != at || cached_bytes_ + size > options_.cache_bytes) {
    cache_.clear();
    cached_bytes_ = 0;
    cached_at_ = at;
  }
  if (size > options_.cache_bytes || !cache_.emplace(key, answer).second) return;
  cached_bytes_ += size;
}

/// The question that is under way already, or a new one: what is over has failed, or is in the cache.
std::shared_ptr<QuorumReader::Impl::Flight> QuorumReader::Impl::board(const std::string& key, bool& mine) {
  auto& flight = flights_[key];
  mine = !flight || flight->round.complete() || flight->round.deadline() <= options_.clock->steady();
  if (mine) {
    flight = std::make_shared<Flight>(endpoints_.size(), round_deadline());
  } else {
    ++counters_.shared;
  }
  return flight;
}

void QuorumReader::Impl::launch(const std::shared_ptr<Flight>& flight, const std::string& key, const Block& at,
                                const Question& question) {
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    const auto vote = [this, i, flight, at, question]() -> Result<Answer> {
      TRY(const Reply reply, endpoints_[i]->ask("query", query_params(question, at), flight->round.deadline()));
      return read_answer(question, reply, at);
    };
    const bool runs = lanes_[i]->views.run([this, i, flight, key, vote] {
      flight->round.cast(i, noted(i, vote()));
      judge(*flight);
      if (flight->round.complete()) land(key, flight);
    });
    if (!runs) flight->round.cast(i, Error{Code::unavailable, "too many questions wait for this endpoint"});
  }
}

/// Counts whom the outcome contradicts, each once.
void QuorumReader::Impl::judge(Flight& flight) {
  const auto liars = flight.round.look([&](const AnswerRound::Ballots& ballots) {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; flight.outcome && i < ballots.size(); ++i) {
      if (!ballots[i] || flight.judged[i]) continue;
      flight.judged[i] = true;
      if (ballots[i]->ok() && **ballots[i] != *flight.outcome) out.push_back(i);
    }
    return out;
  });
  note_liars(liars);
}

void QuorumReader::Impl::note_liars(const std::vector<std::size_t>& voters) {
  const base::MutexLock lock{mutex_};
  for (const std::size_t voter : voters) ++voters_[voter].status.disagreed;
}

void QuorumReader::Impl::land(const std::string& key, const std::shared_ptr<Flight>& flight) {
  const base::MutexLock lock{mutex_};
  const auto entry = flights_.find(key);
  if (entry != flights_.end() && entry->second == flight) flights_.erase(entry);
}

Result<Answer> QuorumReader::Impl::ask(const Block& at, const Question& question, base::Deadline deadline) {
  const std::string key = query_params(question, at).compact();
  bool mine = false;
  std::shared_ptr<Flight> flight;
  {
    const base::MutexLock lock{mutex_};
    if (auto error = alarm()) return *std::move(error);
    if (auto answer = cached(key)) return *std::move(answer);
    flight = board(key, mine);
  }
  if (mine) launch(flight, key, at, question);
  const auto outcome = flight->round.wait(deadline, [this](const AnswerRound::Ballots& ballots, bool /*ended*/) {
    return agreed<Answer>(ballots, quorum_);
  });
  if (!outcome) {
    if (deadline < flight->round.deadline() && !flight->round.complete()) {
      return Error{Code::deadline_exceeded, "NEAR: no quorum in time"};
    }
    const auto large = flight->round.look([](const AnswerRound::Ballots& ballots) {
      return std::ranges::count_if(ballots,
                                   [](const auto& b) { return b && !b->ok() && b->error().code == Code::too_large; });
    });
    if (static_cast<std::size_t>(large) >= quorum_) {
      return Error{Code::too_large, "NEAR: the answer is too large",
                   "at most " + std::to_string(options_.endpoints.front().max_bytes) + " bytes of JSON"};
    }
    return no_quorum("no quorum of the endpoints agrees on an answer",
                     flight->round.look([this](const AnswerRound::Ballots& b) { return troubles<Answer>(b); }));
  }
  flight->round.look([&](const AnswerRound::Ballots& /*ballots*/) {
    flight->outcome = outcome;
    return true;
  });
  judge(*flight);
  {
    const base::MutexLock lock{mutex_};
    keep(at, key, *outcome);
  }
  land(key, flight);
  return *outcome;
}

ReaderStatus QuorumReader::Impl::status() const {
  const base::MutexLock lock{mutex_};
  ReaderStatus out = counters_;
  out.quorum = quorum_;
  out.head = head_;
  out.alarm = alarm_;
  for (const Voter& voter : voters_) {
    out.endpoints.push_back(voter.status);
    const auto& newest = voter.status.newest;
    if (head_ && newest && *newest < head_->height) out.endpoints.back().lag = head_->height - *newest;
  }
  return out;
}

// -- the door

QuorumReader::QuorumReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
QuorumReader::~QuorumReader() = default;

Result<std::unique_ptr<QuorumReader>> QuorumReader::make(net::HttpTransport& transport, ReaderOptions options) {
  if (auto mistakes = mistakes_in(options); !mistakes.empty()) return mistakes.front();
  return std::unique_ptr<QuorumReader>(new QuorumReader(std::make_unique<Impl>(transport, std::move(options))));
}

Result<Block> QuorumReader::head(base::Deadline deadline) { return impl_->head(deadline); }

Result<Answer> QuorumReader::ask(const Block& at, const Question& question, base::Deadline deadline) {
  return impl_->ask(at, question, deadline);
}

ReaderStatus QuorumReader::status() const { return impl_->status(); }

}  // namespace attestry::chain::near
