#include "net/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "net/internal/test_socket.h"

namespace attestry::net {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::route;

void ok(const Request&, Responder responder) { responder.send(text_response(200, "ok")); }

/// Keeps what a dispatched request was answered.
class Answer final : public ResponseSink {
 public:
  void complete(std::uint64_t, Response response) noexcept override {
    ++count;
    last = std::move(response);
  }
  int count = 0;
  Response last;
};

Response dispatch(const Router& router, Method method, std::string target, std::string body = {},
                  std::string_view type = "application/json", RoleSet roles = {Role::public_}) {
  auto answer = std::make_shared<Answer>();
  Request request;
  request.method = method;
  request.target = std::move(target);
  request.body = std::move(body);
  request.headers.add("Content-Type", type);
  router.dispatch(roles, std::move(request), Responder{answer, 1, {}});
  EXPECT_EQ(answer->count, 1);
  return answer->last;
}

TEST(Router, RefusesARouteThatNamesNoAuthentication) {
  Router router;
  auto open = route(Method::get, "/x", "x", ok);
  open.auth = Auth::unspecified;
  const auto status = router.add(std::move(open));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, base::Code::configuration);
  EXPECT_THAT(status.error().what, HasSubstr("authentication"));
}

TEST(Router, RefusesBadRoutes) {
  Router router;
  ASSERT_TRUE(router.add(route(Method::get, "/a/{id}", "first", ok)).ok());
  EXPECT_FALSE(router.add(route(Method::get, "/a/{other}", "second", ok)).ok()) << "same method and path";
  EXPECT_FALSE(router.add(route(Method::get, "/b", "first", ok)).ok()) << "same operation id";
  EXPECT_FALSE(router.add(route(Method::get, "/c", "third", nullptr)).ok());
  EXPECT_FALSE(router.add(route(Method::get, "/c", "Third!", ok)).ok());
  EXPECT_FALSE(router.add(route(Method::get, "c", "fourth", ok)).ok());
  EXPECT_FALSE(router.add(route(Method::get, "/c//d", "fifth", ok)).ok());
  EXPECT_FALSE(router.add(route(Method::get, "/c/{x", "sixth", ok)).ok());
  EXPECT_FALSE(router.add(route(Method::get, "/c/{x}/{x}", "seventh", ok)).ok());
  EXPECT_FALSE(router.add(route(Method::get, "/c/{x*}/d", "eighth", ok)).ok());
}

TEST(Router, ALiteralSegmentWinsOverAParameter) {
  const auto router = testing::router_with(
      {route(Method::get, "/apps/{app}", "app", ok), route(Method::get, "/apps/new", "fresh", ok),
       route(Method::get, "/apps/{app}/keys/{key}", "app_key", ok), route(Method::get, "/files/{path*}", "files", ok)});
  const RoleSet roles{Role::public_};
  EXPECT_EQ(router->find(roles, Method::get, {"apps", "new"}).route->operation_id, "fresh");
  const auto match = router->find(roles, Method::get, {"apps", "new", "keys", "k"});
  ASSERT_NE(match.route, nullptr);
  EXPECT_EQ(match.parameters, (Pairs{{"app", "new"}, {"key", "k"}}));
  EXPECT_EQ(router->find(roles, Method::get, {"files", "a", "b"}).parameters, (Pairs{{"path", "a/b"}}));
  EXPECT_EQ(router->find(roles, Method::get, {"apps", ""}).route, nullptr);
}

TEST(Router, ARouteExistsOnlyOnItsRole) {
  auto admin = route(Method::get, "/x", "admin_x", ok);
  admin.role = Role::admin;
  const auto router = testing::router_with({admin, route(Method::post, "/x", "public_x", ok)});
  const auto match = router->find({Role::public_}, Method::get, {"x"});
  EXPECT_EQ(match.route, nullptr);
  EXPECT_EQ(match.allow, "POST");
  EXPECT_NE(router->find({Role::admin}, Method::get, {"x"}).route, nullptr);
  EXPECT_EQ(dispatch(*router, Method::get, "/x").status, 405);
}

