// Load on a running server: closed loop and open loop, with the server's CPU per request. For the programs of this
// folder alone.
#pragma once
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "net/client.h"

namespace attestry::bench {

using Clock = std::chrono::steady_clock;

inline constexpr int kThreads = 16;
inline constexpr std::chrono::seconds kPatience{30};

template <class T>
T must(base::Result<T> result, const char* what) {
  if (!result) {
    std::fprintf(stderr, "load: %s: %s\n", what, result.error().text().c_str());
    std::exit(2);
  }
  return std::move(*result);
}

inline std::string read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "load: cannot read %s\n", path);
    std::exit(2);
  }
  return {std::istreambuf_iterator<char>(file), {}};
}

/// utime + stime of a process in seconds (proc(5), fields 14 and 15).
inline double cpu_seconds(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto end_of_name = text.rfind(')');
  if (end_of_name == std::string::npos) return 0;
  std::istringstream fields(text.substr(end_of_name + 2));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

/// What every request of a run goes to, and what it must be answered with.
struct Target {
  std::string url;
  std::string content_type;
  int status = 200;
};

struct Figures {
  double rate = 0;
  double p50_ms = 0;
  double p99_ms = 0;
  double cpu_ms = 0;
};

/// `interval` zero: closed loop of kThreads clients. Otherwise request i is due at i * interval, and its latency counts
/// from there, whether the server keeps up or not.
inline Figures run(net::HttpTransport& http, const Target& target, const std::vector<std::string>& bodies,
                   std::chrono::nanoseconds interval, int pid) {
  std::vector<double> latencies(bodies.size());
  std::atomic<std::size_t> next{0};
  std::atomic<std::size_t> failures{0};
  const double cpu_before = cpu_seconds(pid);
  const auto begin = Clock::now();
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (std::size_t i = next++; i < bodies.size(); i = next++) {
          auto due = Clock::now();
          if (interval.count() != 0) {
            due = begin + interval * static_cast<std::int64_t>(i);
            std::this_thread::sleep_until(due);
          }
          const auto reply = http.post(target.url, bodies[i], target.content_type, Clock::now() + kPatience);
          if (!reply || reply->status != target.status) {
            if (failures++ == 0) {
              std::fprintf(
                  stderr, "load: %s\n",
                  reply ? (std::to_string(reply->status) + " " + reply->body).c_str() : reply.error().text().c_str());
            }
          }
          latencies[i] = std::chrono::duration<double, std::milli>(Clock::now() - due).count();
        }
      });
    }
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  if (failures != 0) {
    std::fprintf(stderr, "load: %zu of %zu requests failed\n", failures.load(), bodies.size());
    std::exit(1);
  }
  std::ranges::sort(latencies);
  const auto count = static_cast<double>(bodies.size());
  return {.rate = count / seconds,
          .p50_ms = latencies[latencies.size() / 2],
          .p99_ms = latencies[latencies.size() * 99 / 100],
          .cpu_ms = (cpu_seconds(pid) - cpu_before) * 1000 / count};
}

}  // namespace attestry::bench
