#include "net/address.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "net/server.h"

namespace attestry::net {
namespace {

TEST(Address, IsNumericWithAPort) {
  for (const char* good : {"127.0.0.1:8443", "0.0.0.0:0", "[::1]:443", "[::]:65535"}) {
    EXPECT_TRUE(is_socket_address(good)) << good;
  }
  for (const char* bad : {"", "127.0.0.1", "localhost:1", "127.0.0.1:65536", "127.0.0.1:", "::1:443", "[::1]",
                          "[127.0.0.1]:1", "127.0.0.1:1 ", "nonsense"}) {
    EXPECT_FALSE(is_socket_address(bad)) << bad;
  }
}

TEST(Address, ThatSomebodyListensOnCannotBeBound) {
  auto router = std::make_shared<Router>();
  ServerOptions options;
  options.listeners = {{"127.0.0.1:0", {Role::public_}}};
  std::string address;
  {
    const auto server = Server::start(std::move(options), router);
    ASSERT_TRUE(server.ok()) << server.error().text();
    address = "127.0.0.1:" + std::to_string((*server)->port());
    EXPECT_EQ(why_not_bindable(address), EADDRINUSE);
  }
  EXPECT_EQ(why_not_bindable(address), std::nullopt);
  EXPECT_EQ(why_not_bindable("127.0.0.1:0"), std::nullopt);
}

}  // namespace
}  // namespace attestry::net
