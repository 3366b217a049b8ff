#include "net/udp.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>

namespace attestry::net {
namespace {

/// A socket that waits at most five seconds for an answer.
class Client {
 public:
  explicit Client(std::uint16_t port, bool v6 = false) : fd_(::socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0)) {
    const timeval patience{5, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (v6) {
      sockaddr_in6 to{};
      to.sin6_family = AF_INET6;
      to.sin6_port = htons(port);
      to.sin6_addr = in6addr_loopback;
      connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
    } else {
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(port);
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
    }
  }
  ~Client() { ::close(fd_); }
  bool connected() const { return connected_; }
  void send(const std::string& text) const {
    EXPECT_EQ(::send(fd_, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }
  std::string receive() const {
    std::string out(4096, '\0');
    const auto size = ::recv(fd_, out.data(), out.size(), 0);
    if (size < 0) return "nothing";
    out.resize(static_cast<std::size_t>(size));
    return out;
  }

 private:
  int fd_;
  bool connected_ = false;
};

void echo(base::ByteView datagram, const SocketAddress& from, base::Bytes& answer) {
  const auto text = base::as_text(datagram);
  if (text == "quiet") return;
  if (text == "fail") throw std::runtime_error("a defect");
  answer = base::to_bytes(to_text(from.ip) + " " + std::string{text});
}

TEST(UdpServer, AnswersWhoAskedOverBothFamilies) {
  const auto server = UdpServer::start({.address = "[::]:0", .threads = 2}, echo);
  ASSERT_TRUE(server.ok()) << server.error().text();
  for (const bool v6 : {false, true}) {
    const Client client{(*server)->port(), v6};
    ASSERT_TRUE(client.connected());
    client.send("one");
    EXPECT_EQ(client.receive(), v6 ? "::1 one" : "127.0.0.1 one");
    client.send("quiet");
    client.send("fail");
    client.send("two");
    EXPECT_EQ(client.receive(), v6 ? "::1 two" : "127.0.0.1 two");
  }
  (*server)->stop();  // it counts what it has sent
  EXPECT_EQ((*server)->stats().received, 8u);
  EXPECT_EQ((*server)->stats().answered, 4u);
}

TEST(UdpServer, DropsWhatIsTooLongAndWhatIsTooMuch) {
  const auto server = UdpServer::start(
      {.address = "127.0.0.1:0", .most_bytes = 16, .rate = {.requests_per_second = 1, .burst = 2}}, echo);
  ASSERT_TRUE(server.ok()) << server.error().text();
  const Client client{(*server)->port()};
  client.send(std::string(17, 'x'));
  client.send("one");
  client.send("two");
  client.send("three");
  EXPECT_EQ(client.receive(), "127.0.0.1 one");
  EXPECT_EQ(client.receive(), "127.0.0.1 two");
  (*server)->stop();
  EXPECT_EQ((*server)->stats().answered, 2u);
}

TEST(UdpServer, WhatProvesItsAddressIsCountedApart) {
  const auto server =
      UdpServer::start({.address = "127.0.0.1:0", .rate = {.requests_per_second = 1, .burst = 1}}, echo,
                       [](base::ByteView datagram, const SocketAddress& from) {
                         return to_text(from.ip) == "127.0.0.1" && base::as_text(datagram).starts_with("proved");
                       });
  ASSERT_TRUE(server.ok()) << server.error().text();
  const Client client{(*server)->port()};
  for (const char* text : {"one", "two", "three", "proved", "proved again"}) client.send(text);
  EXPECT_EQ(client.receive(), "127.0.0.1 one");
  EXPECT_EQ(client.receive(), "127.0.0.1 proved");
  (*server)->stop();
  EXPECT_EQ((*server)->stats().answered, 2u);
}

TEST(UdpServer, AnAddressIsTakenOnce) {
  const auto first = UdpServer::start({.address = "127.0.0.1:0", .threads = 2}, echo);
  ASSERT_TRUE(first.ok());
  const auto taken = "127.0.0.1:" + std::to_string((*first)->port());
  EXPECT_EQ((*first)->url(), "udp://" + taken);
  EXPECT_EQ(UdpServer::start({.address = taken}, echo).error().code, base::Code::configuration);
  EXPECT_EQ(UdpServer::start({.address = "localhost:1"}, echo).error().code, base::Code::configuration);
  (*first)->stop();
  (*first)->stop();
}

}  // namespace
}  // namespace attestry::net
