// Which block is the head: votes, finality, the floor below which it never goes, and the watchdog.
#include <algorithm>
#include <utility>

#include "base/encoding.h"
#include "base/log.h"
#include "chain/internal/quorum_impl.h"

namespace attestry::chain {

using base::Code;
using base::Error;
using base::LogLevel;
using base::Result;
using internal::BlocksBallot;
using internal::BlocksBallots;
using internal::HeadBallot;
using internal::HeadBallots;
using internal::Round;

namespace {

/// How long a round waits for endpoints beside the quorum, so that a laggard among the fastest does not speak for all.
constexpr std::chrono::milliseconds kGrace{250};
constexpr std::size_t kMaxWatched = 200;  // addresses in one eth_getLogs
/// Contracts whose code is asked for at one head: an answer stays well below its largest size.
constexpr std::size_t kMaxCodes = 16;
constexpr std::size_t kMaxKnown = 1u << 16;
/// An endpoint without eth_getLogs is asked for logs again after so long, then after twice as long, and so on.
constexpr std::chrono::seconds kLogsRest{30};
constexpr std::chrono::seconds kLongestLogsRest{3600};

template <class Ballots>
std::size_t usable(const Ballots& ballots) {
  return static_cast<std::size_t>(std::ranges::count_if(ballots, [](const auto& b) { return b && b->ok(); }));
}

template <class Ballots>
std::vector<bool> cast_of(const Ballots& ballots) {
  std::vector<bool> out;
  for (const auto& ballot : ballots) out.push_back(ballot.has_value());
  return out;
}

bool votes_on_logs(const std::optional<Result<internal::TouchedBallot>>& ballot) {
  return ballot && ballot->ok() && (*ballot)->no_logs.empty();
}

constexpr std::string_view kFloorRemedy =
    "Wait until the endpoints have it. If it is another chain, as a development chain that was begun anew is, start "
    "once with registry.floor = forgotten.";

std::string seconds(std::int64_t count) { return std::to_string(count) + " s"; }

}  // namespace

// -- asking and waiting

Result<BlockRef> QuorumReader::Impl::head(base::Deadline deadline, bool anew) {
  if (auto error = alarm()) return *std::move(error);
  const base::MutexLock lock{mutex_};
  const bool fresh = head_ && !trouble_ && options_.clock->steady() - confirmed_ < options_.head_ttl;
  if (anew || !fresh) {
    // A round that is under way serves whoever may have an answer as old as it is, but not who wants to know what is so
    // from now on.
    const bool joins = running_ && !anew && options_.clock->steady() - began_ < options_.head_ttl;
    const std::uint64_t target = refreshes_ + (running_ && !joins ? 2 : 1);
    if (!joins) wanted_ = true;
    changed_.notify_all();
    while (refreshes_ < target && !stopping_) {
      if (changed_.wait_until(mutex_, deadline) == std::cv_status::timeout && refreshes_ < target) {
        return Error{Code::deadline_exceeded, "chain: no head in time"};
      }
    }
    if (trouble_) return *trouble_;
  }
  if (auto error = held_back()) return *std::move(error);
  if (!head_) return Error{Code::unavailable, "chain: no head is known"};
  return *head_;
}

Result<BlockRef> QuorumReader::Impl::known_head() const {
  if (auto error = alarm()) return *std::move(error);
  const base::MutexLock lock{mutex_};
  if (auto error = stale()) return *std::move(error);
  if (!head_) return Error{Code::unavailable, "chain: no head is known"};
  return *head_;
}

std::optional<std::uint64_t> QuorumReader::Impl::newest_number() const {
  const base::MutexLock lock{mutex_};
  return newest_ ? std::optional{newest_->number} : std::nullopt;
}

bool QuorumReader::Impl::wait_for_work() {
  const base::MutexLock lock{mutex_};
  const bool polls = options_.poll.count() > 0;
  const bool first = refreshes_ == 0;
  const auto until = std::chrono::steady_clock::now() + options_.poll;
  while (!stopping_ && !wanted_ && !(polls && first)) {
    if (!polls) {
      changed_.wait(mutex_);
    } else if (changed_.wait_until(mutex_, until) == std::cv_status::timeout) {
      break;
    }
  }
  wanted_ = false;
  running_ = !stopping_;
  began_ = options_.clock->steady();
  return running_;
}

void QuorumReader::Impl::keep_fresh() {
  while (wait_for_work()) {
    const auto result = refresh();
    {
      const base::MutexLock lock{mutex_};
      trouble_.reset();
      if (!result.ok()) {
        trouble_ = result.error();
        agreeing_ = 0;
      }
      running_ = false;
      ++refreshes_;
    }
    changed_.notify_all();
  }
}

// -- the watchdog

std::optional<Error> QuorumReader::Impl::stale() const {
  if (!newest_ || !head_) return std::nullopt;
  const auto now = options_.clock->now();
  const auto held = [](std::string what, std::string expected, std::string found) {
    return Error{.code = Code::unavailable,
                 .what = "chain: " + std::move(what),
                 .expected = std::move(expected),
                 .found = std::move(found),
                 .remedy = "Look whether the chain makes blocks, whether the endpoints follow it, and at this clock."};
  };
  const std::int64_t age = now.seconds - newest_->time.seconds;
  if (-age > options_.max_clock_skew) {
    return held("the newest block is from the future", "at most " + seconds(options_.max_clock_skew), seconds(-age));
  }
  const std::int64_t final_age = now.seconds - head_->time.seconds;
  if (options_.max_final_age > 0 && final_age > options_.max_final_age) {
    return held("the newest final block is too old", "at most " + seconds(options_.max_final_age), seconds(final_age));
  }
  if (options_.max_head_age == 0) return std::nullopt;
  if (age > options_.max_head_age) {
    return held("the newest block is too old", "at most " + seconds(options_.max_head_age), seconds(age));
  }
  const auto still = std::chrono::duration_cast<std::chrono::seconds>(options_.clock->steady() - advanced_).count();
  if (still > options_.max_head_age) {
    return held("the chain does not go on", "a block every " + seconds(options_.max_head_age),
                "none for " + seconds(still));
  }
  return std::nullopt;
}

std::optional<Error> QuorumReader::Impl::held_back() {
  auto error = stale();
  if (error.has_value() != stalled_) {
    stalled_ = error.has_value();
    base::log(stalled_ ? LogLevel::error : LogLevel::info, stalled_ ? "chain.stalled" : "chain.goes_on",
              {{"why", error ? in_words(*error) : std::string{}}});
  }
  return error;
}

Error QuorumReader::Impl::raise_alarm(const BlockRef& floor, const BlockRef& other) {
  const std::string text = "block " + std::to_string(floor.number) + " was 0x" + base::hex(floor.hash) +
                           " and is now 0x" + base::hex(other.hash);
  base::log(LogLevel::error, "chain.reorg_below_finality", {{"what", text}});
  {
    const base::MutexLock lock{mutex_};
    alarm_ = text;
  }
  return *alarm();
}

// -- one refresh

Result<BlockRef> QuorumReader::Impl::refresh() {
  if (auto error = alarm()) return *std::move(error);
  const HeadBallots heads = ask_heads();
  note_heads(heads);
  TRY(const BlockRef chosen, choose(heads));
  std::optional<BlockRef> before;
  {
    const base::MutexLock lock{mutex_};
    before = head_;
  }
  if (before && before->number < chosen.number) carry_results(*before, chosen);
  publish(chosen);
  return chosen;
}

void QuorumReader::Impl::publish(const BlockRef& head) {
  bool moved = false;
  {
    const base::MutexLock lock{mutex_};
    moved = head_ != head;
    head_ = head;
    floor_ = head;
    confirmed_ = options_.clock->steady();
  }
  if (moved && options_.on_head) options_.on_head(head);
}

HeadBallots QuorumReader::Impl::ask_heads() {
  const auto round = std::make_shared<Round<HeadBallot>>(endpoints_.size(), round_deadline(Asker::watch));
  const Finality finality = options_.finality;
  const std::uint64_t chain_id = options_.chain_id;
  start<HeadBallot>(
      Asker::watch, round, [finality, chain_id](std::size_t, Endpoint& endpoint, base::Deadline deadline) {
        auto answers = endpoint.batch(internal::head_requests(finality), deadline);
        return answers.ok() ? internal::read_head(*answers, finality, chain_id) : Result<HeadBallot>{answers.error()};
      });
  return round->gather(kGrace, [this](const HeadBallots& ballots, bool all) {
    return usable(ballots) >= quorum_ && (!all || worth_waiting_for_none(cast_of(ballots)));
  });
}

void QuorumReader::Impl::note_heads(const HeadBallots& heads) {
  const auto newest = internal::newest_of(heads, quorum_);
  const base::MutexLock lock{mutex_};
  for (std::size_t i = 0; i < heads.size(); ++i) {
    if (heads[i] && heads[i]->ok()) voters_[i].status.newest = (*heads[i])->newest.ref.number;
  }
  if (!newest) return;
  if (!newest_ || newest->number > newest_->number) advanced_ = options_.clock->steady();
  if (!newest_ || newest->number >= newest_->number) newest_ = newest;
}

Result<BlockRef> QuorumReader::Impl::choose(const HeadBallots& heads) {
  if (usable(heads) < quorum_) {
    return no_quorum("too few endpoints name a newest block", troubles<HeadBallot>(heads));
  }
  std::optional<BlockRef> floor;
  {
    const base::MutexLock lock{mutex_};
    floor = floor_;
  }
  const auto numbers = internal::candidates(heads, quorum_, options_.finality, floor ? floor->number : 0);
  if (!numbers.empty()) {
    if (const auto seen = seen_already(heads, numbers.front(), floor)) return *seen;
  }
  return judge(heads, numbers, floor);
}

/// Where the endpoints have shown the block itself and it is the floor or its child, no second question is needed.
std::optional<BlockRef> QuorumReader::Impl::seen_already(const HeadBallots& heads, std::uint64_t number,
                                                         const std::optional<BlockRef>& floor) {
  const bool shown = options_.finality.kind != Finality::Kind::depth || options_.finality.depth == 0;
  if (!shown) return std::nullopt;
  BlocksBallots ballots(heads.size());
  for (std::size_t i = 0; i < heads.size(); ++i) {
    if (!heads[i] || !heads[i]->ok()) continue;
    const internal::SeenBlock& block = (*heads[i])->final_block;
    ballots[i] = Result<BlocksBallot>{BlocksBallot{block.ref.number == number ? std::optional{block} : std::nullopt}};
  }
  const auto elected = internal::elect(ballots, 0, quorum_, {});
  if (!elected.block) return std::nullopt;
  const bool follows =
      !floor || elected.block->ref == *floor || (number == floor->number + 1 && elected.block->parent == floor->hash);
  if (!follows) return std::nullopt;
  const base::MutexLock lock{mutex_};
  agreeing_ = elected.votes;
  return elected.block->ref;
}

BlocksBallots QuorumReader::Impl::ask_blocks(const std::vector<std::uint64_t>& numbers,
                                             const std::vector<bool>& may_vote) {
  const auto round = std::make_shared<Round<BlocksBallot>>(endpoints_.size(), round_deadline(Asker::watch));
  start<BlocksBallot>(Asker::watch, round, [numbers](std::size_t, Endpoint& endpoint, base::Deadline deadline) {
    auto answers = endpoint.batch(internal::block_requests(numbers), deadline);
    return answers.ok() ? internal::read_blocks(*answers, numbers) : Result<BlocksBallot>{answers.error()};
  });
  return round->gather(kGrace, [this, &numbers, &may_vote](const BlocksBallots& ballots, bool all) {
    // The best candidate and the floor, which is the last, are certain; the others have a moment to agree or to be
    // named.
    if (all) return usable(ballots) >= quorum_ && worth_waiting_for_none(cast_of(ballots));
    return internal::elect(ballots, 0, quorum_, may_vote).block.has_value() &&
           internal::elect(ballots, numbers.size() - 1, quorum_, {}).block.has_value();
  });
}

Result<BlockRef> QuorumReader::Impl::judge(const HeadBallots& heads, const std::vector<std::uint64_t>& numbers,
                                           const std::optional<BlockRef>& floor) {
  std::vector<std::uint64_t> asked = numbers;
  if (floor) asked.push_back(floor->number);
  if (asked.empty()) return no_quorum("no block is final yet", "fewer endpoints than the quorum have one");
  const auto may_vote_for = [&](std::uint64_t number) {
    std::vector<bool> out;
    for (const auto& head : heads) {
      out.push_back(head && head->ok() && internal::final_number(**head, options_.finality) >= number);
    }
    return out;
  };
  const auto ballots = ask_blocks(asked, numbers.empty() ? std::vector<bool>{} : may_vote_for(numbers.front()));
  if (floor) {
    const auto standing = internal::elect(ballots, asked.size() - 1, quorum_, {});
    if (!standing.block) {
      auto error = no_quorum("no quorum confirms block " + std::to_string(floor->number) +
                                 ", which this program has seen as the head before",
                             troubles<BlocksBallot>(ballots));
      error.remedy = std::string{kFloorRemedy};
      return error;
    }
    if (standing.block->ref.hash != floor->hash) return raise_alarm(*floor, standing.block->ref);
  }
  std::optional<BlockRef> chosen;
  std::size_t votes = 0;
  for (std::size_t place = 0; place < numbers.size() && !chosen; ++place) {
    const auto elected = internal::elect(ballots, place, quorum_, may_vote_for(numbers[place]));
    if (!elected.block) continue;
    chosen = elected.block->ref;
    votes = elected.votes;
    for (std::size_t i = 0; i < ballots.size(); ++i) {
      if (!ballots[i] || !ballots[i]->ok()) continue;
      const auto& vote = (**ballots[i])[place];
      if (vote) note_vote(i, *vote != *elected.block);
    }
  }
  if (!chosen) chosen = floor;  // it is confirmed, and nothing above it is
  if (!chosen) return no_quorum("no quorum agrees on a block", troubles<BlocksBallot>(ballots));
  const base::MutexLock lock{mutex_};
  agreeing_ = votes;
  return *chosen;
}

// -- results that move on because no event touched them

void QuorumReader::Impl::carry_results(const BlockRef& from, const BlockRef& to) {
  if (to.number - from.number > options_.max_carry_blocks) return;
  const auto [addresses, strangers] = worth_carrying(from);
  if (addresses.empty()) return;
  const auto ballots = ask_touched(from, to, addresses, strangers);
  learn_codes(ballots, to.number, strangers);
  const std::uint64_t oldest = to.number - std::min(to.number, options_.max_carry_blocks);
  std::set<Address> untouched;
  const base::MutexLock lock{mutex_};
  for (const Address& address : addresses) {
    if (!emits(address, from.number).value_or(false)) continue;
    const auto quiet = std::ranges::count_if(
        ballots, [&address](const auto& b) { return votes_on_logs(b) && !(*b)->touched.contains(address); });
    if (static_cast<std::size_t>(quiet) >= quorum_) untouched.insert(address);
  }
  counters_.carried += cache_.carry(from.hash, to, untouched, oldest);
}

/// Contracts with answers at `from` that are known to emit events, or of which nobody has looked at the code yet.
QuorumReader::Impl::Carried QuorumReader::Impl::worth_carrying(const BlockRef& from) {
  Carried out;
  const base::MutexLock lock{mutex_};
  for (const Address& address : cache_.addresses(from.hash)) {
    if (out.addresses.size() == kMaxWatched) break;
    const auto known = emits(address, from.number);
    if (known ? !*known : options_.event_codes.empty() || out.strangers.size() == kMaxCodes) continue;
    out.addresses.push_back(address);
    if (!known) out.strangers.push_back(address);
  }
  return out;
}

Round<internal::TouchedBallot>::Ballots QuorumReader::Impl::ask_touched(const BlockRef& from, const BlockRef& to,
                                                                        const std::vector<Address>& addresses,
                                                                        const std::vector<Address>& strangers) {
  const auto resting = resting_from_logs();
  if (static_cast<std::size_t>(std::ranges::count(resting, false)) < quorum_)
    return Round<internal::TouchedBallot>::Ballots(resting.size());
  const auto round = std::make_shared<Round<internal::TouchedBallot>>(endpoints_.size(), round_deadline(Asker::watch));
  start<internal::TouchedBallot>(
      Asker::watch, round,
      [this, from, to, addresses, strangers](std::size_t who, Endpoint& endpoint, base::Deadline deadline) {
        auto answers = endpoint.batch(internal::touched_requests(from, to, addresses, strangers), deadline);
        auto ballot = answers.ok() ? internal::read_touched(*answers, from, to, addresses, strangers)
                                   : Result<internal::TouchedBallot>{answers.error()};
        note_logs(who, ballot, answers.ok());
        return ballot;
      },
      {}, resting);
  return round->gather(kGrace, [this](const Round<internal::TouchedBallot>::Ballots& b, bool all) {
    const auto votes = static_cast<std::size_t>(std::ranges::count_if(b, votes_on_logs));
    return votes >= quorum_ && (!all || worth_waiting_for_none(cast_of(b)));
  });
}

/// Whom nobody asks for logs now: it gave none when it was asked last.
std::vector<bool> QuorumReader::Impl::resting_from_logs() const {
  std::vector<bool> out;
  const auto now = options_.clock->steady();
  const base::MutexLock lock{mutex_};
  for (const Voter& voter : voters_) out.push_back(now < voter.logs_after);
  return out;
}

/// An endpoint that does not offer eth_getLogs votes on everything else: it is no trouble, said once, and asked again
/// ever more seldom. One that does not answer at all (`answered`) rests for a moment only, because it may be back soon.
void QuorumReader::Impl::note_logs(std::size_t voter, const Result<internal::TouchedBallot>& ballot, bool answered) {
  const base::MutexLock lock{mutex_};
  Voter& v = voters_[voter];
  const auto now = options_.clock->steady();
  if (!answered) v.logs_after = now + kLogsRest;
  if (!ballot.ok()) return;
  const bool before = std::exchange(v.status.without_logs, !ballot->no_logs.empty());
  if (!v.status.without_logs) {
    v.logs_rest = std::chrono::seconds{0};
    if (before) base::log(LogLevel::info, "chain.endpoint_logs_back", {{"endpoint", v.status.name}});
    return;
  }
  v.logs_rest = std::clamp(v.logs_rest * 2, kLogsRest, kLongestLogsRest);
  v.logs_after = now + v.logs_rest;
  if (before) return;
  base::log(LogLevel::warning, "chain.endpoint_without_logs",
            {{"endpoint", v.status.name}, {"error", ballot->no_logs}});
}

/// Whether the contract emits an event with every change; nothing when that is to be found out.
std::optional<bool> QuorumReader::Impl::emits(const Address& address, std::uint64_t at) const {
  const auto known = emits_.find(address);
  if (known == emits_.end() || (known->second.until && at >= *known->second.until)) return std::nullopt;
  return known->second.always;
}

/// What a quorum says stands at an address at a final block is believed for as many blocks as an answer is carried
/// over. attestry's own contracts have no instruction that could take their code away or run another one's
/// (app/registry_contracts_test.cpp), so they stay; but another contract that destroys itself may come back with other
/// code at the same address (EIP-1014), a chain's makers may change any, and what liars made a quorum of ends with
/// them.
void QuorumReader::Impl::learn_codes(const Round<internal::TouchedBallot>::Ballots& ballots, std::uint64_t at,
                                     const std::vector<Address>& strangers) {
  const base::MutexLock lock{mutex_};
  if (emits_.size() > kMaxKnown) emits_.clear();
  for (const Address& address : strangers) {
    std::map<base::Digest32, std::size_t> votes;
    for (const auto& ballot : ballots) {
      if (!ballot || !ballot->ok()) continue;
      const auto code = (*ballot)->codes.find(address);
      if (code == (*ballot)->codes.end() || ++votes[code->second] < quorum_) continue;
      emits_[address] = {.always = std::ranges::find(options_.event_codes, code->second) != options_.event_codes.end(),
                         .until = at + options_.max_carry_blocks};
    }
  }
}

}  // namespace attestry::chain
