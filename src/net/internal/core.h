// What all connections of one server share: limits, counters, socket threads, workers.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "crypto/random.h"
#include "net/internal/asio.h"
#include "net/router.h"
#include "net/server.h"

namespace attestry::net {

class Connection;
struct Core;

/// A request on its way to its handler.
struct Task {
  std::shared_ptr<Connection> connection{};
  const Route* route = nullptr;
  Request request{};
  std::uint64_t ticket = 0;
};

/// Threads that run handlers. The queue is bounded by ServerLimits::max_in_flight, before anything is pushed.
class WorkerPool {
 public:
  ~WorkerPool() { stop(); }
  void start(unsigned threads);
  void push(Task task);
  /// Runs what is queued, then ends the threads.
  void stop();

 private:
  void loop();
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> queue_;
  std::vector<std::thread> threads_;
  bool stopping_ = false;
};

/// Random bytes fetched in blocks, so that trace ids cost no call into the generator each. One thread only.
class RandomPool final : public crypto::Random {
 public:
  explicit RandomPool(crypto::Random& source) : source_(source) {}
  void fill(std::span<std::uint8_t> out) override;

 private:
  crypto::Random& source_;
  base::FixedBytes<1024> block_{};
  std::size_t used_ = sizeof(block_);
};

/// One thread that moves bytes, with the connections that live on it.
struct IoThread {
  IoThread(crypto::Random& source, std::chrono::milliseconds sweep_interval);
  void run();
  void add(const std::shared_ptr<Connection>& connection);
  void remove(Connection* connection);
  std::vector<std::shared_ptr<Connection>> all();
  void stop();

  asio::io_context context{1};
  RandomPool random;

 private:
  void arm();
  void sweep();

  asio::executor_work_guard<asio::io_context::executor_type> guard_;
  SteadyTimer timer_;
  std::chrono::milliseconds interval_;
  bool armed_ = false;  ///< this thread only
  base::Mutex mutex_;
  std::unordered_map<Connection*, std::weak_ptr<Connection>> connections_ ATTESTRY_GUARDED_BY(mutex_);
  std::thread thread_;

 public:
  void start_thread();
};

struct Core {
  Core(ServerOptions server_options, std::shared_ptr<const Router> routes, RateLimiter limiter);

  ServerOptions options;
  std::shared_ptr<const Router> router;
  const ServerLimits& limits;
  RateLimiter rate;
  std::atomic<bool> draining{false};
  std::atomic<std::size_t> connections{0};
  std::atomic<std::size_t> refusing{0};  ///< connections that only hear 503
  std::atomic<std::size_t> in_flight{0};
  std::atomic<std::size_t> buffered{0};
  std::atomic<std::uint64_t> accepted{0}, refused_connections{0}, requests{0}, refused_requests{0}, cut_off{0},
      rate_limited{0};
  // After the counters: connections that the threads let go still count.
  std::vector<std::unique_ptr<IoThread>> io;
  WorkerPool workers;

  base::Deadline now() const { return options.clock->steady(); }
  /// "Sat, 21 Nov 2026 11:43:52 GMT" (RFC 9110, 5.6.7).
  std::string_view date() const;
  void run(Task task);

  /// Called whenever something ended that a drain may wait for.
  void ended();
  bool wait_until_quiet(base::Deadline deadline);

 private:
  std::mutex quiet_mutex_;
  std::condition_variable quiet_;
};

}  // namespace attestry::net
