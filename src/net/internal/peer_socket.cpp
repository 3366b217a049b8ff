#include "net/internal/peer_socket.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <future>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

namespace attestry::net {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

/// RFC 8305 section 5, "Connection Attempt Delay".
constexpr std::chrono::milliseconds kBetweenAddresses{250};
/// Seconds of silence until an end is asked whether it is there, and between such questions; how many of them.
constexpr int kKeepIdle = 30;
constexpr int kKeepInterval = 10;
constexpr int kKeepProbes = 3;

std::string said(int error) { return std::generic_category().message(error); }

struct Target {
  std::string host, port;
};

std::optional<Target> split(const std::string& address) {
  const auto colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == address.size()) return std::nullopt;
  Target out{address.substr(0, colon), address.substr(colon + 1)};
  std::uint16_t port = 0;
  const char* end = out.port.data() + out.port.size();
  const auto [rest, error] = std::from_chars(out.port.data(), end, port);
  if (error != std::errc{} || rest != end) return std::nullopt;
  if (out.host.front() == '[') {
    if (out.host.size() < 3 || out.host.back() != ']') return std::nullopt;
    out.host = out.host.substr(1, out.host.size() - 2);
  } else if (out.host.find(':') != std::string::npos) {
    return std::nullopt;
  }
  return out;
}

/// Until one of them is ready; the last one ends every wait.
Status poll_until(std::span<pollfd> polled, base::Deadline deadline) {
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0) return Error{Code::deadline_exceeded, "waiting for the other end"};
    const int ready = ::poll(polled.data(), polled.size(), static_cast<int>(std::min<std::int64_t>(left, 60'000)));
    if (ready < 0 && errno != EINTR) return Error{Code::io, "poll", {}, said(errno)};
    if (ready <= 0) continue;
    if (polled.back().revents != 0) return Error{Code::unavailable, "this end is shutting down"};
    return base::done();
  }
}

struct Looked {
  int error = 0;
  std::vector<Place> places;
};

Looked look_up(const Target& target, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  Looked out{.error = ::getaddrinfo(target.host.c_str(), target.port.c_str(), &hints, &found), .places = {}};
  if (out.error != 0) return out;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    Place place{.family = one->ai_family, .storage = {}, .size = one->ai_addrlen};
    std::memcpy(&place.storage, one->ai_addr, std::min<std::size_t>(one->ai_addrlen, sizeof place.storage));
    out.places.push_back(place);
  }
  ::freeaddrinfo(found);
  return out;
}

/// The resolver knows no deadline: it is left alone with its thread when it takes longer.
Result<std::vector<Place>> resolve(const Target& target, const WakeUp* wake, base::Deadline deadline) {
  auto numeric = look_up(target, AI_NUMERICHOST);
  if (numeric.error == 0) return std::move(numeric.places);
  TRY(auto done, WakeUp::make());
  auto promise = std::make_shared<std::promise<Looked>>();
  auto future = promise->get_future();
  std::thread([promise, done, target] {
    promise->set_value(look_up(target, 0));
    done->set();
  }).detach();
  TRY_OK(wait_for(done->fd(), POLLIN, wake, deadline), "looking up " + target.host);
  auto looked = future.get();
  if (looked.error == 0) return std::move(looked.places);
  return Error{Code::unavailable, "no address of " + target.host, {}, ::gai_strerror(looked.error)};
}

/// Connected, or on its way; its descriptor says when.
Result<Fd> begin_to_connect(const Place& place) {
  Fd fd{::socket(place.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (fd.get() < 0) return Error{Code::unavailable, "no socket", {}, said(errno)};
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&place.storage), place.size) == 0 || errno == EINPROGRESS)
    return fd;
  return Error{Code::unavailable, "cannot connect", {}, said(errno)};
}

Result<Fd> connected(Fd fd) {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return Error{Code::unavailable, "cannot connect", {}, said(error)};
  prepare(fd);
  return fd;
}

/// Which of them is ready first.
Result<std::size_t> wait_for_first(std::span<const Fd> fds, short events, const WakeUp* wake, base::Deadline deadline) {
  std::vector<pollfd> polled;
  for (const Fd& fd : fds) polled.push_back({.fd = fd.get(), .events = events, .revents = 0});
  polled.push_back({.fd = wake != nullptr ? wake->fd() : -1, .events = POLLIN, .revents = 0});
  TRY_OK(poll_until(polled, deadline));
  const auto ready = std::ranges::find_if(polled, [](const pollfd& one) { return one.revents != 0; });
  return static_cast<std::size_t>(ready - polled.begin());
}

}  // namespace

