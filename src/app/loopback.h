// Which listener addresses only this machine can reach: there, and nowhere else, may a listener be without TLS.
#pragma once
#include <string_view>

namespace attestry::app {

/// `unix:PATH`, or HOST:PORT with an IPv4 address of 127.0.0.0/8, [::1] or localhost as its whole host.
bool is_loopback(std::string_view address) noexcept;

}  // namespace attestry::app
