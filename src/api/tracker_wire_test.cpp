#include "api/tracker_wire.h"

#include <gtest/gtest.h>

#include <memory>

namespace attestry::api {
namespace {

std::string neighbours(std::string_view ip) { return tracker_neighbours(*net::parse_ip(ip)); }

TEST(TrackerWire, ALineIsOneCustomer) {
  EXPECT_EQ(neighbours("2001:db8:1:200::1"), neighbours("2001:db8:1:2ff:1:2:3:4")) << "one /56";
  EXPECT_NE(neighbours("2001:db8:1:200::1"), neighbours("2001:db8:1:300::1"));
  EXPECT_NE(neighbours("192.0.2.1"), neighbours("192.0.2.2"));
  EXPECT_EQ(neighbours("192.0.2.1"), neighbours("::ffff:192.0.2.1"));
}

TEST(TrackerWire, WhatLosesItsPlaceIsToldSo) {
  struct Sink final : net::ResponseSink {
    void complete(std::uint64_t, net::Response response) noexcept override {
      status = response.status;
      ++answers;
    }
    int status = 0, answers = 0;
  };
  const auto sink = std::make_shared<Sink>();
  const auto waiting = [&] {
    return std::make_shared<TrackerWaiting>(net::Request{}, net::Responder{sink, 1, net::TraceContext{}});
  };
  waiting().reset();
  EXPECT_EQ(sink->status, 503);
  waiting()->responder.send(net::Response{.status = 200, .content_type = {}, .body = {}, .headers = {}});
  EXPECT_EQ(sink->status, 200);
  const net::Responder moved = std::move(waiting()->responder);
  EXPECT_EQ(sink->answers, 2);
}

}  // namespace
}  // namespace attestry::api
