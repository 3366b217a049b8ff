// For tests of clients: a service that is there and never answers.
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace attestry::net::testing {

/// A socket that is listened on and whose connections are accepted or not, but never answered.
class BlackHole {
 public:
  /// `port`: of a server that is no more; 0: any free one.
  explicit BlackHole(bool accepts, std::uint16_t port = 0) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const int on = 1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (socket_ < 0 || ::setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        ::bind(socket_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(socket_, accepts ? 64 : 0) != 0 ||
        ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      std::abort();
    }
    port_ = ntohs(address.sin_port);
    if (accepts) return;
    // The one place in the queue is taken: further connections are not even made.
    for (int& filler : fillers_) {
      filler = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
      if (filler < 0) std::abort();
      // It is in progress or refused by a full queue, whichever the kernel says.
      [[maybe_unused]] const int state = ::connect(filler, reinterpret_cast<sockaddr*>(&address), size);
    }
  }
  BlackHole(const BlackHole&) = delete;
  BlackHole& operator=(const BlackHole&) = delete;
  ~BlackHole() {
    ::close(socket_);
    for (const int filler : fillers_) {
      if (filler >= 0) ::close(filler);
    }
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  int socket_;
  std::array<int, 4> fillers_{-1, -1, -1, -1};
  std::uint16_t port_ = 0;
};

}  // namespace attestry::net::testing