bool is_peer_address(const std::string& text) {
  const auto target = split(text);
  return target && target->port.find_first_not_of('0') != std::string::npos;
}

std::string text_of(const sockaddr_storage& storage) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* ip = storage.ss_family == AF_INET6
                       ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr)
                       : static_cast<const void*>(&reinterpret_cast<const sockaddr_in&>(storage).sin_addr);
  return ::inet_ntop(storage.ss_family, ip, text.data(), text.size()) != nullptr ? text.data() : "";
}

Result<std::vector<std::string>> addresses_of(const std::string& peer, base::Deadline deadline) {
  const auto target = split(peer);
  if (!target) return Error{Code::usage, "no address of a peer", "HOST:PORT or [::1]:PORT", peer};
  TRY(const auto places, resolve(*target, nullptr, deadline));
  std::vector<std::string> out;
  for (const Place& place : places) out.push_back(text_of(place.storage));
  return out;
}

Fd& Fd::operator=(Fd&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::shared_ptr<WakeUp>> WakeUp::make() {
  Fd fd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (fd.get() < 0) return Error{Code::io, "no event descriptor", {}, said(errno)};
  return std::shared_ptr<WakeUp>{new WakeUp(std::move(fd))};
}

void WakeUp::set() noexcept { ::eventfd_write(fd_.get(), 1); }

Status wait_for(int fd, short events, const WakeUp* wake, base::Deadline deadline) {
  pollfd both[] = {{.fd = fd, .events = events, .revents = 0},
                   {.fd = wake != nullptr ? wake->fd() : -1, .events = POLLIN, .revents = 0}};
  return poll_until(both, deadline);
}

Status PeerSocket::Impl::wait(short events, base::Deadline deadline) const {
  return wait_for(fd->get(), events, wake.get(), deadline);
}

void prepare(const Fd& fd) noexcept {
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_KEEPIDLE, &kKeepIdle, sizeof kKeepIdle);
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_KEEPINTVL, &kKeepInterval, sizeof kKeepInterval);
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_KEEPCNT, &kKeepProbes, sizeof kKeepProbes);
}

Result<Fd> listen_on(const std::string& address, int backlog) {
  const auto target = split(address);
  auto looked = target ? look_up(*target, AI_NUMERICHOST | AI_PASSIVE) : Looked{.error = EAI_NONAME, .places = {}};
  if (looked.error != 0 || looked.places.empty()) {
    return Error{Code::configuration, "listener " + address + " is no numeric address", "127.0.0.1:9443 or [::1]:0"};
  }
  const Place& place = looked.places.front();
  Fd fd{::socket(place.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  const int on = 1;
  if (fd.get() >= 0) {
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (place.family == AF_INET6) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&place.storage), place.size) == 0 &&
        ::listen(fd.get(), backlog) == 0) {
      return fd;
    }
  }
  return Error{Code::io, "listener " + address, {}, said(errno)};
}

/// RFC 8305 section 5: an address that has failed, or has said nothing for a moment, does not hold up the next one. The
/// first connection counts.
Result<Fd> connect_first(std::span<const Place> places, const WakeUp* wake, base::Deadline deadline) {
  Error last{Code::unavailable, "no address"};
  std::vector<Fd> begun;
  while (!places.empty() || !begun.empty()) {
    if (!places.empty()) {
      auto fd = begin_to_connect(places.front());
      places = places.subspan(1);
      if (!fd) {
        last = std::move(fd).error();
        continue;
      }
      begun.push_back(*std::move(fd));
    }
    const auto next = std::chrono::steady_clock::now() + kBetweenAddresses;
    const auto until = places.empty() ? deadline : std::min(deadline, next);
    const auto ready = wait_for_first(begun, POLLOUT, wake, until);
    if (!ready) {
      if (ready.error().code == Code::deadline_exceeded && until < deadline) continue;
      return ready.error();
    }
    auto fd = connected(std::move(begun[*ready]));
    if (fd) return fd;
    begun.erase(begun.begin() + static_cast<std::ptrdiff_t>(*ready));
    last = std::move(fd).error();
  }
  return last;
}

Result<Fd> connect_to(const std::string& address, const WakeUp* wake, base::Deadline deadline) {
  const auto target = split(address);
  if (!target) return Error{Code::usage, "no address of a peer", "HOST:PORT or [::1]:PORT", address};
  TRY(const auto places, resolve(*target, wake, deadline));
  auto fd = connect_first(places, wake, deadline);
  if (!fd) fd.error().at(address);
  return fd;
}

}  // namespace attestry::net
