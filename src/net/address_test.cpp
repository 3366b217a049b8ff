#include "net/address.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "base/encoding.h"
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

base::Bytes v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) { return {a, b, c, d}; }

base::Bytes v6(std::initializer_list<std::uint8_t> first, std::initializer_list<std::uint8_t> last = {}) {
  base::Bytes out(16, 0);
  std::ranges::copy(first, out.begin());
  std::ranges::copy(last, out.end() - static_cast<std::ptrdiff_t>(last.size()));
  return out;
}

TEST(PublicAddresses, OnlyThoseOfTheInternetAtLarge) {
  for (const auto& address :
       {v4(1, 1, 1, 1), v4(172, 15, 255, 255), v4(172, 32, 0, 1), v4(169, 253, 1, 1), v4(223, 255, 255, 255),
        v6({0x26, 0x06, 0x47}, {1}), v6({0x20, 0x02, 8, 8, 8, 8}), v6({}, {0xff, 0xff, 8, 8, 8, 8})}) {
    EXPECT_TRUE(is_public_ip(address)) << base::hex(address);
  }
  for (const auto& address : {v4(0, 0, 0, 0),
                              v4(10, 1, 2, 3),
                              v4(100, 64, 0, 1),
                              v4(127, 0, 0, 1),
                              v4(169, 254, 169, 254),
                              v4(172, 16, 0, 1),
                              v4(172, 31, 255, 255),
                              v4(192, 168, 1, 1),
                              v4(198, 19, 0, 1),
                              v4(224, 0, 0, 1),
                              v4(255, 255, 255, 255),
                              v6({}),
                              v6({}, {1}),
                              v6({0xfc}, {1}),
                              v6({0xfd, 0x12}, {1}),
                              v6({0xfe, 0x80}, {1}),
                              v6({0xff, 0x02}, {1}),
                              v6({}, {0xff, 0xff, 127, 0, 0, 1}),
                              v6({0, 0x64, 0xff, 0x9b}, {10, 0, 0, 1}),
                              v6({0x20, 0x02, 127, 0, 0, 1}),
                              v6({0x20, 0x01, 0x0d, 0xb8}, {1}),
                              base::Bytes{},
                              base::Bytes(5, 8)}) {
    EXPECT_FALSE(is_public_ip(address)) << base::hex(address);
  }
}

}  // namespace
}  // namespace attestry::net
