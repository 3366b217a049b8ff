// IP addresses as 16 bytes, and sets of networks of them: who is trusted or exempt by where it is.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace attestry::net {

/// An IPv6 address in network order; an IPv4 address as an IPv4-mapped one (RFC 4291, 2.5.5.2), so that a client is the
/// same one on both kinds of sockets.
using Ip = std::array<std::uint8_t, 16>;

/// Numeric, without port or brackets: "192.0.2.1", "2001:db8::1". None for anything else.
std::optional<Ip> parse_ip(std::string_view text);
bool is_v4(const Ip& ip) noexcept;
/// "192.0.2.1" or "2001:db8::1".
std::string to_text(const Ip& ip);

struct SocketAddress {
  Ip ip{};
  std::uint16_t port = 0;
};
/// "127.0.0.1:40022" or "[::1]:40022", as net::Peer has it. None for anything else, such as "unix".
std::optional<SocketAddress> parse_socket_address(std::string_view text);

/// Immutable, thread-safe.
class Networks {
 public:
  /// None at all.
  Networks() = default;
  /// "127.0.0.0/8", "::1", "2001:db8::/32"; `configuration` for what is no network.
  static base::Result<Networks> parse(const std::vector<std::string>& texts);
  bool contain(const Ip& ip) const noexcept;
  bool empty() const noexcept { return networks_.empty(); }

 private:
  struct Network {
    Ip prefix;
    unsigned bits;
  };
  std::vector<Network> networks_;
};

}  // namespace attestry::net
