// A name with several addresses, some of them dead.
#include "net/internal/peer_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <charconv>
#include <chrono>
#include <cstring>

#include "net/peer.h"
#include "net/testing/black_hole.h"

namespace attestry::net {
namespace {

using base::Code;

base::Deadline within(int seconds) { return std::chrono::steady_clock::now() + std::chrono::seconds(seconds); }

std::uint16_t port_in(const std::string& url) {
  std::uint16_t port = 0;
  std::from_chars(url.data() + url.rfind(':') + 1, url.data() + url.size(), port);
  return port;
}

Place four(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  Place out{.family = AF_INET, .storage = {}, .size = sizeof address};
  std::memcpy(&out.storage, &address, sizeof address);
  return out;
}

Place six(std::uint16_t port) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  address.sin6_addr = in6addr_loopback;
  Place out{.family = AF_INET6, .storage = {}, .size = sizeof address};
  std::memcpy(&out.storage, &address, sizeof address);
  return out;
}

std::uint16_t port_of_peer(const Fd& fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getpeername(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

class ConnectFirst : public ::testing::Test {
 protected:
  ConnectFirst() {
    auto once = PeerListener::bind("127.0.0.1:0").value();
    closed = once->port();
  }
  std::unique_ptr<PeerListener> live = PeerListener::bind("127.0.0.1:0").value();
  std::uint16_t closed = 0;
  const testing::BlackHole silent{false};
};

TEST_F(ConnectFirst, AnAddressThatRefusesIsPassedOver) {
  const std::vector<Place> places{six(closed), four(closed), four(live->port())};
  const auto fd = connect_first(places, nullptr, within(30));
  ASSERT_TRUE(fd.ok()) << fd.error().text();
  EXPECT_EQ(port_of_peer(*fd), live->port());
}

TEST_F(ConnectFirst, AnAddressThatSaysNothingHoldsUpNobody) {
  const auto hole = four(port_in(silent.url()));
  const std::vector<Place> places{hole, hole, four(live->port())};
  const auto fd = connect_first(places, nullptr, within(30));
  ASSERT_TRUE(fd.ok()) << fd.error().text();
  EXPECT_EQ(port_of_peer(*fd), live->port());
}

TEST_F(ConnectFirst, TheFirstThatAnswersIsTaken) {
  const auto other = PeerListener::bind("127.0.0.1:0").value();
  const std::vector<Place> places{four(live->port()), four(other->port())};
  const auto fd = connect_first(places, nullptr, within(30));
  ASSERT_TRUE(fd.ok()) << fd.error().text();
  EXPECT_EQ(port_of_peer(*fd), live->port());
}

TEST_F(ConnectFirst, WhereAllAreDeadTheDeadlineOrTheLastErrorIsSaid) {
  const std::vector<Place> closed_ones{four(closed), four(closed)};
  EXPECT_EQ(connect_first(closed_ones, nullptr, within(30)).error().code, Code::unavailable);
  EXPECT_EQ(connect_first({}, nullptr, within(30)).error().code, Code::unavailable);
  const std::vector<Place> some{four(closed), four(port_in(silent.url()))};
  EXPECT_EQ(
      connect_first(some, nullptr, std::chrono::steady_clock::now() + std::chrono::milliseconds(100)).error().code,
      Code::deadline_exceeded);
}

TEST_F(ConnectFirst, StoppingEndsIt) {
  const auto wake = WakeUp::make().value();
  wake->set();
  const std::vector<Place> places{four(port_in(silent.url())), four(live->port())};
  const auto fd = connect_first(places, wake.get(), within(30));
  ASSERT_FALSE(fd.ok());
  EXPECT_THAT(fd.error().text(), ::testing::HasSubstr("shutting down"));
}

}  // namespace
}  // namespace attestry::net
