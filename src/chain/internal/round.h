// One question to all endpoints: ballots come in one by one, and whoever waits leaves as soon as the outcome is
// certain.
#pragma once
#include <condition_variable>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::chain::internal {

/// Thread-safe. A ballot is an endpoint's answer or why there is none.
template <class Ballot>
class Round {
 public:
  using Ballots = std::vector<std::optional<base::Result<Ballot>>>;

  Round(std::size_t voters, base::Deadline deadline) : deadline_(deadline), ballots_(voters) {}
  base::Deadline deadline() const noexcept { return deadline_; }

  void cast(std::size_t voter, base::Result<Ballot> ballot) {
    {
      const base::MutexLock lock{mutex_};
      ballots_[voter] = std::move(ballot);
      ++count_;
    }
    changed_.notify_all();
  }

  /// True when nothing can change any more.
  bool complete() const {
    const base::MutexLock lock{mutex_};
    return count_ == ballots_.size();
  }

  /// What `look` says of the ballots now.
  template <class Look>
  auto look(Look&& look) {
    const base::MutexLock lock{mutex_};
    return look(ballots_);
  }

  /// The first value that `decide` gives: asked after every ballot with (ballots, ended), where `ended` says that no
  /// more will come before the round's or the caller's deadline. Nothing when it gives none even then.
  template <class Decide>
  auto wait(base::Deadline deadline, Decide&& decide) -> decltype(decide(std::declval<const Ballots&>(), true)) {
    const base::Deadline until = std::min(deadline, deadline_);
    const base::MutexLock lock{mutex_};
    bool late = false;
    for (;;) {
      const bool ended = late || count_ == ballots_.size();
      if (auto decided = decide(ballots_, ended); decided || ended) return decided;
      late = changed_.wait_until(mutex_, until) == std::cv_status::timeout;
    }
  }

  /// The same for rounds where later ballots may better the outcome: once `enough` (ballots) holds for the first time,
  /// the others have until `grace` later, or until `enough` says so with `all` for those that are worth waiting for.
  template <class Enough>
  Ballots gather(std::chrono::milliseconds grace, Enough&& enough) {
    const base::MutexLock lock{mutex_};
    base::Deadline until = deadline_;
    bool begun = false;
    bool late = false;
    while (!late && count_ < ballots_.size() && !enough(ballots_, true)) {
      if (!begun && enough(ballots_, false)) {
        begun = true;
        until = std::min(until, std::chrono::steady_clock::now() + grace);
      }
      late = changed_.wait_until(mutex_, until) == std::cv_status::timeout;
    }
    return ballots_;
  }

 private:
  const base::Deadline deadline_;
  mutable base::Mutex mutex_;
  std::condition_variable_any changed_;
  Ballots ballots_ ATTESTRY_GUARDED_BY(mutex_);
  std::size_t count_ ATTESTRY_GUARDED_BY(mutex_) = 0;
};

}  // namespace attestry::chain::internal
