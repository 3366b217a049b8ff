#include "net/internal/core.h"

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "base/time.h"
#include "net/internal/connection.h"

namespace attestry::net {

void WorkerPool::start(unsigned threads) {
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { loop(); });
}

void WorkerPool::push(Task task) {
  {
    const std::scoped_lock lock{mutex_};
    queue_.push_back(std::move(task));
  }
  wake_.notify_one();
}

void WorkerPool::stop() {
  {
    const std::scoped_lock lock{mutex_};
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

void WorkerPool::loop() {
  for (;;) {
    Task task;
    {
      std::unique_lock lock{mutex_};
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    auto& connection = *task.connection;
    connection.run(std::move(task));
  }
}

void RandomPool::fill(std::span<std::uint8_t> out) {
  if (out.size() > block_.size()) return source_.fill(out);
  if (block_.size() - used_ < out.size()) {
    source_.fill(block_);
    used_ = 0;
  }
  std::memcpy(out.data(), block_.data() + used_, out.size());
  used_ += out.size();
}

IoThread::IoThread(crypto::Random& source, std::chrono::milliseconds sweep_interval)
    : random(source), guard_(context.get_executor()), timer_(context), interval_(sweep_interval) {}

void IoThread::start_thread() {
  thread_ = std::thread{[this] { run(); }};
}

void IoThread::run() {
  for (;;) {
    try {
      context.run();
      return;
    } catch (const std::exception& e) {
      // Memory ran out inside one connection's step; the others go on.
      base::log(base::LogLevel::error, "socket thread caught an exception", {{"what", e.what()}});
    }
  }
}

void IoThread::add(const std::shared_ptr<Connection>& connection) {
  {
    const base::MutexLock lock{mutex_};
    connections_.emplace(connection.get(), connection);
  }
  arm();
}

void IoThread::remove(Connection* connection) {
  const base::MutexLock lock{mutex_};
  connections_.erase(connection);
}

std::vector<std::shared_ptr<Connection>> IoThread::all() {
  std::vector<std::shared_ptr<Connection>> out;
  const base::MutexLock lock{mutex_};
  out.reserve(connections_.size());
  for (const auto& [raw, weak] : connections_) {
    if (auto connection = weak.lock()) out.push_back(std::move(connection));
  }
  return out;
}

void IoThread::arm() {
  if (armed_) return;
  armed_ = true;
  timer_.expires_after(interval_);
  timer_.async_wait([this](const boost::system::error_code& ec) {
    armed_ = false;
    if (!ec) sweep();
  });
}

// One timer for all deadlines: a request then costs no timer of its own, and an idle server without connections never
// wakes.
void IoThread::sweep() {
  std::vector<std::shared_ptr<Connection>> late;
  bool any = false;
  {
    const base::MutexLock lock{mutex_};
    any = !connections_.empty();
    for (const auto& [raw, weak] : connections_) {
      if (!raw->late()) continue;
      if (auto connection = weak.lock()) late.push_back(std::move(connection));
    }
  }
  for (const auto& connection : late) connection->cut_off_if_late();
  if (any) arm();
}

void IoThread::stop() {
  asio::post(context, [this] { timer_.cancel(); });
  guard_.reset();
  if (thread_.joinable()) thread_.join();
}

Core::Core(ServerOptions server_options, std::shared_ptr<const Router> routes, RateLimiter limiter)
    : options(std::move(server_options)), router(std::move(routes)), limits(options.limits), rate(std::move(limiter)) {
  using std::chrono::milliseconds;
  const auto shortest = std::min({limits.header_deadline, limits.read_deadline, limits.idle_deadline,
                                  limits.write_deadline, limits.request_deadline});
  const auto interval = std::clamp(shortest / 4, milliseconds{2}, milliseconds{500});
  auto& random = options.random != nullptr ? *options.random : crypto::system_random();
  for (unsigned i = 0; i < std::max(1u, options.io_threads); ++i)
    io.push_back(std::make_unique<IoThread>(random, interval));
}

std::string_view Core::date() const {
  struct Cached {
    base::UtcTime time{-1};
    std::string text;
  };
  thread_local Cached cached;
  const auto now_utc = options.clock->now();
  if (now_utc != cached.time) {
    static constexpr std::string_view kDays = "ThuFriSatSunMonTueWed";  // 1970-01-01 was a Thursday
    static constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const auto iso = base::to_rfc3339(now_utc);
    const auto day = static_cast<std::size_t>(((now_utc.seconds / 86'400) % 7 + 7) % 7);
    const auto month = static_cast<std::size_t>((iso[5] - '0') * 10 + (iso[6] - '0') - 1) % 12;
    std::string text{kDays.substr(day * 3, 3)};
    text.append(", ").append(iso, 8, 2).append(" ").append(kMonths.substr(month * 3, 3)).append(" ").append(iso, 0, 4);
    text.append(" ").append(iso, 11, 8).append(" GMT");
    cached = {now_utc, std::move(text)};
  }
  return cached.text;
}

void Core::run(Task task) {
  requests.fetch_add(1, std::memory_order_relaxed);
  if (!task.route->immediate) {
    workers.push(std::move(task));
    return;
  }
  auto& connection = *task.connection;
  connection.run(std::move(task));
}

void Core::ended() {
  if (!draining.load()) return;
  const std::scoped_lock lock{quiet_mutex_};
  quiet_.notify_all();
}

bool Core::wait_until_quiet(base::Deadline deadline) {
  const auto quiet = [this] { return connections.load() + refusing.load() + in_flight.load() == 0; };
  if (deadline <= std::chrono::steady_clock::now()) return quiet();
  std::unique_lock lock{quiet_mutex_};
  return quiet_.wait_until(lock, deadline, quiet);
}

}  // namespace attestry::net
