#include <gmock/gmock.h>

#include "api/api.h"
#include "api/testing/support.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/testing/freed_memory.h"
#include "crypto/hash.h"

namespace attestry::api {
namespace {

using governance::Action;
using ::testing::HasSubstr;

const base::AppRef kWeb = governance::testing::app_named("name:web");

class SecretsApiTest : public ::testing::Test, protected testing::Rooms {
 protected:
  void SetUp() override {
    house.add_operator("alice");
    house.approve(kWeb, Action::app_create, kWeb.text());
    ASSERT_TRUE(add_routes(router, deps, {Service::governance}).ok());
    router.set_authenticator(make_authenticator(crypto::sha256(base::as_bytes("the token"))));
    ASSERT_TRUE(router.check().ok());
  }

  net::Response ask(net::Method method, const std::string& rest, std::string body = {}) {
    net::Request request;
    request.method = method;
    request.target = "/v1/tenants/default/apps/web/secrets" + rest;
    if (!body.empty()) request.headers.set("Content-Type", "application/json");
    request.headers.set("Authorization", "Bearer the token");
    request.body = std::move(body);
    return send(net::Role::admin, std::move(request));
  }
  std::string put(const std::string& name, std::string_view value) {
    const auto response =
        ask(net::Method::put, "/" + name, "{\"value\":\"" + base::base64url(base::as_bytes(value)) + "\"}");
    EXPECT_EQ(response.status, 201) << response.body;
    const auto doc = base::JsonDocument::parse(response.body);
    return (*doc)->root().get("id")->string("id").value();
  }
  std::size_t stored() const { return secrets.list(base::Tenant::standard(), kWeb)->size(); }
};

TEST_F(SecretsApiTest, AValueIsRemovedUnlessItIsApproved) {
  const auto first = put("password", "one");
  const auto second = put("password", "two");
  EXPECT_EQ(stored(), 2u);
  house.approve(kWeb, Action::secret_approve, first);
  const auto approved = ask(net::Method::delete_, "/password/" + first);
  EXPECT_EQ(approved.status, 409) << approved.body;
  EXPECT_THAT(approved.body, HasSubstr("approve revocation"));
  EXPECT_EQ(ask(net::Method::delete_, "/token/" + second).status, 404);
  EXPECT_EQ(ask(net::Method::delete_, "/password/" + std::string(64, 'e')).status, 404);
  EXPECT_EQ(ask(net::Method::delete_, "/password/abc").status, 400);
  EXPECT_EQ(stored(), 2u);
  EXPECT_EQ(ask(net::Method::delete_, "/password/" + second).status, 204);
  EXPECT_EQ(stored(), 1u);
}

TEST_F(SecretsApiTest, AValueIsNotLeftOnTheHeap) {
  const std::string value = "a secret that is longer than what strings keep in themselves";
  const std::string encoded = base::base64url(base::as_bytes(value));
  for (const std::string_view needle : {std::string_view{value}, std::string_view{encoded}.substr(4, 40)}) {
    std::string body = "{\"value\":\"" + encoded + "\"}";
    std::string refused = "{\"value\":\"" + encoded + "\",\"more\":1}";
    const base::testing::FreedMemory freed{needle};
    EXPECT_EQ(ask(net::Method::put, "/password", std::move(body)).status, 201);
    EXPECT_EQ(ask(net::Method::put, "/password", std::move(refused)).status, 400);
    EXPECT_EQ(freed.found(), 0) << needle;
  }
}

}  // namespace
}  // namespace attestry::api
