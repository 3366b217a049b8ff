#include "api/api.h"

#include <gmock/gmock.h>

#include "api/testing/support.h"
#include "base/json.h"

namespace attestry::api {
namespace {

using base::Code;
using ::testing::HasSubstr;

class ApiTest : public ::testing::Test, protected testing::Rooms {
 protected:
  void serve(const std::set<Service>& services = all_services()) {
    ASSERT_TRUE(add_routes(router, deps, services).ok());
    router.set_authenticator(make_authenticator(crypto::sha256(base::as_bytes("the token"))));
    ASSERT_TRUE(router.check().ok());
  }

  net::Response ask(net::Role role, net::Method method, std::string target, std::string body = {},
                    std::string_view token = {}) {
    net::Request request;
    request.method = method;
    request.target = std::move(target);
    if (!body.empty()) request.headers.set("Content-Type", "application/json");
    if (!token.empty()) request.headers.set("Authorization", token);
    request.body = std::move(body);
    return send(role, std::move(request));
  }
  std::string code_of(const net::Response& response) const {
    const auto doc = base::JsonDocument::parse(response.body);
    const auto code = doc ? (*doc)->root().find("code") : std::nullopt;
    return code ? code->string("code").value() : response.body;
  }
};

TEST_F(ApiTest, AdminRoutesNeedTheToken) {
  serve();
  const auto list = [&](std::string_view token) {
    return ask(net::Role::admin, net::Method::get, "/v1/tenants/default/apps", {}, token);
  };
  EXPECT_EQ(list("Bearer the token").status, 200);
  for (const char* wrong : {"", "Bearer ", "Bearer the tokeN", "Bearer the token ", "Basic the token", "the token"}) {
    const auto response = list(wrong);
    EXPECT_EQ(response.status, 401) << wrong;
    EXPECT_EQ(code_of(response), "unauthenticated") << wrong;
  }
}

TEST_F(ApiTest, EveryAdminRouteIsClosedWithoutTheToken) {
  serve();
  std::size_t closed = 0;
  for (const auto* route : router.routes()) {
    if (route->role == net::Role::admin && route->auth != net::Auth::signature) {
      EXPECT_EQ(route->auth, net::Auth::admin) << route->operation_id;
      ++closed;
    }
    if (route->role == net::Role::public_) {
      EXPECT_TRUE(route->auth == net::Auth::none || route->auth == net::Auth::evidence) << route->operation_id;
    }
  }
  EXPECT_GE(closed, 10u);
}

TEST_F(ApiTest, RolesDoNotMix) {
  serve();
  EXPECT_EQ(ask(net::Role::public_, net::Method::get, "/v1/tenants/default/apps", {}, "Bearer the token").status, 404);
  EXPECT_EQ(ask(net::Role::admin, net::Method::post, "/v1/challenges").status, 404);
  EXPECT_EQ(ask(net::Role::public_, net::Method::get, "/metrics").status, 404);
}

// Whoever may bring the keys that verify a token makes tokens.
TEST_F(ApiTest, AKeySetIsNeverTakenFromARequest) {
  serve();
  const auto verify = [&](const std::string& collateral) {
    return ask(net::Role::public_, net::Method::post, "/v1/verify",
               R"({"evidence":"ZXlKaGJHY2lPaUpTVXpJMU5pSjkuZTMwLkFBRQ","collateral":)" + collateral + "}");
  };
  for (const char* jwks : {R"({"jwks":{"keys":[]}})", R"({"jwks":"{}"})", R"({"tcb_info":"","jwks":null})"}) {
    const auto response = verify(jwks);
    EXPECT_EQ(response.status, 400) << jwks;
    EXPECT_NE(response.body.find("collateral.jwks"), std::string::npos) << response.body;
    EXPECT_NE(response.body.find("--issuer"), std::string::npos) << response.body;
  }
  const auto alone = verify("{}");
  EXPECT_EQ(alone.status, 200);
  EXPECT_NE(alone.body.find("maa.issuer.named"), std::string::npos) << alone.body;
}

TEST_F(ApiTest, OnlyChosenServicesAreServed) {
  serve({Service::verify});
  EXPECT_EQ(ask(net::Role::public_, net::Method::get, "/v1/checks").status, 200);
  EXPECT_EQ(ask(net::Role::public_, net::Method::get, "/v1/server").status, 200);
  EXPECT_EQ(ask(net::Role::public_, net::Method::post, "/v1/challenges").status, 404);
  EXPECT_EQ(ask(net::Role::public_, net::Method::get, "/v1/log/checkpoint").status, 404);
  EXPECT_EQ(ask(net::Role::admin, net::Method::get, "/v1/tenants/default/apps", {}, "Bearer the token").status, 404);
}

TEST(Services, AreChosenByName) {
  EXPECT_EQ(services_from("verify,log").value(), (std::set{Service::verify, Service::log}));
  EXPECT_EQ(services_from("verify,provision,governance,log,collateral").value(), all_services());
  EXPECT_EQ(services_from("verify,").value(), std::set{Service::verify});  // a trailing comma names nothing more
  for (const auto& [text, reason] :
       {std::pair{"", "no service"}, {"verfy", "unknown"}, {"verify,,log", "unknown"}, {"verify, log", "unknown"}}) {
    const auto chosen = services_from(text);
    ASSERT_FALSE(chosen.ok()) << text;
    EXPECT_EQ(chosen.error().code, Code::configuration);
    EXPECT_THAT(chosen.error().text(), HasSubstr(reason));
  }
}

TEST_F(ApiTest, ChallengesAreNotStoredAndAreForOnePurpose) {
  serve();
  const auto response = ask(net::Role::public_, net::Method::post, "/v1/challenges", R"({"purpose":5})");
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.headers.get("Cache-Control"), "no-store");
  const auto doc = base::JsonDocument::parse(response.body);
  const auto nonce = base::base64url_decode((*doc)->root().get("nonce")->string("nonce").value());
  const auto now = house.store->now();
  EXPECT_TRUE(challenges.check(*nonce, base::Purpose::token, {}, now).ok());
  EXPECT_FALSE(challenges.check(*nonce, base::Purpose::instance_release, {}, now).ok());
  for (const char* bad : {R"({"purpose":0})", R"({"purpose":7})", R"({"purpose":"5"})", R"({"purpos":5})", "[]", "{"})
    EXPECT_EQ(ask(net::Role::public_, net::Method::post, "/v1/challenges", bad).status, 400) << bad;
}

TEST_F(ApiTest, RequestsAreReadStrictly) {
  serve();
  const auto instance = [&](std::string body) {
    return ask(net::Role::public_, net::Method::post, "/v1/instances", std::move(body));
  };
  EXPECT_EQ(instance("{}").status, 400);
  EXPECT_EQ(instance(R"({"evidence":"","csr":"","recipient":"","nonce":"","app":"web","more":1})").status, 400);
  const auto foreign = instance(R"({"evidence":"","csr":"","recipient":"","nonce":"AA","app":"web"})");
  EXPECT_EQ(foreign.status, 400);
  EXPECT_EQ(foreign.content_type, "application/problem+json");
  EXPECT_EQ(ask(net::Role::admin, net::Method::post, "/v1/approvals", "{}").status, 400);
  EXPECT_EQ(ask(net::Role::public_, net::Method::get, "/v1/log/leaves?count=1001").status, 400);
  EXPECT_EQ(ask(net::Role::public_, net::Method::get, "/v1/log/leaves?form=1").status, 400);
  EXPECT_EQ(ask(net::Role::public_, net::Method::get, "/v1/log/leaves/99/receipt").status, 404);
}

TEST_F(ApiTest, TheDocumentNamesEveryRouteAndEverySchemaThatItRefersTo) {
  serve();
  const std::string text = openapi_json(router, "1.2.3");
  const auto doc = base::JsonDocument::parse(text, {.max_bytes = 4u << 20});
  ASSERT_TRUE(doc.ok()) << doc.error().text();
  const auto root = (*doc)->root();
  EXPECT_EQ(root.get("openapi")->string("openapi").value(), "3.1.0");
  const auto paths = root.get("paths").value();
  for (const auto* route : router.routes()) {
    const auto path = paths.find(route->path);
    ASSERT_TRUE(path.has_value()) << route->path;
    bool named = false;
    for (auto operation = path->first(); operation; operation = operation->next())
      named = named || operation->get("operationId")->string("operationId").value() == route->operation_id;
    EXPECT_TRUE(named) << route->operation_id;
  }
  const auto schemas = root.get("components")->get("schemas").value();
  constexpr std::string_view kReference = "\"#/components/schemas/";
  std::size_t references = 0;
  for (auto at = text.find(kReference); at != std::string::npos; at = text.find(kReference, at + 1)) {
    const auto from = at + kReference.size();
    const auto name = text.substr(from, text.find('"', from) - from);
    EXPECT_TRUE(schemas.find(name).has_value()) << name;
    ++references;
  }
  EXPECT_GT(references, router.routes().size());
  const auto served = ask(net::Role::public_, net::Method::get, "/openapi.json");
  EXPECT_EQ(served.status, 200);
  EXPECT_EQ(served.body, text);
}

}  // namespace
}  // namespace attestry::api
