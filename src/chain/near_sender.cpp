// Transactions on their way: the same one to every endpoint, until a quorum agrees on what became of it.
#include <algorithm>
#include <atomic>
#include <condition_variable>

#include "base/base58.h"
#include "base/encoding.h"
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
using OutcomeRound = Round<Outcome>;

/// The outcome that `quorum` of them name.
std::optional<Outcome> agreed(const OutcomeRound::Ballots& ballots, std::size_t quorum) {
  for (const auto& one : ballots) {
    if (!one || !one->ok()) continue;
    const auto votes = std::ranges::count_if(ballots, [&](const auto& b) { return b && b->ok() && **b == **one; });
    if (static_cast<std::size_t>(votes) >= quorum) return **one;
  }
  return std::nullopt;
}

/// What one endpoint has said of a transaction so far, and what that makes of it.
class Dialogue {
 public:
  explicit Dialogue(std::size_t max_failures) : max_failures_(max_failures) {}
  /// Whether the next request sends it, or asks for it only.
  bool sends() const { return sends_; }
  void note(const Result<Outcome>& said);
  /// The endpoint's vote, or why it is given up; nothing: ask on. `last` when there is no time to ask on.
  std::optional<Result<Outcome>> end(bool last) const;
  /// How many times longer than usual to wait.
  int patience() const {
    return failures_ > max_failures_ ? 1 << std::min<std::size_t>(failures_ - max_failures_, 3) : 1;
  }

 private:
  bool enough() const { return failures_ >= max_failures_; }

  const std::size_t max_failures_;
  std::size_t failures_ = 0;  ///< in a row: neither an outcome nor that it is under way
  bool sends_ = true;
  bool taken_ = false;                ///< was under way there once: an outcome will come
  bool unknown_ = false;              ///< the last answer: there is no such transaction
  std::optional<Outcome> settled_{};  ///< an outcome, or a refusal that no other answer can change
  /// Why it is not taken now. Its own execution may be the reason (a used nonce, a key that it deletes, what it cost),
  /// so may a node that lags: counts only once the endpoint, asked for it since, does not know it.
  std::optional<Outcome> refusal_{};
  Error trouble_{Code::deadline_exceeded, "no outcome in time"};
};

void Dialogue::note(const Result<Outcome>& said) {
  const bool refused = said.ok() && said->kind == Outcome::Kind::refused;
  unknown_ = !sends_ && !said.ok() && said.error().code == Code::not_found;
  if (said.ok() && said->kind == Outcome::Kind::pending) {
    failures_ = 0;
    taken_ = true;
    refusal_.reset();
    sends_ = false;
  } else if (said.ok() && (!refused || said->problem == Problem::invalid)) {
    settled_ = *said;
  } else if (refused && sends_) {
    refusal_ = *said;
    sends_ = false;
  } else {
    ++failures_;
    trouble_ = said.ok() ? Error{Code::unavailable, "refused, and yet known", {}, said->text} : said.error();
    // Sent again where it is not known: the node may have dropped it, or was behind.
    if (unknown_) sends_ = true;
  }
}

std::optional<Result<Outcome>> Dialogue::end(bool last) const {
  if (settled_) return *settled_;
  if ((enough() || last) && refusal_ && unknown_) return *refusal_;
  if ((enough() && !taken_) || last) return trouble_;
  return std::nullopt;
}

std::string in_words(const Error& error) { return error.found.empty() ? error.what : error.what + ": " + error.found; }

}  // namespace

