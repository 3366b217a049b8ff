#include "app/loopback.h"

#include <gtest/gtest.h>

#include <string_view>

namespace attestry::app {
namespace {

TEST(Loopback, AddressesOfThisMachineOnly) {
  for (const std::string_view address : {"127.0.0.1:8443", "127.0.0.1:0", "127.255.255.255:65535", "[::1]:8443",
                                         "localhost:8443", "unix:/run/attestry.sock", "unix:relative"})
    EXPECT_TRUE(is_loopback(address)) << address;
}

TEST(Loopback, WhatOnlyBeginsSoIsAnybodys) {
  for (const std::string_view address : {"localhost.evil:80",
                                         "localhost.evil.example:80",
                                         "localhostevil:80",
                                         "127.evil:80",
                                         "127.0.0.1.evil:80",
                                         "127.0.0:80",
                                         "127.0.0.256:80",
                                         "127.0.0.01:80",
                                         "127.0.0.1.1:80",
                                         "127.0.0.:80",
                                         "127..0.1:80",
                                         "127.0.0.1",
                                         "127.0.0.1:",
                                         "127.0.0.1:x",
                                         "127.0.0.1:65536",
                                         "127.0.0.1:80:80",
                                         "[::1]evil:80",
                                         "[::1]",
                                         "[::1].evil:80",
                                         "[::2]:80",
                                         "::1:80",
                                         "128.0.0.1:80",
                                         "0.0.0.0:80",
                                         "[::]:80",
                                         "evil:80",
                                         "unix",
                                         "",
                                         ":",
                                         ":80"})
    EXPECT_FALSE(is_loopback(address)) << address;
}

}  // namespace
}  // namespace attestry::app
