// The two series that every finished request counts in, looked up once for each operation and status.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "net/metrics.h"
#include "net/server.h"

namespace attestry::net {

/// attestry_requests_total by operation and status, attestry_request_seconds by operation. Thread-safe; `metrics`
/// outlives it. As many entries as the router has operations, times the statuses that they answer with.
class RequestMetrics {
 public:
  explicit RequestMetrics(Metrics& metrics) noexcept : metrics_(metrics) {}
  void count(const RequestRecord& record);

 private:
  struct Operation {
    Histogram seconds;
    std::vector<std::pair<int, Counter>> statuses;  ///< a handful
  };
  Operation& operation(std::string_view id) ATTESTRY_REQUIRES(mutex_);
  Counter& counter(Operation& of, std::string_view id, int status) ATTESTRY_REQUIRES(mutex_);

  Metrics& metrics_;
  base::Mutex mutex_;
  std::map<std::string, Operation, std::less<>> operations_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::net
