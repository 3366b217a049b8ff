// The state behind QuorumReader: endpoints with their lanes, the head and its watchdog, questions under way, the cache.
#pragma once
#include <algorithm>
#include <array>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "chain/internal/ballots.h"
#include "chain/internal/cache.h"
#include "chain/internal/lane.h"
#include "chain/internal/round.h"
#include "chain/quorum.h"

namespace attestry::chain {

struct QuorumReader::Impl {
  Impl(net::HttpTransport& transport, QuorumOptions given);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // -- head.cpp: which block is the head

  base::Result<BlockRef> head(base::Deadline deadline, bool anew);
  base::Result<BlockRef> known_head() const;
  std::optional<std::uint64_t> newest_number() const;
  ChainStatus status() const;

  // -- calls.cpp: what contracts answer

  /// For whom something is asked: each has lanes of its own, so none waits behind another.
  enum class Asker : std::uint8_t { watch, release, stranger };
  base::Result<std::vector<CallOutcome>> call(const BlockRef& at, std::span<const Call> calls, base::Deadline deadline,
                                              Asker asker);
  base::Result<ProvedStorage> storage(const BlockRef& at, const Address& contract, std::span<const Word> slots,
                                      base::Deadline deadline);
  void trust_events(const Address& address, bool trusted);
  base::Result<std::vector<LogRecord>> logs(const LogFilter& filter, base::Deadline deadline);  // logs.cpp
  ChainReader& strangers() { return strangers_; }

 private:
  class Strangers final : public ChainReader {
   public:
    explicit Strangers(Impl& impl) : impl_(impl) {}
    base::Result<BlockRef> head(base::Deadline deadline) override { return impl_.head(deadline, false); }
    base::Result<BlockRef> known_head() const override { return impl_.known_head(); }
    std::optional<std::uint64_t> newest_number() const override { return impl_.newest_number(); }
    base::Result<std::vector<CallOutcome>> call(const BlockRef& at, std::span<const Call> calls,
                                                base::Deadline deadline) override {
      return impl_.call(at, calls, deadline, Asker::stranger);
    }

   private:
    Impl& impl_;
  };

  struct Voter {
    EndpointStatus status{};
    bool suspect = false;               ///< gave no answer last time: nobody waits for it when a quorum is there
    bool disagrees = false;             ///< in the last round where a quorum was found
    std::chrono::seconds logs_rest{0};  ///< between two questions for logs, of one that gives none
    base::Deadline logs_after{};        ///< until then nobody asks it for logs
  };
  using CallsRound = internal::Round<internal::CallsBallot>;
  using Outcome = internal::ResultCache::Outcome;

  /// One eth_call batch under way.
  struct Flight {
    Flight(const BlockRef& block, Asker whose, std::size_t voters, base::Deadline deadline)
        : at(block), asker(whose), round(voters, deadline), judged(voters) {}
    BlockRef at;
    Asker asker;
    std::vector<Call> calls{};  ///< complete before the round begins
    CallsRound round;
    std::vector<bool> judged{};  ///< whose ballot was compared; under the round's lock
  };
  /// Where one call's answer comes from.
  struct Source {
    Outcome outcome{};
    std::shared_ptr<Flight> flight{};
    std::size_t place = 0;
    std::string key{};
  };

  /// Asks every endpoint in its own lane, but for those that are left out; `ask` gives the ballot.
  template <class Ballot>
  void start(Asker asker, const std::shared_ptr<internal::Round<Ballot>>& round,
             const std::function<base::Result<Ballot>(std::size_t, Endpoint&, base::Deadline)>& ask,
             const std::function<void(std::size_t)>& after = {}, const std::vector<bool>& leave_out = {});
  void note(std::size_t voter, const base::Error* error);
  void note_vote(std::size_t voter, bool contradicts);
  void count_round();
  bool worth_waiting_for_none(const std::vector<bool>& cast) const;
  base::Deadline round_deadline(Asker asker) const {
    const auto patience =
        asker == Asker::stranger ? std::min(options_.stranger_timeout, options_.round_timeout) : options_.round_timeout;
    return options_.clock->steady() + patience;
  }
  template <class Ballot>
  std::string troubles(const typename internal::Round<Ballot>::Ballots& ballots) const;
  base::Error no_quorum(std::string what, std::string found);

