#include "api/keystore_standby.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <mutex>

#include "api/testing/support.h"
#include "state/testing/support.h"

namespace attestry::api {
namespace {

using base::Code;
using ::testing::HasSubstr;

class KeystoreStandbyRoutes : public ::testing::Test {
 protected:
  KeystoreStandbyRoutes() {
    EXPECT_TRUE(add_keystore_standby_routes(router_, {.status = [] { return base::JsonOutObject{{"role", "standby"}}; },
                                                      .promote = [this](bool force) { return promote_(force); },
                                                      .follow = [this](bool discard) { return follow_(discard); },
                                                      .lane = lane_})
                    .ok());
    router_.set_authenticator([](const net::Request&, net::Auth) -> base::Result<std::string> { return "admin"; });
  }
  /// Returns as soon as the handler has.
  std::future<net::Response> ask(net::Method method, const std::string& rest, std::string body = {}) {
    net::Request request;
    request.method = method;
    request.target = "/v1/keystore/standby" + rest;
    request.body = std::move(body);
    request.headers.set("Content-Type", "application/json");
    request.deadline = state::testing::patient();
    auto sink = std::make_shared<testing::Sink>();
    auto answer = sink->promise.get_future();
    router_.dispatch({net::Role::admin}, std::move(request), net::Responder{sink, 1, {}});
    return answer;
  }
  std::function<base::Status(bool)> promote_ = [](bool) { return base::done(); };
  std::function<base::Status(bool)> follow_ = [](bool) { return base::done(); };
  SlowLane lane_{1, 1};
  net::Router router_;
};

TEST_F(KeystoreStandbyRoutes, AChangeThatWaitsKeepsNoWorkerWaiting) {
  std::promise<void> begun;
  std::promise<void> go_on;
  std::once_flag once;
  promote_ = [&, wait = go_on.get_future().share()](bool) {
    std::call_once(once, [&] { begun.set_value(); });
    wait.wait();
    return base::done();
  };
  auto first = ask(net::Method::post, "/promote");
  begun.get_future().wait();  // it runs, and no longer takes a place among those that wait
  auto second = ask(net::Method::post, "/promote");
  EXPECT_EQ(ask(net::Method::get, "").get().status, 200) << "who looks does not wait behind them";
  EXPECT_EQ(ask(net::Method::post, "/promote").get().status, 503) << "one runs, one waits, a third is too many";
  go_on.set_value();
  EXPECT_EQ(first.get().status, 200);
  EXPECT_EQ(second.get().status, 200);
}

TEST_F(KeystoreStandbyRoutes, WhatAnOperatorSaysArrives) {
  std::vector<std::string> said;
  promote_ = [&](bool force) {
    said.push_back(force ? "force" : "promote");
    return base::done();
  };
  follow_ = [&](bool discard) -> base::Status {
    said.push_back(discard ? "discard" : "follow");
    return base::Error{Code::conflict, "this keystore serves"};
  };
  EXPECT_THAT(ask(net::Method::post, "/promote", R"({"force":true})").get().body, HasSubstr("standby"));
  EXPECT_EQ(ask(net::Method::post, "/promote").get().status, 200);
  EXPECT_EQ(ask(net::Method::post, "/follow", R"({"discard":true})").get().status, 409);
  EXPECT_EQ(ask(net::Method::post, "/follow", "{}").get().status, 409);
  for (const char* wrong : {R"({"force":1})", R"({"discard":true})", "[]", "{"}) {
    EXPECT_EQ(ask(net::Method::post, "/promote", wrong).get().status, 400) << wrong;
  }
  EXPECT_THAT(said, ::testing::ElementsAre("force", "promote", "discard", "follow"));
}

}  // namespace
}  // namespace attestry::api
