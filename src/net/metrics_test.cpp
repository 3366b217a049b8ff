#include "net/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace attestry::net {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Metrics, RenderWhatWasCounted) {
  Metrics metrics;
  metrics.counter("attestry_requests_total", "Requests.", {{"operation", "verify"}}).add();
  metrics.counter("attestry_requests_total", "Requests.", {{"operation", "verify"}}).add(2);
  metrics.gauge("attestry_connections", "Connections.").set(4);
  auto histogram = metrics.histogram("attestry_seconds", "Durations.", {0.01, 0.1});
  histogram.observe(0.05);
  const auto text = metrics.render();
  EXPECT_THAT(text, HasSubstr("attestry_requests_total{operation=\"verify\"} 3"));
  EXPECT_THAT(text, HasSubstr("attestry_connections 4"));
  EXPECT_THAT(text, HasSubstr("attestry_seconds_bucket{le=\"0.01\"} 0"));
  EXPECT_THAT(text, HasSubstr("attestry_seconds_bucket{le=\"0.1\"} 1"));
}

TEST(Metrics, LabelsFromOutsideCannotGrowMemory) {
  Metrics metrics{3};
  for (int i = 0; i < 1000; ++i) metrics.counter("c_total", "C.", {{"name", std::to_string(i)}}).add();
  const auto text = metrics.render();
  EXPECT_THAT(text, HasSubstr("c_total{name=\"2\"} 1"));
  EXPECT_THAT(text, Not(HasSubstr("c_total{name=\"3\"}")));
  EXPECT_THAT(text, HasSubstr("c_total{name=\"other\"} 997"));
}

TEST(Metrics, ABadNameCountsNothing) {
  Metrics metrics;
  metrics.counter("bad name", "B.").add();
  metrics.counter("good", "G.").add();
  metrics.gauge("good", "G.").set(7);
  EXPECT_THAT(metrics.render(), Not(HasSubstr("bad")));
  EXPECT_THAT(metrics.render(), HasSubstr("good 1"));
}

TEST(Health, IsReadyWhenEveryPartIs) {
  Health health;
  EXPECT_TRUE(health.ready());
  health.set("store", true);
  health.set("clock", false, "behind the store");
  EXPECT_FALSE(health.ready());
  EXPECT_THAT(health.json(), HasSubstr("behind the store"));
  health.set("clock", true);
  EXPECT_TRUE(health.ready());
  health.shut_down();
  EXPECT_FALSE(health.ready());
  EXPECT_THAT(health.json(), HasSubstr("not_ready"));
}

}  // namespace
}  // namespace attestry::net