  // head.cpp
  void keep_fresh();
  bool wait_for_work();
  base::Result<BlockRef> refresh();
  internal::HeadBallots ask_heads();
  void note_heads(const internal::HeadBallots& heads);
  base::Result<BlockRef> choose(const internal::HeadBallots& heads);
  std::optional<BlockRef> seen_already(const internal::HeadBallots& heads, std::uint64_t number,
                                       const std::optional<BlockRef>& floor);
  internal::BlocksBallots ask_blocks(const std::vector<std::uint64_t>& numbers, const std::vector<bool>& may_vote);
  base::Result<BlockRef> judge(const internal::HeadBallots& heads, const std::vector<std::uint64_t>& numbers,
                               const std::optional<BlockRef>& floor);
  base::Error raise_alarm(const BlockRef& floor, const BlockRef& other);
  struct Carried {
    std::vector<Address> addresses{};
    std::vector<Address> strangers{};  ///< those of them whose code nobody has looked at
  };
  void carry_results(const BlockRef& from, const BlockRef& to);
  Carried worth_carrying(const BlockRef& from);
  internal::Round<internal::TouchedBallot>::Ballots ask_touched(const BlockRef& from, const BlockRef& to,
                                                                const std::vector<Address>& addresses,
                                                                const std::vector<Address>& strangers);
  void learn_codes(const internal::Round<internal::TouchedBallot>::Ballots& ballots, std::uint64_t at,
                   const std::vector<Address>& strangers);
  std::optional<bool> emits(const Address& address, std::uint64_t at) const ATTESTRY_REQUIRES(mutex_);
  std::vector<bool> resting_from_logs() const;
  void note_logs(std::size_t voter, const base::Result<internal::TouchedBallot>& ballot, bool answered);
  void publish(const BlockRef& head);
  std::optional<base::Error> held_back() ATTESTRY_REQUIRES(mutex_);
  std::optional<base::Error> stale() const ATTESTRY_REQUIRES(mutex_);
  std::optional<base::Error> alarm() const;

  base::Result<std::vector<LogRecord>> logs_between(const LogFilter& filter, std::uint64_t from, std::uint64_t to,
                                                    base::Deadline deadline);

  // calls.cpp
  std::vector<Source> sources(const BlockRef& at, std::span<const Call> calls, Asker asker,
                              std::shared_ptr<Flight>& mine);
  void launch(const std::shared_ptr<Flight>& flight);
  base::Result<internal::CallsBallot> ask_calls(std::size_t voter, Endpoint& endpoint, const Flight& flight,
                                                base::Deadline deadline);
  base::Result<Outcome> await(Source& source, base::Deadline deadline);
  void count_disagreement(Flight& flight);
  void forget(const Flight& flight);
  std::optional<ProvedStorage> known_proof(const BlockRef& at, const std::string& key);
  void keep_proof(const BlockRef& at, const std::string& key, const ProvedStorage& proved);

  const QuorumOptions options_;
  const std::size_t quorum_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;  ///< as they are from the start

