#include "net/server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <charconv>

#include "base/log.h"
#include "net/internal/connection.h"
#include "net/internal/core.h"
#include "net/internal/tls_impl.h"
// Asio first, with its settings.
#include <boost/asio/ip/v6_only.hpp>

namespace attestry::net {
namespace {

using Tcp = asio::ip::tcp;
using Unix = asio::local::stream_protocol;

constexpr std::size_t kMaxRefusing = 64;
constexpr std::chrono::milliseconds kAcceptPause{20};
/// Connections that listeners for anybody leave to those of operators and metrics, but never more than a quarter.
constexpr std::size_t kReserved = 64;

bool for_anybody(const RoleSet& roles) {
  return roles.has(Role::public_) || roles.has(Role::attested) || roles.has(Role::registry) ||
         roles.has(Role::keymanager) || roles.has(Role::keystore) || roles.has(Role::vault) || roles.has(Role::tracker);
}

base::Error address_error(const std::string& address, const std::string& why) {
  return {base::Code::configuration, "listener " + address + ": " + why, "127.0.0.1:8443, [::1]:0 or unix:/path"};
}

base::Result<Tcp::endpoint> parse_tcp(const std::string& address) {
  const auto colon = address.rfind(':');
  if (colon == std::string::npos) return address_error(address, "names no port");
  auto host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  std::uint16_t port = 0;
  const auto* end = address.data() + address.size();
  const auto parsed = std::from_chars(address.data() + colon + 1, end, port);
  if (parsed.ec != std::errc{} || parsed.ptr != end) return address_error(address, "has no valid port");
  boost::system::error_code ec;
  const auto ip = asio::ip::make_address(host, ec);
  if (ec) return address_error(address, "has no numeric IP address");
  return Tcp::endpoint{ip, port};
}

std::string text_of(const Tcp::endpoint& endpoint) {
  const auto ip = endpoint.address().to_string();
  return (endpoint.address().is_v6() ? "[" + ip + "]" : ip) + ":" + std::to_string(endpoint.port());
}

Peer peer_of(const Tcp::socket& socket) {
  boost::system::error_code ec;
  const auto remote = socket.remote_endpoint(ec);
  return {ec ? "unknown" : text_of(remote), false, std::nullopt};
}

Peer peer_of(const Unix::socket& socket) {
  // The socket's native_handle() is not const.
  auto& mutable_socket = const_cast<Unix::socket&>(socket);
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  Peer peer{"unix", false, std::nullopt, nullptr};
  if (getsockopt(mutable_socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) {
    peer.uid = credentials.uid;
    peer.gid = credentials.gid;
  }
  return peer;
}

/// A socket file that nobody answers on was left by a process that died.
base::Status clear_stale(const std::string& path) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return base::done();
  if (!S_ISSOCK(info.st_mode)) return address_error("unix:" + path, "the path exists and is no socket");
  asio::io_context context;
  Unix::socket probe{context};
  boost::system::error_code ec;
  probe.connect(Unix::endpoint{path}, ec);
  if (!ec) return address_error("unix:" + path, "another process answers there");
  ::unlink(path.c_str());
  return base::done();
}

class Acceptor {
 public:
  virtual ~Acceptor() = default;
  virtual void begin() = 0;
  virtual void close() = 0;
};

}  // namespace

struct Server::Impl {
  explicit Impl(std::shared_ptr<Core> shared) : core(std::move(shared)) {}

  template <class Protocol>
  struct Loop;
  struct Bound {
    ~Bound() { remove_file(); }
    void remove_file() {
      if (!socket_file.empty()) ::unlink(socket_file.c_str());
      socket_file.clear();
    }
    Listener listener;
    std::string url;
    std::uint16_t port = 0;
    std::string socket_file;
    std::unique_ptr<Acceptor> acceptor;
  };

  base::Status bind(const Listener& listener);
  template <class Protocol>
  base::Status open(Bound& bound, const typename Protocol::endpoint& endpoint);
  template <class Socket>
  std::optional<ClientNetwork> client_of(const Listener& listener, const Socket& socket) const;
  std::size_t most_connections(const Listener& listener) const;
  template <class Socket>
  void adopt(const Listener& listener, IoThread& io, Socket socket);
  IoThread& next_io() noexcept { return *core->io[next.fetch_add(1, std::memory_order_relaxed) % core->io.size()]; }
  bool stop(base::Deadline deadline);

