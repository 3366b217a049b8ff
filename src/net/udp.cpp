#include "net/udp.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include "base/log.h"
#include "net/internal/peer_socket.h"
#include "net/internal/sockaddr.h"

namespace attestry::net {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kBatch = 64;
constexpr int kBuffer = 4 << 20;  ///< of the socket, for what comes while a batch is answered

struct Bound {
  Fd fd;
  SocketAddress address;
};

Error failed(const std::string& address, const char* what) {
  return {Code::configuration, "udp listener " + address + ": " + what + ": " + std::strerror(errno),
          "a free numeric address, 127.0.0.1:6969 or [::]:6969"};
}

/// One of several sockets on one address, among which the kernel spreads the senders.
Result<Bound> bind_to(const std::string& text, std::uint16_t port) {
  auto wanted = parse_socket_address(text);
  if (!wanted) {
    errno = EINVAL;
    return failed(text, "no address");
  }
  if (port != 0) wanted->port = port;
  const bool v6 = text.starts_with('[');
  Fd fd{::socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (fd.get() < 0) return failed(text, "socket");
  const int on = 1, off = 0;
  const auto set = [&](int level, int name, const int& value) {
    return ::setsockopt(fd.get(), level, name, &value, sizeof value) == 0;
  };
  // The first one finds out whether somebody else is there.
  if (port != 0 && !set(SOL_SOCKET, SO_REUSEPORT, on)) return failed(text, "SO_REUSEPORT");
  if (v6 && !set(IPPROTO_IPV6, IPV6_V6ONLY, off)) return failed(text, "IPV6_V6ONLY");
  static_cast<void>(set(SOL_SOCKET, SO_RCVBUF, kBuffer));
  static_cast<void>(set(SOL_SOCKET, SO_SNDBUF, kBuffer));
  socklen_t size = 0;
  auto storage = native(*wanted, v6, size);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0) return failed(text, "bind");
  size = sizeof storage;
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&storage), &size) != 0) return failed(text, "getsockname");
  if (port == 0 && !set(SOL_SOCKET, SO_REUSEPORT, on)) return failed(text, "SO_REUSEPORT");
  return Bound{std::move(fd), ours(storage)};
}

}  // namespace

struct UdpServer::Impl {
  Impl(const UdpOptions& said, Handler handle, Proves proof, RateLimiter for_proved, RateLimiter for_others,
       std::shared_ptr<WakeUp> wake_up)
      : options(said),
        handler(std::move(handle)),
        proves(std::move(proof)),
        proved(std::move(for_proved)),
        others(std::move(for_others)),
        wake(std::move(wake_up)) {}

  void run(int fd);
  bool admit(const msghdr& message, base::ByteView datagram, const SocketAddress& from);

  const UdpOptions options;
  const Handler handler;
  const Proves proves;
  RateLimiter proved, others;
  const std::shared_ptr<WakeUp> wake;
  std::vector<Bound> sockets;
  SocketAddress address;
  std::atomic<std::uint64_t> received{0}, answered{0}, dropped{0};
  std::vector<std::jthread> threads;
};

bool UdpServer::Impl::admit(const msghdr& message, base::ByteView datagram, const SocketAddress& from) {
  if ((message.msg_flags & MSG_TRUNC) != 0) return false;
  RateLimiter& limiter = proves && proves(datagram, from) ? proved : others;
  const auto network = limiter.network_of(from.ip);
  return !network || !limiter.take(*network, std::chrono::steady_clock::now());
}

void UdpServer::Impl::run(int fd) {
  std::vector<std::uint8_t> buffers(kBatch * options.most_bytes);
  std::array<sockaddr_storage, kBatch> names{};
  std::array<iovec, kBatch> in{}, out{};
  std::array<mmsghdr, kBatch> got{}, sent{};
  std::array<base::Bytes, kBatch> answers;
  for (;;) {
    std::array<pollfd, 2> wait{{{fd, POLLIN, 0}, {wake->fd(), POLLIN, 0}}};
    if (::poll(wait.data(), wait.size(), -1) < 0 && errno != EINTR) return;
    if (wait[1].revents != 0) return;
    for (std::size_t i = 0; i < kBatch; ++i) {
      in[i] = {buffers.data() + i * options.most_bytes, options.most_bytes};
      got[i] = {};
      got[i].msg_hdr = {&names[i], sizeof names[i], &in[i], 1, nullptr, 0, 0};
    }
    const int count = ::recvmmsg(fd, got.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (count <= 0) continue;  // what an earlier answer met, such as a port that nobody listens on
    received.fetch_add(static_cast<std::uint64_t>(count), std::memory_order_relaxed);
    unsigned answers_now = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      const auto from = ours(names[i]);
      const base::ByteView datagram{buffers.data() + i * options.most_bytes, got[i].msg_len};
      if (!admit(got[i].msg_hdr, datagram, from)) {
        dropped.fetch_add(1, std::memory_order_relaxed);
        continue;
      }
      auto& answer = answers[answers_now];
      answer.clear();
      try {
        handler(datagram, from, answer);
      } catch (const std::exception& e) {
        base::log(base::LogLevel::error, "handler of a datagram failed", {{"what", e.what()}});
        answer.clear();
      }
      if (answer.empty()) continue;
      out[answers_now] = {answer.data(), answer.size()};
      sent[answers_now] = {};
      sent[answers_now].msg_hdr = {&names[i], got[i].msg_hdr.msg_namelen, &out[answers_now], 1, nullptr, 0, 0};
      ++answers_now;
    }
    unsigned done = 0;
    while (done < answers_now) {
      const int now = ::sendmmsg(fd, sent.data() + done, answers_now - done, MSG_DONTWAIT);
      if (now > 0) {
        answered.fetch_add(static_cast<std::uint64_t>(now), std::memory_order_relaxed);
        done += static_cast<unsigned>(now);
        continue;
      }
      // The first one cannot be sent: a full buffer, or an address that no answer can reach.
      dropped.fetch_add(1, std::memory_order_relaxed);
      ++done;
    }
  }
}

UdpServer::UdpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
UdpServer::~UdpServer() { stop(); }

Result<std::unique_ptr<UdpServer>> UdpServer::start(const UdpOptions& options, Handler handler, Proves proves) {
  TRY(auto proved, RateLimiter::make(options.rate));
  TRY(auto others, RateLimiter::make(options.rate));
  TRY(auto wake, WakeUp::make());
  auto impl = std::make_unique<Impl>(options, std::move(handler), std::move(proves), std::move(proved),
                                     std::move(others), std::move(wake));
  for (unsigned i = 0; i < std::max(1U, options.threads); ++i) {
    TRY(auto bound, bind_to(options.address, impl->sockets.empty() ? 0 : impl->address.port));
    if (impl->sockets.empty()) impl->address = bound.address;
    impl->sockets.push_back(std::move(bound));
  }
  for (const auto& one : impl->sockets) {
    impl->threads.emplace_back([running = impl.get(), fd = one.fd.get()] { running->run(fd); });
  }
  return std::unique_ptr<UdpServer>{new UdpServer(std::move(impl))};
}

std::uint16_t UdpServer::port() const noexcept { return impl_->address.port; }

std::string UdpServer::url() const {
  const auto host = to_text(impl_->address.ip);
  const bool v6 = host.find(':') != std::string::npos;
  return "udp://" + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port());
}

UdpStats UdpServer::stats() const noexcept {
  return {impl_->received.load(), impl_->answered.load(), impl_->dropped.load()};
}

void UdpServer::stop() {
  impl_->wake->set();
  impl_->threads.clear();
}

}  // namespace attestry::net
