#include "app/loopback.h"

#include <charconv>
#include <cstdint>

namespace attestry::app {
namespace {

/// Decimal, without signs, leading zeros or anything behind it.
bool is_number(std::string_view text, std::uint32_t max) noexcept {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return false;
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && value <= max;
}

/// Four parts, the first 127: what begins so may be a name of somebody's (127.evil.example).
bool is_ipv4_loopback(std::string_view host) noexcept {
  if (!host.starts_with("127.")) return false;
  for (int part = 0; part < 3; ++part) {
    const auto dot = host.find('.');
    if (dot == std::string_view::npos || !is_number(host.substr(0, dot), 255)) return false;
    host.remove_prefix(dot + 1);
  }
  return is_number(host, 255);
}

}  // namespace

bool is_loopback(std::string_view address) noexcept {
  if (address.starts_with("unix:")) return true;
  const auto colon = address.rfind(':');
  if (colon == std::string_view::npos || !is_number(address.substr(colon + 1), 65535)) return false;
  const auto host = address.substr(0, colon);
  return host == "localhost" || host == "[::1]" || is_ipv4_loopback(host);
}

}  // namespace attestry::app