  mutable base::Mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Voter> voters_ ATTESTRY_GUARDED_BY(mutex_);     ///< in the order of endpoints_
  std::optional<BlockRef> head_ ATTESTRY_GUARDED_BY(mutex_);  ///< confirmed in this run
  std::optional<BlockRef> floor_ ATTESTRY_GUARDED_BY(mutex_);
  std::optional<BlockRef> newest_ ATTESTRY_GUARDED_BY(mutex_);
  std::size_t agreeing_ ATTESTRY_GUARDED_BY(mutex_) = 0;
  base::Deadline confirmed_ ATTESTRY_GUARDED_BY(mutex_){};  ///< when head_ was agreed on last
  base::Deadline advanced_ ATTESTRY_GUARDED_BY(mutex_){};   ///< when newest_ last grew
  std::string alarm_ ATTESTRY_GUARDED_BY(mutex_);
  std::optional<base::Error> trouble_ ATTESTRY_GUARDED_BY(mutex_);  ///< of the last refresh
  bool stalled_ ATTESTRY_GUARDED_BY(mutex_) = false;
  bool running_ ATTESTRY_GUARDED_BY(mutex_) = false;
  base::Deadline began_ ATTESTRY_GUARDED_BY(mutex_){};  ///< the round that runs, or ran last
  bool wanted_ ATTESTRY_GUARDED_BY(mutex_) = false;
  bool stopping_ ATTESTRY_GUARDED_BY(mutex_) = false;
  std::uint64_t refreshes_ ATTESTRY_GUARDED_BY(mutex_) = 0;

  struct Emits {
    bool always = false;                   ///< an event with every change
    std::optional<std::uint64_t> until{};  ///< block at which its code is looked at anew; nothing: somebody said so
  };
  std::map<Address, Emits> emits_ ATTESTRY_GUARDED_BY(mutex_);  ///< as far as it is known
  internal::ResultCache cache_ ATTESTRY_GUARDED_BY(mutex_);
  std::optional<BlockRef> proofs_at_ ATTESTRY_GUARDED_BY(mutex_);
  std::unordered_map<std::string, ProvedStorage> proofs_ ATTESTRY_GUARDED_BY(mutex_);  ///< by contract and slots
  std::unordered_map<std::string, std::pair<std::shared_ptr<Flight>, std::size_t>> pending_
      ATTESTRY_GUARDED_BY(mutex_);  ///< by block hash and key
  ChainStatus counters_ ATTESTRY_GUARDED_BY(mutex_);

  /// Of one endpoint, in the order of Asker.
  using Lanes = std::array<std::unique_ptr<internal::Lane>, 3>;
  std::vector<Lanes> lanes_;
  Strangers strangers_{*this};
  std::thread keeper_;
};

/// What went wrong and what was found, without advice.
std::string in_words(const base::Error& error);

template <class Ballot>
void QuorumReader::Impl::start(Asker asker, const std::shared_ptr<internal::Round<Ballot>>& round,
                               const std::function<base::Result<Ballot>(std::size_t, Endpoint&, base::Deadline)>& ask,
                               const std::function<void(std::size_t)>& after, const std::vector<bool>& leave_out) {
  count_round();
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    if (!leave_out.empty() && leave_out[i]) {
      round->cast(i, base::Error{base::Code::unavailable, "it is not asked"});
      continue;
    }
    auto task = [this, asker, i, round, ask, after] {
      const bool late = options_.clock->steady() >= round->deadline();
      base::Result<Ballot> ballot =
          late ? base::Error{base::Code::deadline_exceeded, "no answer in time, nor to what was asked before"}
               : ask(i, *endpoints_[i], round->deadline());
      if (asker != Asker::stranger) note(i, ballot.ok() ? nullptr : &ballot.error());
      round->cast(i, std::move(ballot));
      if (after) after(i);
    };
    if (lanes_[i][static_cast<std::size_t>(asker)]->run(std::move(task))) continue;
    round->cast(i, base::Error{base::Code::unavailable, "too many questions wait for this endpoint"});
  }
}

/// "a: no answer in time; b: connection refused".
template <class Ballot>
std::string QuorumReader::Impl::troubles(const typename internal::Round<Ballot>::Ballots& ballots) const {
  std::string out;
  for (std::size_t i = 0; i < ballots.size(); ++i) {
    if (ballots[i] && ballots[i]->ok()) continue;
    out += (out.empty() ? "" : "; ") + endpoints_[i]->name() + ": ";
    out += ballots[i] ? in_words(ballots[i]->error()) : "no answer in time";
  }
  return out.empty() ? "the endpoints contradict each other" : out;
}

}  // namespace attestry::chain