struct Sender::Impl {
  Impl(net::HttpTransport& transport, SenderOptions given)
      : options_(std::move(given)),
        quorum_(options_.quorum > 0 ? options_.quorum : options_.endpoints.size() / 2 + 1),
        chain_seen_(options_.endpoints.size()) {
    for (const EndpointOptions& endpoint : options_.endpoints) {
      endpoints_.push_back(std::make_unique<Endpoint>(transport, endpoint));
      lanes_.push_back(std::make_unique<Lane>(kThreads));
    }
  }
  ~Impl() {
    {
      const base::MutexLock lock{mutex_};
      stopping_ = true;
    }
    stop_.notify_all();
    lanes_.clear();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<Outcome> send(const SignedTransaction& transaction, const AccountId& signer, base::Deadline deadline);

 private:
  static constexpr std::size_t kThreads = 2;  // of an endpoint: transactions at once

  /// What is sent, and where its outcome is collected.
  struct Job {
    Job(std::size_t voters, base::Deadline deadline) : round(voters, deadline) {}
    std::string base64{}, hash_text{}, signer{};
    base::Digest32 hash{};
    OutcomeRound round;
    std::atomic<bool> decided{false};  ///< nobody waits any more; set with the lock, so that pauses end
  };
  base::Status check_chain(std::size_t voter, base::Deadline deadline);
  Result<Outcome> request(std::size_t voter, const Job& job, bool broadcast);
  Result<Outcome> follow(std::size_t voter, const Job& job);
  bool pause(const Job& job, int patience);
  Error undecided(const Job& job, const OutcomeRound::Ballots& ballots) const;

  const SenderOptions options_;
  const std::size_t quorum_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
  std::vector<std::atomic<bool>> chain_seen_;  ///< by endpoint: serves the right network
  base::Mutex mutex_;
  std::condition_variable_any stop_;
  bool stopping_ ATTESTRY_GUARDED_BY(mutex_) = false;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

/// Between two questions; false when there is no time for another, or nobody wants to know.
bool Sender::Impl::pause(const Job& job, int patience) {
  const base::Deadline deadline = job.round.deadline();
  const auto now = std::chrono::steady_clock::now();
  if (now + options_.poll >= deadline) return false;
  const auto until = std::min(now + options_.poll * patience, deadline - options_.poll);
  const base::MutexLock lock{mutex_};
  while (!stopping_ && !job.decided && std::chrono::steady_clock::now() < until) stop_.wait_until(mutex_, until);
  return !stopping_ && !job.decided;
}

/// Once for each endpoint: what another network refuses says nothing.
base::Status Sender::Impl::check_chain(std::size_t voter, base::Deadline deadline) {
  if (chain_seen_[voter]) return base::done();
  TRY(const Reply reply, endpoints_[voter]->ask("status", base::JsonOutArray{}, deadline));
  TRY(const std::string chain, read_chain_id(reply));
  if (chain != options_.chain_id) {
    return Error{Code::unavailable, "it serves another network than " + options_.chain_id};
  }
  chain_seen_[voter] = true;
  return base::done();
}

Result<Outcome> Sender::Impl::request(std::size_t voter, const Job& job, bool broadcast) {
  const auto until = std::min(job.round.deadline(), options_.clock->steady() + options_.request_timeout);
  TRY_OK(check_chain(voter, until));
  const base::JsonOutArray params =
      broadcast ? base::JsonOutArray{job.base64} : base::JsonOutArray{job.hash_text, job.signer};
  TRY(const Reply reply, endpoints_[voter]->ask(broadcast ? "broadcast_tx_commit" : "tx", params, until));
  return read_outcome(reply, job.hash);
}

/// One endpoint's word on it.
Result<Outcome> Sender::Impl::follow(std::size_t voter, const Job& job) {
  Dialogue dialogue{options_.max_failures};
  while (!job.decided) {
    dialogue.note(request(voter, job, dialogue.sends()));
    if (auto end = dialogue.end(false)) return *std::move(end);
    if (!pause(job, dialogue.patience())) return *dialogue.end(true);
  }
  return Error{Code::unavailable, "decided without it"};
}

Error Sender::Impl::undecided(const Job& job, const OutcomeRound::Ballots& ballots) const {
  std::string found;
  for (std::size_t i = 0; i < ballots.size(); ++i) {
    if (ballots[i] && ballots[i]->ok()) continue;
    found += (found.empty() ? "" : "; ") + endpoints_[i]->name() + ": ";
    found += ballots[i] ? in_words(ballots[i]->error()) : "no outcome in time";
  }
  const bool late = options_.clock->steady() >= job.round.deadline();
  return {.code = late ? Code::deadline_exceeded : Code::unavailable,
          .what = "NEAR: no quorum of the endpoints agrees on what became of transaction " + job.hash_text,
          .expected = std::to_string(quorum_) + " of " + std::to_string(endpoints_.size()) + " endpoints",
          .found = found.empty() ? "they contradict each other" : found,
          .remedy = "It may have been executed: look for its hash before anything is sent anew."};
}

Result<Outcome> Sender::Impl::send(const SignedTransaction& transaction, const AccountId& signer,
                                   base::Deadline deadline) {
  const auto job = std::make_shared<Job>(endpoints_.size(), deadline);
  job->base64 = base::base64(transaction.raw);
  job->hash_text = base::base58(transaction.hash);
  job->signer = signer.text();
  job->hash = transaction.hash;
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    const bool runs = lanes_[i]->run([this, i, job] { job->round.cast(i, follow(i, *job)); });
    if (!runs) job->round.cast(i, Error{Code::unavailable, "too many transactions wait for this endpoint"});
  }
  const auto outcome = job->round.wait(
      deadline, [this](const OutcomeRound::Ballots& ballots, bool /*ended*/) { return agreed(ballots, quorum_); });
  {
    const base::MutexLock lock{mutex_};
    job->decided = true;
  }
  stop_.notify_all();
  if (outcome) return *outcome;
  return job->round.look([&](const OutcomeRound::Ballots& ballots) { return undecided(*job, ballots); });
}

std::vector<Error> mistakes_in(const SenderOptions& options) {
  auto out = mistakes_in(options.chain_id, options.endpoints, options.quorum);
  const auto mistake = [&](std::string what) { out.push_back({Code::configuration, "NEAR: " + std::move(what)}); };
  if (options.request_timeout.count() <= 0 || options.poll.count() <= 0) mistake("no time for an answer");
  if (options.max_failures == 0) mistake("an endpoint is given up before it was asked");
  return out;
}

Sender::Sender(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Sender::~Sender() = default;

Result<std::unique_ptr<Sender>> Sender::make(net::HttpTransport& transport, SenderOptions options) {
  if (auto mistakes = mistakes_in(options); !mistakes.empty()) return mistakes.front();
  return std::unique_ptr<Sender>(new Sender(std::make_unique<Impl>(transport, std::move(options))));
}

Result<Outcome> Sender::send(const SignedTransaction& transaction, const AccountId& signer, base::Deadline deadline) {
  return impl_->send(transaction, signer, deadline);
}

}  // namespace attestry::chain::near