TEST(Router, TheTableCanBeRead) {
  const auto router = testing::router_with({route(Method::get, "/a", "a", ok), route(Method::post, "/b", "b", ok)});
  std::vector<std::string> ids;
  for (const auto* r : router->routes()) ids.push_back(r->operation_id);
  EXPECT_THAT(ids, ElementsAre("a", "b"));
}

TEST(Router, AnswersWithTheRightStatus) {
  auto limited = route(Method::post, "/small", "small", ok);
  limited.body_limit = 4;
  auto query = route(Method::get, "/q", "q", ok);
  query.query = {{"limit", "", R"({"type":"integer"})", true}};
  const auto router = testing::router_with({route(Method::get, "/a", "a", ok), limited, query});
  EXPECT_EQ(dispatch(*router, Method::get, "/a").status, 200);
  EXPECT_EQ(dispatch(*router, Method::head, "/a").status, 200);
  EXPECT_EQ(dispatch(*router, Method::get, "/nothing").status, 404);
  const auto wrong = dispatch(*router, Method::delete_, "/a");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.get("Allow"), "GET, HEAD");
  EXPECT_EQ(dispatch(*router, Method::other, "/a").status, 405);
  EXPECT_EQ(dispatch(*router, Method::post, "/small", "12345").status, 413);
  EXPECT_EQ(dispatch(*router, Method::post, "/small", "1234", "text/plain").status, 415);
  EXPECT_EQ(dispatch(*router, Method::post, "/small", "1234", "application/json; charset=utf-8").status, 200);
  EXPECT_EQ(dispatch(*router, Method::get, "/a", "x").status, 413);
  EXPECT_EQ(dispatch(*router, Method::get, "/a?surprise=1").status, 400);
  EXPECT_EQ(dispatch(*router, Method::get, "/q").status, 400);
  EXPECT_EQ(dispatch(*router, Method::get, "/q?limit=1&limit=2").status, 400);
  EXPECT_EQ(dispatch(*router, Method::get, "/q?limit=1").status, 200);
}

TEST(Router, AsksTheAuthenticatorBeforeTheHandler) {
  auto guarded = route(Method::get, "/x", "x", [](const Request& request, Responder responder) {
    responder.send(text_response(200, request.principal));
  });
  guarded.auth = Auth::operator_;
  auto router = testing::router_with({guarded});
  EXPECT_FALSE(router->check().ok());
  EXPECT_EQ(dispatch(*router, Method::get, "/x").status, 401);
  router->set_authenticator([](const Request& request, Auth auth) -> base::Result<std::string> {
    EXPECT_EQ(auth, Auth::operator_);
    if (request.query_value("who")) return std::string{*request.query_value("who")};
    return base::Error{base::Code::denied, "nobody"};
  });
  EXPECT_TRUE(router->check().ok());
  EXPECT_EQ(dispatch(*router, Method::get, "/x").status, 403);
}

TEST(Router, AnEscapingExceptionBecomes500) {
  const auto router = testing::router_with(
      {route(Method::get, "/x", "x", [](const Request&, Responder) { throw std::runtime_error{"boom"}; })});
  const auto response = dispatch(*router, Method::get, "/x");
  EXPECT_EQ(response.status, 500);
  EXPECT_THAT(response.body, Not(HasSubstr("boom")));
}

TEST(Responder, AnswersOnceAndOnlyOnce) {
  auto answer = std::make_shared<Answer>();
  {
    Responder responder{answer, 1, {}};
    responder.send(text_response(200, "first"));
    EXPECT_FALSE(responder.open());
    responder.send(text_response(200, "second"));
  }
  EXPECT_EQ(answer->count, 1);
  EXPECT_EQ(answer->last.body, "first");
}

TEST(Responder, DroppedWithoutAnAnswerSends500) {
  auto first = std::make_shared<Answer>();
  auto second = std::make_shared<Answer>();
  {
    Responder responder{first, 1, {}};
    responder = Responder{second, 1, {}};
    EXPECT_EQ(first->last.status, 500);
    EXPECT_EQ(second->count, 0);
  }
  EXPECT_EQ(second->last.status, 500);
}

}  // namespace
}  // namespace attestry::net
