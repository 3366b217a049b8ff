#include "net/request_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace attestry::net {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

RequestRecord finished(std::string_view operation, int status, std::chrono::nanoseconds duration) {
  return {operation, Method::get, status, duration, 0, 0, {}, {}};
}

TEST(RequestMetrics, CountsByOperationAndStatusFromSeveralThreads) {
  Metrics metrics;
  RequestMetrics requests{metrics};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 100; ++i) {
          requests.count(finished("read", 200, std::chrono::milliseconds{2}));
          requests.count(finished("read", 404, std::chrono::milliseconds{20}));
          requests.count(finished("none", 404, std::chrono::milliseconds{2}));
        }
      });
    }
  }
  const auto text = metrics.render();
  EXPECT_THAT(text, HasSubstr(R"(attestry_requests_total{operation="read",status="200"} 400)"));
  EXPECT_THAT(text, HasSubstr(R"(attestry_requests_total{operation="read",status="404"} 400)"));
  EXPECT_THAT(text, HasSubstr(R"(attestry_requests_total{operation="none",status="404"} 400)"));
  EXPECT_THAT(text, Not(HasSubstr(R"(operation="none",status="200")")));
  EXPECT_THAT(text, HasSubstr(R"(attestry_request_seconds_bucket{operation="read",le="0.003"} 400)"));
  EXPECT_THAT(text, HasSubstr(R"(attestry_request_seconds_count{operation="read"} 800)"));
}

}  // namespace
}  // namespace attestry::net
