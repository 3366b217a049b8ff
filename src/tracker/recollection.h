// Asks the chain what members have from former trackers, on a thread of its own, so that nobody waits for it: who
// registers, who looks, and who is refused for his ratio is asked for. docs/reference/reputation-contract.md
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include "base/time.h"
#include "tracker/publication.h"

namespace attestry::tracker {

struct RecollectionOptions {
  std::size_t waiting = 10'000;                ///< members; more are not taken, and may ask again
  std::chrono::seconds again{600};             ///< until the chain is asked for the same member again
  std::chrono::seconds patience{10};           ///< for one answer
  std::chrono::milliseconds first_pause{500};  ///< after a failure; doubled for each that follows
  std::chrono::milliseconds longest_pause{60'000};
};

/// Thread-safe; what it is given outlives it.
class Recollection {
 public:
  Recollection(Publisher& publisher, const base::Clock& clock, RecollectionOptions options = {});
  ~Recollection() { stop(); }
  Recollection(const Recollection&) = delete;
  Recollection& operator=(const Recollection&) = delete;

  /// From memory.
  FormerSums former(const Member& member) const { return publisher_.former(member); }
  /// Has the chain asked about a member, unless that was done a moment ago. Takes a lock shortly. What fails is done
  /// again until it succeeds or the process ends.
  void want(std::string_view user_id);
  /// Of this contract from now on, zeros: of none; and what was asked before may be another answer now.
  void follow(const chain::Address& contract);
  /// Lets what runs end.
  void stop();

 private:
  void run();
  void ask_next(std::unique_lock<std::mutex>& lock);

  Publisher& publisher_;
  const base::Clock& clock_;
  const RecollectionOptions options_;
  // std::mutex: a condition variable waits on it.
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  chain::Address contract_{};
  std::deque<std::string> names_;
  std::set<std::string, std::less<>> waiting_;  ///< the same
  std::map<std::string, base::Deadline, std::less<>> asked_;
  std::chrono::milliseconds pause_{0};
  std::thread thread_;  ///< the last: it uses the others
};

}  // namespace attestry::tracker
