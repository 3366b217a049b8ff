#include "net/internal/sockaddr.h"

#include <netinet/in.h>

#include <cstring>

namespace attestry::net {

sockaddr_storage native(const SocketAddress& address, bool v6, socklen_t& size) {
  sockaddr_storage out{};
  if (v6) {
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(address.port);
    std::memcpy(&six.sin6_addr, address.ip.data(), sizeof six.sin6_addr);
    std::memcpy(&out, &six, size = sizeof six);
    return out;
  }
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(address.port);
  std::memcpy(&four.sin_addr, address.ip.data() + 12, sizeof four.sin_addr);
  std::memcpy(&out, &four, size = sizeof four);
  return out;
}

SocketAddress ours(const sockaddr_storage& storage) {
  SocketAddress out;
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 six{};
    std::memcpy(&six, &storage, sizeof six);
    std::memcpy(out.ip.data(), &six.sin6_addr, sizeof six.sin6_addr);
    out.port = ntohs(six.sin6_port);
    return out;
  }
  sockaddr_in four{};
  std::memcpy(&four, &storage, sizeof four);
  out.ip[10] = out.ip[11] = 0xff;
  std::memcpy(out.ip.data() + 12, &four.sin_addr, sizeof four.sin_addr);
  out.port = ntohs(four.sin_port);
  return out;
}

}  // namespace attestry::net