  std::shared_ptr<Core> core;
  std::vector<std::unique_ptr<Bound>> bound;
  std::atomic<std::size_t> next{0};
  bool stopped = false;
  bool clean = true;
  std::mutex stop_mutex;
};

/// Accepts on the first socket thread and spreads connections over all of them.
template <class Protocol>
struct Server::Impl::Loop final : Acceptor {
  Loop(Impl& owner, const Listener& where)
      : impl(owner), listener(where), acceptor(owner.core->io[0]->context), pause(owner.core->io[0]->context) {}

  void begin() override {
    auto& io = impl.next_io();
    acceptor.async_accept(io.context,
                          [this, &io](const boost::system::error_code& ec, typename Protocol::socket socket) {
                            if (!acceptor.is_open() || ec == asio::error::operation_aborted) return;
                            if (!ec) {
                              impl.adopt(listener, io, std::move(socket));
                              begin();
                              return;
                            }
                            // Out of file descriptors: wait for some to come free instead of spinning.
                            pause.expires_after(kAcceptPause);
                            pause.async_wait([this](const boost::system::error_code& e) {
                              if (!e && acceptor.is_open()) begin();
                            });
                          });
  }

  void close() override {
    boost::system::error_code ec;
    acceptor.close(ec);
    pause.cancel();
  }

