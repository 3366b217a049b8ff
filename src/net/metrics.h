// Counters, gauges and histograms in Prometheus' text format, with a bounded number of series per name.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"

namespace attestry::net {

using Labels = std::map<std::string, std::string>;

/// Cheap handles on one series; valid as long as their Metrics. Copyable, thread-safe.
class Counter {
 public:
  void add(double amount = 1) noexcept;

 private:
  friend class Metrics;
  explicit Counter(void* series) noexcept : series_(series) {}
  void* series_;
};
class Gauge {
 public:
  void set(double value) noexcept;
  void add(double amount) noexcept;

 private:
  friend class Metrics;
  explicit Gauge(void* series) noexcept : series_(series) {}
  void* series_;
};
class Histogram {
 public:
  void observe(double value) noexcept;

 private:
  friend class Metrics;
  explicit Histogram(void* series) noexcept : series_(series) {}
  void* series_;
};

/// Thread-safe. A name keeps its first help text, kind and buckets. When a name has `max_series` label sets, further
/// ones are counted under the same label names with the value "other", so that no caller can grow memory from outside.
class Metrics {
 public:
  explicit Metrics(std::size_t max_series = 200);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  /// `name` as Prometheus wants it ("attestry_requests_total"); a bad name or another kind under the same name gives a
  /// handle that counts nothing and a warning in the log.
  Counter counter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge gauge(const std::string& name, const std::string& help, const Labels& labels = {});
  Histogram histogram(const std::string& name, const std::string& help, const std::vector<double>& bucket_bounds,
                      const Labels& labels = {});
  /// Body for `text/plain; version=0.0.4`.
  std::string render() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};
inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

/// Is this process alive, and may it get traffic? Parts report themselves by name; ready means all of them are.
/// Thread-safe.
class Health {
 public:
  void set(const std::string& part, bool ready, std::string reason = {});
  /// Draining: not ready for ever after.
  void shut_down();
  bool ready() const;
  /// {"status":"ready|not_ready","parts":{"store":{"ready":true},…}}
  std::string json() const;

 private:
  struct Part {
    bool ready;
    std::string reason;
  };
  mutable base::Mutex mutex_;
  std::map<std::string, Part> parts_ ATTESTRY_GUARDED_BY(mutex_);
  bool shut_down_ ATTESTRY_GUARDED_BY(mutex_) = false;
};

}  // namespace attestry::net
