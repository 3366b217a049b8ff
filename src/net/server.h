// The HTTP/1.1 server: sockets on Asio threads, handlers on a bounded pool of workers (ARCHITECTURE 3.2), every wait
// bounded, every overload answered at once.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "crypto/random.h"
#include "net/rate_limit.h"
#include "net/router.h"
#include "net/tls.h"

namespace attestry::net {

/// All sizes in bytes. A client that breaks one is answered (431, 413, 408, 503) and cut off.
struct ServerLimits {
  /// Beyond: 503 with Retry-After (plain) or closed (TLS) at once. Listeners with public or attested routes leave 64 of
  /// these, at most a quarter, to the others.
  std::size_t max_connections = 1024;
  std::size_t max_in_flight = 256;       ///< requests handed to handlers and not answered; beyond: 503 with Retry-After
  std::size_t header_bytes = 16 * 1024;  ///< request line and header fields
  std::size_t header_fields = 100;
  std::size_t body_bytes = 16u << 20;                  ///< no route may allow more
  std::size_t buffered_bytes = 256u << 20;             ///< bodies of all connections together; beyond: 503
  std::chrono::milliseconds header_deadline{10'000};   ///< TLS handshake; first byte of a request to end of its header
  std::chrono::milliseconds read_deadline{30'000};     ///< end of header to end of body
  std::chrono::milliseconds idle_deadline{60'000};     ///< between requests
  std::chrono::milliseconds write_deadline{30'000};    ///< one whole response
  std::chrono::milliseconds request_deadline{30'000};  ///< handler; then 503 in its place
  unsigned retry_after_seconds = 1;
  /// On listeners with public or attested routes, of connections and requests together. Beyond: 429 with Retry-After; a
  /// connection is closed with it (TLS: without it).
  RateLimit rate{};
};

struct Listener {
  std::string
      address;  ///< "127.0.0.1:8443", "[::1]:0" (port 0: any free one) or "unix:/run/attestry/agent.sock" (mode 0600)
  RoleSet roles;
  std::shared_ptr<TlsServerContext> tls{};   ///< null: plain
  std::shared_ptr<const Headers> headers{};  ///< in every answer, also in refusals that no handler makes; null: none
};

/// One finished request, for the access log and metrics. No secret is in it.
struct RequestRecord {
  std::string_view operation_id;  ///< "none" where no route matched: labels stay bounded
  Method method;
  int status;
  std::chrono::nanoseconds duration;  ///< first byte of the request to the answer's handing over
  std::size_t request_bytes;          ///< body
  std::size_t response_bytes;         ///< body
  std::string_view trace_id;
  std::string_view peer;
};

struct ServerOptions {
  std::vector<Listener> listeners;
  ServerLimits limits;
  unsigned io_threads = 1;
  unsigned workers = 0;  ///< 0: the machine's cores, at least 2
  const base::Clock* clock = &base::system_clock();
  crypto::Random* random = nullptr;  ///< for trace ids; null: crypto::system_random()
  /// Called from server threads, must be quick and must not throw.
  std::function<void(const RequestRecord&)> on_finished{};
};

struct ServerStats {
  std::uint64_t accepted = 0;             ///< connections, all time
  std::uint64_t refused_connections = 0;  ///< over max_connections
  std::uint64_t requests = 0;             ///< handed to a handler
  std::uint64_t refused_requests = 0;     ///< 503 by max_in_flight or buffered_bytes
  std::uint64_t rate_limited = 0;         ///< requests and connections over the client's rate
  std::uint64_t cut_off = 0;              ///< connections ended by a deadline
  std::size_t connections = 0;            ///< now
  std::size_t in_flight = 0;              ///< now
};

/// Runs from `start` until `stop` or destruction. Thread-safe.
class Server {
 public:
  /// Binds all listeners or none; errors name the address (configuration, io). A unix socket file left by a dead
  /// process is replaced, one that answers is not.
  static base::Result<std::unique_ptr<Server>> start(ServerOptions options, std::shared_ptr<const Router> router);
  /// stop() with no patience.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Port of a TCP listener, by its index in the options; 0 for unix sockets.
  std::uint16_t port(std::size_t listener = 0) const noexcept;
  /// "http://127.0.0.1:40123", "https://…" or "unix:/path".
  std::string url(std::size_t listener = 0) const;
  ServerStats stats() const;

  /// Drains: accepts nothing more, closes idle connections, lets requests that have begun finish until `deadline`, then
  /// closes what is left. True when everything finished by itself. Waits for running handlers in any case: their code
  /// cannot be interrupted, only their clients. Not from a handler.
  bool stop(base::Deadline deadline);

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace attestry::net