  Impl& impl;
  const Listener& listener;
  typename Protocol::acceptor acceptor;
  asio::steady_timer pause;
};

template <class Protocol>
base::Status Server::Impl::open(Bound& at, const typename Protocol::endpoint& endpoint) {
  auto loop = std::make_unique<Loop<Protocol>>(*this, at.listener);
  boost::system::error_code ec;
  loop->acceptor.open(endpoint.protocol(), ec);
  if constexpr (std::is_same_v<Protocol, Tcp>) {
    if (!ec) loop->acceptor.set_option(asio::socket_base::reuse_address{true}, ec);
    if (!ec && endpoint.address().is_v6()) loop->acceptor.set_option(asio::ip::v6_only{true}, ec);
  }
  if (!ec) {
    // The file must never be there with wider rights, not even for a moment.
    const auto old = ::umask(0177);
    loop->acceptor.bind(endpoint, ec);
    ::umask(old);
  }
  if (!ec) loop->acceptor.listen(asio::socket_base::max_listen_connections, ec);
  if (ec) return base::Error{base::Code::io, "listener " + at.listener.address + ": " + ec.message()};
  if constexpr (std::is_same_v<Protocol, Tcp>) {
    const auto local = loop->acceptor.local_endpoint(ec);
    at.port = local.port();
    at.url = (at.listener.tls ? "https://" : "http://") + text_of(local);
  }
  at.acceptor = std::move(loop);
  return base::done();
}

base::Status Server::Impl::bind(const Listener& listener) {
  if (listener.roles.empty()) return address_error(listener.address, "has no role");
  auto entry = std::make_unique<Bound>();
  entry->listener = listener;
  constexpr std::string_view kUnix = "unix:";
  if (listener.address.starts_with(kUnix)) {
    if (listener.tls) return address_error(listener.address, "TLS is for TCP only");
    const auto path = listener.address.substr(kUnix.size());
    // sun_path holds 108 bytes with the NUL.
    if (path.empty() || path.size() > 107) return address_error(listener.address, "the path is empty or too long");
    TRY_OK(clear_stale(path));
    TRY_OK(open<Unix>(*entry, Unix::endpoint{path}));
    entry->socket_file = path;
    entry->url = listener.address;
  } else {
    TRY(const auto endpoint, parse_tcp(listener.address));
    TRY_OK(open<Tcp>(*entry, endpoint));
  }
  bound.push_back(std::move(entry));
  return base::done();
}

/// Whose rate the connection and its requests are counted in; none: without limit.
template <class Socket>
std::optional<ClientNetwork> Server::Impl::client_of(const Listener& listener, const Socket& socket) const {
  if constexpr (std::is_same_v<Socket, Tcp::socket>) {
    boost::system::error_code ec;
    const auto remote = socket.remote_endpoint(ec);
    if (for_anybody(listener.roles) && !ec) return core->rate.network_of(remote.address().to_string());
  }
  return std::nullopt;
}

/// A flood on a listener for anybody must not keep operators out.
std::size_t Server::Impl::most_connections(const Listener& listener) const {
  const auto most = core->limits.max_connections;
  return for_anybody(listener.roles) ? most - std::min(kReserved, most / 4) : most;
}

template <class Socket>
void Server::Impl::adopt(const Listener& listener, IoThread& io, Socket socket) {
  core->accepted.fetch_add(1, std::memory_order_relaxed);
  const auto client = client_of(listener, socket);
  const auto wait = client ? core->rate.take(*client, core->now()) : std::nullopt;
  const bool refuse = wait || core->connections.load() >= most_connections(listener);
  if (refuse) {
    (wait ? core->rate_limited : core->refused_connections).fetch_add(1, std::memory_order_relaxed);
    // A TLS handshake only to say no would be the work that there is too much of.
    if (listener.tls || core->refusing.load() >= kMaxRefusing) return;
  }
  auto peer = peer_of(socket);
  peer.tls = listener.tls != nullptr;
  boost::system::error_code ec;
  if constexpr (std::is_same_v<Socket, Tcp::socket>) socket.set_option(Tcp::no_delay{true}, ec);
  Connection::Place place{
      listener.roles, listener.tls ? listener.tls->impl().current() : nullptr, refuse, client, wait, listener.headers};
  const auto protocol = socket.local_endpoint(ec).protocol();
  const auto handle = socket.release(ec);
  if (ec) return;
  StreamSocket stream{io.context};
  stream.assign(asio::generic::stream_protocol{protocol}, handle, ec);
  if (ec) {
    ::close(handle);
    return;
  }
  (refuse ? core->refusing : core->connections).fetch_add(1);
  auto connection = std::make_shared<Connection>(core, io, std::move(stream), std::move(place), std::move(peer));
  asio::post(io.context, [connection = std::move(connection)] { connection->start(); });
}

bool Server::Impl::stop(base::Deadline deadline) {
  const std::scoped_lock lock{stop_mutex};
  if (stopped) return clean;
  stopped = true;
  core->draining = true;
  asio::post(core->io[0]->context, [this] {
    for (const auto& entry : bound) entry->acceptor->close();
  });
  for (const auto& entry : bound) entry->remove_file();
  for (const auto& io : core->io) {
    asio::post(io->context, [&thread = *io] {
      for (const auto& connection : thread.all()) connection->close_if_idle();
    });
  }
  clean = core->wait_until_quiet(deadline);
  for (const auto& io : core->io) {
    asio::post(io->context, [&thread = *io] {
      for (const auto& connection : thread.all()) connection->abort();
    });
  }
  core->workers.stop();
  for (const auto& io : core->io) io->stop();
  return clean;
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { stop(base::Deadline::min()); }

base::Result<std::unique_ptr<Server>> Server::start(ServerOptions options, std::shared_ptr<const Router> router) {
  TRY_OK(router->check());
  if (options.listeners.empty()) return base::Error{base::Code::configuration, "the server has no listener"};
  const auto workers = options.workers != 0 ? options.workers : std::max(2u, std::thread::hardware_concurrency());
  TRY(auto limiter, RateLimiter::make(options.limits.rate), "exempt from the rate limit");
  auto impl = std::make_unique<Impl>(std::make_shared<Core>(std::move(options), std::move(router), std::move(limiter)));
  for (const auto& listener : impl->core->options.listeners) TRY_OK(impl->bind(listener));
  for (const auto& entry : impl->bound) entry->acceptor->begin();
  impl->core->workers.start(workers);
  for (const auto& io : impl->core->io) io->start_thread();
  return std::unique_ptr<Server>{new Server{std::move(impl)}};
}

std::uint16_t Server::port(std::size_t listener) const noexcept {
  return listener < impl_->bound.size() ? impl_->bound[listener]->port : std::uint16_t{0};
}

std::string Server::url(std::size_t listener) const {
  return listener < impl_->bound.size() ? impl_->bound[listener]->url : std::string{};
}

ServerStats Server::stats() const {
  const auto& c = *impl_->core;
  return {c.accepted.load(),
          c.refused_connections.load(),
          c.requests.load(),
          c.refused_requests.load(),
          c.rate_limited.load(),
          c.cut_off.load(),
          c.connections.load() + c.refusing.load(),
          c.in_flight.load()};
}

bool Server::stop(base::Deadline deadline) { return impl_->stop(deadline); }

}  // namespace attestry::net
