#include "net/address.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "net/internal/sockaddr.h"
#include "net/networks.h"

namespace attestry::net {
bool is_socket_address(const std::string& text) { return parse_socket_address(text).has_value(); }

std::optional<int> why_not_bindable(const std::string& address) {
  const auto where = parse_socket_address(address);
  if (!where || where->port == 0) return std::nullopt;
  socklen_t size = 0;
  const auto storage = native(*where, address.starts_with('['), size);
  const int fd = ::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::nullopt;
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (storage.ss_family == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  const bool bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&storage), size) == 0;
  const int why = bound ? 0 : errno;
  ::close(fd);
  return bound ? std::nullopt : std::optional<int>{why};
}

namespace {

struct Block {
  std::uint32_t network;
  unsigned bits;
};
/// RFC 6890 and its successors: what a service never has to reach on behalf of a stranger.
constexpr Block kNotPublic[] = {
    {0x00000000, 8},   // this network
    {0x0a000000, 8},   // private
    {0x64400000, 10},  // shared by carriers
    {0x7f000000, 8},   // loopback
    {0xa9fe0000, 16},  // link-local, and where clouds keep their metadata
    {0xac100000, 12},  // private
    {0xc0000000, 24},  // protocol assignments
    {0xc0000200, 24},  // documentation
    {0xc0a80000, 16},  // private
    {0xc6120000, 15},  // benchmarks
    {0xc6336400, 24},  // documentation
    {0xcb007100, 24},  // documentation
    {0xe0000000, 3},   // multicast, reserved, broadcast
};

bool is_public_v4(base::ByteView address) noexcept {
  std::uint32_t value = 0;
  for (const std::uint8_t byte : address) value = value << 8 | byte;
  for (const Block& block : kNotPublic) {
    if ((value ^ block.network) >> (32 - block.bits) == 0) return false;
  }
  return true;
}

bool begins(base::ByteView address, std::initializer_list<std::uint8_t> with) noexcept {
  return base::equal(address.first(with.size()), base::ByteView{with.begin(), with.size()});
}

}  // namespace

bool is_public_ip(base::ByteView address) noexcept {
  if (address.size() == 4) return is_public_v4(address);
  if (address.size() != 16) return false;
  // Forms of IPv4 addresses: mapped, and translated (RFC 6052).
  if (begins(address, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}) ||
      begins(address, {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0})) {
    return is_public_v4(address.subspan(12));
  }
  if (begins(address, {0x20, 0x02})) return is_public_v4(address.subspan(2, 4));  // 6to4
  if (begins(address, {0x20, 0x01, 0x0d, 0xb8}) || begins(address, {0x20, 0x01, 0, 0})) return false;
  return (address[0] & 0xe0) == 0x20;  // 2000::/3 is all that is given out
}

}  // namespace attestry::net
