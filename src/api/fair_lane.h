// Threads for work that waits for somebody's chain or storage, or that computes for long, shared so that nobody's
// trouble becomes another's: each customer has a queue of his own, the queues take turns, and none holds more than a
// part of the threads.
#pragma once
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

 private:
  struct Customer {
    std::deque<Task> tasks;
    std::size_t running = 0;
    bool in_turn = false;  ///< in turns_
  };
  using Customers = std::map<std::string, Customer, std::less<>>;

  void work();
  void take_turn(Customers::iterator customer);
  bool make_place(std::size_t mine, Task& displaced);

  const FairLaneOptions options_;
  // std::mutex: a condition variable waits on it.
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::size_t waiting_ = 0;
  Customers customers_;                    ///< those who have a task that waits or runs
  std::deque<Customers::iterator> turns_;  ///< who may begin a task now, the next one first
  std::vector<std::thread> threads_;
};

}  // namespace attestry::api
