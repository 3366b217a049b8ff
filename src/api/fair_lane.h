// Threads for work that waits for somebody's chain or storage, or that computes for long, shared so that nobody's
// trouble becomes another's: each customer has a queue of his own, the queues take turns, and none holds more than a
// part of the threads.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace attestry::api {

struct FairLaneOptions {
  std::size_t threads = 32;
  std::size_t threads_of_one = 8;  ///< that one customer's tasks may hold at a time
  std::size_t waiting = 2048;      ///< tasks without a thread, of all
  std::size_t waiting_of_one = 1024;
  /// When all places are taken, who has fewer of them than another gets the last one of him who has the most, if that
  /// is not his only one: so a few customers close the lane to nobody. The task that loses its place is destroyed by
  /// the thread that runs run(), and what it holds has to answer whom it was for.
  bool share_places = false;
  /// 0 to 19, as nice(1) counts: for work that takes the processor, so that it is left to those who answer at once. Of
  /// two threads that want the same core one with 10 has a tenth of it; it has all that nobody else wants.
  int niceness = 0;
  /// Threads beside the others for customers who have taken much of the processor lately: more than a tenth of a core,
  /// and 50 ms on top. They rest nine times as long as they worked while the rest of the process is busy. Not at a
  /// lower priority than the others: a thread that holds a lock of others has to get on, and beside strangers' programs
  /// that take all cores it would never. 0: everybody is served alike.
  std::size_t resting_threads = 0;
};

/// Thread-safe. The destructor drops what waits and lets what runs end.
class FairLane {
 public:
  using Task = std::move_only_function<void()>;

  explicit FairLane(FairLaneOptions options = {});
  ~FairLane();
  FairLane(const FairLane&) = delete;
  FairLane& operator=(const FairLane&) = delete;

  /// False when too many wait (with share_places: and nobody has more than his share of them): then `task` is still the
  /// caller's. Tasks must not throw. `customer` is any name.
  bool run(std::string_view customer, Task& task);
  /// Drops what waits and lets what runs end; nothing is taken any more. Not from two threads at once.
  void stop();
  /// Customers that it remembers: who have a task, or have used the processor lately.
  std::size_t customers() const;

 private:
  using Steady = std::chrono::steady_clock;
  using Nanoseconds = std::chrono::nanoseconds;
  struct Customer {
    std::deque<Task> tasks;
    std::size_t running = 0;
    bool in_turn = false;  ///< in a row
    Nanoseconds used{};    ///< of the processor, 5 s at most, less a tenth of the time since `counted`
    Steady::time_point counted{};
  };
  using Customers = std::map<std::string, Customer, std::less<>>;
  /// Who may begin a task now, the next one first.
  struct Row {
    std::deque<Customers::iterator> turns;
    std::condition_variable wake;
  };

  void work(Row& row, bool rests);
  /// With the lock, that is given back meanwhile. Returns what it took of the processor.
  Nanoseconds work_once(Row& row, std::unique_lock<std::mutex>& lock);
  static Nanoseconds still_used(const Customer& customer, Steady::time_point now);
  void count(Customer& customer, Nanoseconds worked);
  void take_turn(Customers::iterator customer);
  void forget_the_rested();
  bool make_place(std::size_t mine, Task& displaced);

  const FairLaneOptions options_;
  // std::mutex: a condition variable waits on it.
  mutable std::mutex mutex_;
  bool stopping_ = false;
  std::size_t waiting_ = 0;
  Customers customers_;    ///< those who have a task that waits or runs, or have used the processor lately
  std::size_t look_at_;    ///< how many customers there are when those who have rested are looked for
  Row row_, resting_row_;  ///< the second: of those who have taken much
  std::vector<std::thread> threads_;
};

}  // namespace attestry::api
