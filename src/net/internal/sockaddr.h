// Addresses as the kernel takes and gives them.
#pragma once
#include <sys/socket.h>

#include "net/networks.h"

namespace attestry::net {

/// For a socket of IPv6 or of IPv4; `size` becomes how much of it counts. An address of the other kind is not for it.
sockaddr_storage native(const SocketAddress& address, bool v6, socklen_t& size);
SocketAddress ours(const sockaddr_storage& storage);

}  // namespace attestry::net
