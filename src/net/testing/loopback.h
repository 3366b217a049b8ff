// For tests of servers: callers at several addresses of this machine.
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>

namespace attestry::net::testing {

/// A test without its sockets has no meaning.
inline void must(bool done) {
  if (!done) std::abort();
}

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  /// Waits for it.
  bool is_hung_up_on() const {
    char byte = 0;
    pollfd polled{.fd = fd_, .events = POLLIN, .revents = 0};
    return ::poll(&polled, 1, 30'000) == 1 && ::recv(fd_, &byte, 1, 0) <= 0;
  }
  bool is_still_there() const {
    pollfd polled{.fd = fd_, .events = POLLIN, .revents = 0};
    return ::poll(&polled, 1, 0) == 0;
  }

 private:
  int fd_;
};

inline sockaddr_in place(const std::string& host, int port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(static_cast<std::uint16_t>(port));
  must(::inet_pton(AF_INET, host.c_str(), &out.sin_addr) == 1);
  return out;
}

inline int port_of(const std::string& address) { return std::stoi(address.substr(address.rfind(':') + 1)); }

/// Connected, and mute.
inline Socket call_from(const std::string& host, const std::string& address) {
  Socket out{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const sockaddr_in from = place(host, 0);
  const sockaddr_in to = place("127.0.0.1", port_of(address));
  must(::bind(out.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from) == 0);
  must(::connect(out.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
  return out;
}

/// Passes one connection on to a server, which sees it come from another address.
class Relay {
 public:
  Relay(std::string host, std::string server)
      : host_(std::move(host)), server_(std::move(server)), listening_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in at = place("127.0.0.1", 0);
    socklen_t size = sizeof at;
    must(::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&at), size) == 0);
    must(::listen(listening_.get(), 1) == 0);
    must(::getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&at), &size) == 0);
    address_ = "127.0.0.1:" + std::to_string(ntohs(at.sin_port));
    passing_ = std::thread([this] { pass(); });
  }
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;
  ~Relay() {
    ::shutdown(listening_.get(), SHUT_RDWR);
    passing_.join();
  }
  const std::string& address() const { return address_; }

 private:
  void pass() const {
    const Socket caller{::accept(listening_.get(), nullptr, nullptr)};
    if (caller.get() < 0) return;
    const Socket called = call_from(host_, server_);
    std::array<pollfd, 2> ends{pollfd{.fd = caller.get(), .events = POLLIN, .revents = 0},
                               pollfd{.fd = called.get(), .events = POLLIN, .revents = 0}};
    std::array<char, 4096> buffer;
    while (::poll(ends.data(), 2, 60'000) > 0) {
      for (std::size_t i = 0; i < 2; ++i) {
        if (ends[i].revents == 0) continue;
        const auto n = ::recv(ends[i].fd, buffer.data(), buffer.size(), 0);
        if (n <= 0 || ::send(ends[1 - i].fd, buffer.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL) != n) return;
      }
    }
  }
  const std::string host_, server_;
  const Socket listening_;
  std::string address_;
  std::thread passing_;
};

}  // namespace attestry::net::testing
