// A UDP server for protocols in which each datagram has at most one answer: many datagrams for one system call each
// way.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "net/networks.h"
#include "net/rate_limit.h"

namespace attestry::net {

struct UdpOptions {
  std::string address;  ///< "127.0.0.1:6969", "[::]:6969", port 0: any free one; "[::]" takes IPv4, too
  unsigned threads = 1;
  std::size_t most_bytes = 2048;  ///< of a datagram; longer ones are dropped
  /// Beyond it datagrams of an address are dropped: an answer would be what floods want. Those that prove their address
  /// and all others are counted apart, so that forged senders do not use up what is a real one's.
  RateLimit rate{};
};

struct UdpStats {
  std::uint64_t received = 0;
  std::uint64_t answered = 0;
  std::uint64_t dropped = 0;  ///< too long, over the rate, or the socket's buffer was full
};

/// Runs from `start` until `stop` or destruction. Thread-safe.
class UdpServer {
 public:
  /// Fills `answer`, which comes empty; what stays empty is not sent. Called on several threads at once; must not
  /// block. An exception costs that datagram its answer.
  using Handler = std::function<void(base::ByteView datagram, const SocketAddress& from, base::Bytes& answer)>;

  /// Whether the datagram has something that only its real sender can have been given. Called for every datagram,
  /// those over the rate too: must be cheap. As for Handler otherwise, without exceptions.
  using Proves = std::function<bool(base::ByteView datagram, const SocketAddress& from)>;

  /// `proves` may be empty: no datagram does. `configuration` for an address that is none, or is taken.
  static base::Result<std::unique_ptr<UdpServer>> start(const UdpOptions& options, Handler handler, Proves proves = {});
  ~UdpServer();
  UdpServer(const UdpServer&) = delete;
  UdpServer& operator=(const UdpServer&) = delete;

  std::uint16_t port() const noexcept;
  /// "udp://127.0.0.1:6969".
  std::string url() const;
  UdpStats stats() const noexcept;
  /// Returns when no handler runs any more. May be called again.
  void stop();

 private:
  struct Impl;
  explicit UdpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace attestry::net
