// For this room's tests: a client that sends exactly the bytes it is told, and servers with short limits.
#pragma once
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <string>
#include <string_view>
#include <utility>

#include "net/server.h"

namespace attestry::net::testing {

/// A blocking socket. Reads give up after 20 seconds, so that a server that hangs fails the test instead of stopping
/// it.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port) {
    fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
    if (fd_ < 0) return;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    limit();
  }
  explicit RawClient(const std::string& path) {
    fd_ = ::socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd_ < 0) return;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    limit();
  }
  RawClient(RawClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), connected_(other.connected_), pending_(std::move(other.pending_)) {}
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient() {
    if (fd_ >= 0) ::close(fd_);
  }

  bool connected() const { return connected_; }
  /// False when the server has gone.
  bool send(std::string_view text) {
    while (!text.empty()) {
      const auto n = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  void half_close() { ::shutdown(fd_, SHUT_WR); }

  struct Reply {
    int status = 0;  ///< 0: the connection ended before a whole answer
    std::string head;
    std::string body;
    bool has(std::string_view text) const { return head.find(text) != std::string::npos; }
  };
  /// One answer; `head` requests have no body.
  Reply read_reply(bool head = false) {
    std::size_t end = 0;
    while ((end = pending_.find("\r\n\r\n")) == std::string::npos) {
      if (!more()) return {};
    }
    Reply reply;
    reply.head = pending_.substr(0, end + 2);
    pending_.erase(0, end + 4);
    std::from_chars(reply.head.data() + 9, reply.head.data() + 12, reply.status);
    std::size_t length = 0;
    constexpr std::string_view kLength = "Content-Length: ";
    if (const auto at = reply.head.find(kLength); at != std::string::npos && !head) {
      const auto* text = reply.head.data() + at + kLength.size();
      std::from_chars(text, reply.head.data() + reply.head.size(), length);
    }
    while (pending_.size() < length) {
      if (!more()) return {};
    }
    reply.body = pending_.substr(0, length);
    pending_.erase(0, length);
    return reply;
  }
  /// True when the server closes without another byte.
  bool at_end() { return pending_.empty() && !more() && !timed_out_; }

 private:
  void limit() {
    timeval patience{20, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  }
  bool more() {
    char block[4096];
    const auto n = ::recv(fd_, block, sizeof(block), 0);
    timed_out_ = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    if (n <= 0) return false;
    pending_.append(block, static_cast<std::size_t>(n));
    return true;
  }
  int fd_ = -1;
  bool connected_ = false;
  bool timed_out_ = false;
  std::string pending_;
};

inline Route route(Method method, std::string path, std::string operation, Handler handler) {
  Route out;
  out.method = method;
  out.path = std::move(path);
  out.auth = Auth::none;
  out.operation_id = std::move(operation);
  out.summary = "For a test";
  out.handler = std::move(handler);
  return out;
}

inline std::shared_ptr<Router> router_with(std::vector<Route> routes) {
  auto router = std::make_shared<Router>();
  for (auto& r : routes) {
    const auto status = router->add(std::move(r));
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().text());
  }
  return router;
}

inline Route echo() {
  return route(Method::post, "/echo", "echo", [](Request request, Responder responder) {
    responder.send(json_response(200, std::move(request.body)));
  });
}

inline std::unique_ptr<Server> serve(std::shared_ptr<const Router> router, const ServerLimits& limits = {}) {
  ServerOptions options;
  options.listeners = {{"127.0.0.1:0", {Role::public_}}};
  options.limits = limits;
  options.workers = 2;
  auto server = Server::start(std::move(options), std::move(router));
  EXPECT_TRUE(server.ok()) << (server.ok() ? "" : server.error().text());
  return server.ok() ? *std::move(server) : nullptr;
}

inline std::string post(std::string_view path, std::string_view body, std::string_view more = {}) {
  std::string out = "POST " + std::string{path} + " HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n";
  out.append(more).append("Content-Length: ").append(std::to_string(body.size())).append("\r\n\r\n").append(body);
  return out;
}

inline std::string get(std::string_view path) { return "GET " + std::string{path} + " HTTP/1.1\r\nHost: test\r\n\r\n"; }

}  // namespace attestry::net::testing
