#include "net/request_metrics.h"

#include <algorithm>

namespace attestry::net {

RequestMetrics::Operation& RequestMetrics::operation(std::string_view id) {
  if (const auto found = operations_.find(id); found != operations_.end()) return found->second;
  const std::string name{id};
  auto seconds = metrics_.histogram("attestry_request_seconds", "Time from first byte to answer",
                                    {0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10}, {{"operation", name}});
  return operations_.emplace(name, Operation{seconds, {}}).first->second;
}

Counter& RequestMetrics::counter(Operation& of, std::string_view id, int status) {
  const auto found = std::ranges::find(of.statuses, status, [](const auto& known) { return known.first; });
  if (found != of.statuses.end()) return found->second;
  auto made = metrics_.counter("attestry_requests_total", "Finished requests",
                               {{"operation", std::string{id}}, {"status", std::to_string(status)}});
  return of.statuses.emplace_back(status, made).second;
}

void RequestMetrics::count(const RequestRecord& record) {
  const base::MutexLock lock{mutex_};
  auto& of = operation(record.operation_id);
  counter(of, record.operation_id, record.status).add();
  of.seconds.observe(std::chrono::duration<double>(record.duration).count());
}

}  // namespace attestry::net
