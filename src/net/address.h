// Addresses to listen on, before there is a server: what a configuration can be told about them.
#pragma once
#include <optional>
#include <string>
#include "base/bytes.h"

namespace attestry::net {

/// A numeric IPv4 or IPv6 address and a port: "127.0.0.1:8443", "[::1]:0". Names are not resolved.
bool is_socket_address(const std::string& text);

/// The errno with which binding to this address fails now, EADDRINUSE above all; nullopt when it would succeed, and for
/// port 0 or what is no socket address.
std::optional<int> why_not_bindable(const std::string& address);

/// Whether an IP address, 4 or 16 bytes in network order, is one of the internet at large: no loopback, private,
/// shared, link-local, multicast or reserved one (RFC 6890), and no IPv6 form of such an IPv4 address.
bool is_public_ip(base::ByteView address) noexcept;

}  // namespace attestry::net
