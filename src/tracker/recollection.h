// Asks the chain what members have from former trackers, on a thread of its own, so that nobody waits for it: who
// registers, who looks, and who is refused for his ratio is asked for. docs/reference/reputation-contract.md
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "base/time.h"
#include "tracker/publication.h"

namespace attestry::tracker {

struct RecollectionOptions {
  std::size_t waiting = 10'000;                ///< members of each turn that nobody has asked for; more are not taken
  std::size_t failed = 10'000;                 ///< members that are asked for again; beyond that the oldest is dropped
  std::size_t remembered = 100'000;            ///< members that were asked for; beyond that the oldest is forgotten
  std::chrono::seconds again{600};             ///< until the chain is asked for the same member again
  std::chrono::seconds patience{10};           ///< for one answer
  std::chrono::milliseconds first_pause{500};  ///< after a failure
  /// Between those that have failed: `first_pause`, doubled for each that fails again.
  std::chrono::milliseconds longest_pause{60'000};
};

/// Thread-safe; what it is given outlives it.
class Recollection {
 public:
  enum class Turn : std::uint8_t {
    last,   ///< who is only looked at
    first,  ///< who comes, or is refused
    anew,   ///< first, and whatever was asked before: it may be another answer now
  };

  Recollection(Publisher& publisher, const base::Clock& clock, RecollectionOptions options = {});
  ~Recollection() { stop(); }
  Recollection(const Recollection&) = delete;
  Recollection& operator=(const Recollection&) = delete;

  /// From memory.
  FormerSums former(const Member& member) const { return publisher_.former(member); }
  /// Has the chain asked about a member, unless that was done a moment ago. Takes a lock shortly. What fails is done
  /// again, whenever nobody else waits, until it succeeds, `failed` others fail after it, or the process ends.
  void want(std::string_view user_id, Turn turn);
  /// Of this contract from now on, zeros: of none; and what was asked before may be another answer now.
  void follow(const chain::Address& contract);
  /// Lets what runs end.
  void stop();

 private:
  using Time = std::chrono::steady_clock::time_point;
  enum class Place : std::uint8_t { first, last, failed, asking };
  void run();
  std::optional<std::string> take(std::deque<std::string>& queue, Place place);
  void ask(std::unique_lock<std::mutex>& lock, const std::string& name, bool fresh);
  void put_off(const std::string& name, bool fresh, const base::Error& why);
  void note_asked(const std::string& name);

  Publisher& publisher_;
  const base::Clock& clock_;
  const RecollectionOptions options_;
  // std::mutex: a condition variable waits on it.
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  chain::Address contract_{};
  std::uint64_t followed_ = 0;  ///< times
  /// Who waits, and where. A queue may have a name that is elsewhere by now, or nowhere: that is passed over.
  std::map<std::string, Place, std::less<>> places_;
  std::deque<std::string> first_, last_, failed_;
  bool down_ = false;  ///< the last who was asked for the first time has failed, and nobody has succeeded since
  Time fresh_at_{}, failed_at_{};
  std::chrono::milliseconds pause_{0};  ///< between those that have failed
  std::map<std::string, base::Deadline, std::less<>> asked_;
  std::deque<std::pair<base::Deadline, std::string>> asked_order_;
  std::thread thread_;  ///< the last: it uses the others
};

}  // namespace attestry::tracker
