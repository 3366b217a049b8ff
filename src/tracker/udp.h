// BitTorrent's UDP tracker protocol: connect, announce and scrape in datagrams. BEP 15, and BEP 41 for who announces.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "crypto/secret.h"
#include "net/networks.h"
#include "tracker/swarms.h"

namespace attestry::tracker {

/// What the tracker's rules say to one announcement.
struct Admission {
  std::string refusal;       ///< for the client's user; empty: it may go on
  std::uint32_t member = 0;  ///< whose client it is; 0: of nobody known
};

struct UdpTrackerParts {
  Swarms& swarms;
  /// `url`: path and query that the client was given with the tracker's address (BEP 41), "/announce?user_id=alice";
  /// empty where it says none. Called on several threads at once; must not block.
  std::function<Admission(const Announcement& announcement, std::string_view url)> admit;
  std::uint32_t interval = 1800;  ///< seconds until a client is to announce again
  bool scrapes = true;            ///< false: members only, and a scrape says nobody's name
};

/// Thread-safe. Keeps nothing of clients: a connection id is a MAC of the client's address and the time, good for two
/// to three minutes, so that nobody announces for an address that he does not have.
class UdpTracker {
 public:
  /// `key`: 32 random bytes; another one makes clients connect again. The parts outlive it.
  UdpTracker(UdpTrackerParts parts, crypto::Secret key);

  /// Whether it has a connection id that was sent to this address: what a forged sender has not. `now` as for Swarms.
  bool proves(base::ByteView datagram, const net::SocketAddress& from, std::uint32_t now) const;
  /// Appends the answer to `out`: nothing to what is no request, to which an answer would only help floods, and to who
  /// does not prove his address never more bytes than he sent. `now` as for Swarms.
  void answer(base::ByteView datagram, const net::SocketAddress& from, std::uint32_t now, base::Bytes& out) const;

 private:
  std::uint64_t connection_id(const net::Ip& ip, std::uint32_t slot) const;
  bool connected(std::uint64_t id, const net::Ip& ip, std::uint32_t now) const;
  base::Status announce(base::ByteView body, const net::SocketAddress& from, std::uint32_t now, base::Bytes& out) const;
  base::Status scrape(base::ByteView body, base::Bytes& out) const;

  const UdpTrackerParts parts_;
  const crypto::Secret key_;
};

}  // namespace attestry::tracker
