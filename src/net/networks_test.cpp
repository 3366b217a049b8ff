#include "net/networks.h"

#include <gtest/gtest.h>

namespace attestry::net {
namespace {

TEST(Networks, AnIpv4AddressIsTheSameOneOnBothKindsOfSockets) {
  EXPECT_EQ(parse_ip("192.0.2.7"), parse_ip("::ffff:192.0.2.7"));
  EXPECT_EQ(to_text(*parse_ip("::ffff:192.0.2.7")), "192.0.2.7");
  EXPECT_EQ(to_text(*parse_ip("2001:DB8:0::1")), "2001:db8::1");
  EXPECT_TRUE(is_v4(*parse_ip("192.0.2.7")));
  EXPECT_FALSE(is_v4(*parse_ip("2001:db8::1")));
  for (const auto* bad : {"", "localhost", "192.0.2", "192.0.2.7:80", "[::1]", "fe80::1%1", "192.0.2.256", " ::1"})
    EXPECT_FALSE(parse_ip(bad)) << bad;
}

TEST(Networks, SocketAddressesAreReadAsServersWriteThem) {
  const auto v4 = parse_socket_address("192.0.2.7:40022");
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4->ip, *parse_ip("192.0.2.7"));
  EXPECT_EQ(v4->port, 40022);
  const auto v6 = parse_socket_address("[2001:db8::1]:80");
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->ip, *parse_ip("2001:db8::1"));
  for (const auto* bad : {"unix", "192.0.2.7", "192.0.2.7:", "192.0.2.7:65536", "192.0.2.7:-1", "::1:80", "[::1]",
                          "[::1:80", "[192.0.2.7]:80"})
    EXPECT_FALSE(parse_socket_address(bad)) << bad;
}

TEST(Networks, ContainWhatIsInside) {
  const auto some = Networks::parse({"127.0.0.0/8", "2001:db8::/33", "::1", "192.0.2.1"});
  ASSERT_TRUE(some.ok());
  for (const auto* in : {"127.3.4.5", "::ffff:127.0.0.1", "2001:db8:7fff::9", "::1", "192.0.2.1"})
    EXPECT_TRUE(some->contain(*parse_ip(in))) << in;
  for (const auto* out : {"128.0.0.1", "2001:db8:8000::", "::2", "192.0.2.2"})
    EXPECT_FALSE(some->contain(*parse_ip(out))) << out;
  EXPECT_TRUE(Networks::parse({"0.0.0.0/0"})->contain(*parse_ip("1.2.3.4")));
  EXPECT_FALSE(Networks::parse({"0.0.0.0/0"})->contain(*parse_ip("2001:db8::1")));
}

TEST(Networks, WhatIsNoNetworkIsAMistake) {
  for (const auto* bad :
       {"", "/8", "127.0.0.0/33", "::/129", "127.0.0.0/", "127.0.0.0/+8", "example.org", "1.2.3.4/8/8"})
    EXPECT_FALSE(Networks::parse({bad}).ok()) << bad;
}

}  // namespace
}  // namespace attestry::net
