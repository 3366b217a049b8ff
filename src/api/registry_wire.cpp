#include "api/registry_wire.h"

#include <algorithm>

#include "base/log.h"

namespace attestry::api {

namespace {

/// A loopback name is this machine's whoever says it, so it is the port that tells one server from another behind an
/// ssh tunnel or on one machine.
bool is_loopback_name(std::string_view host, unsigned own_port) {
  std::string_view port;
  const auto colon = host.rfind(':');
  if (colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos) {
    port = host.substr(colon + 1);
    host = host.substr(0, colon);
  }
  if (own_port != 0 && port != std::to_string(own_port) && !(port.empty() && (own_port == 80 || own_port == 443)))
    return false;
  return host == "localhost" || host == "127.0.0.1" || host == "[::1]";
}

}  // namespace

bool is_own_host(std::string_view host, const std::vector<std::string>& hosts, unsigned own_port) {
  return is_loopback_name(host, own_port) ||
         std::ranges::any_of(hosts, [&](const std::string& own) { return net::equal_ignoring_case(own, host); });
}

std::string outward(const base::Error& error) {
  const bool own = error.code == base::Code::configuration || base::http_status(error.code) >= 500;
  if (!own) return base::reason(error);
  base::log(base::LogLevel::warning, "registry.trouble", {{"reason", error.text()}});
  switch (error.code) {
    case base::Code::io:
    case base::Code::internal:
    case base::Code::corrupt:
    case base::Code::crypto:
      return "a trouble of this server's own, which is in its log";  // what was done to which file
    default:
      return error.what;
  }
}

net::Response registry_error(int status, std::string_view text) {
  auto response = net::text_response(status, std::string{text} + "\n");
  response.content_type = "text/plain; charset=utf-8";
  response.headers.set("X-Content-Type-Options", "nosniff");
  if (status == 503) response.headers.set("Retry-After", "1");
  return response;
}

net::Response registry_json(std::string json) {
  json += '\n';
  auto response = net::json_response(200, std::move(json));
  response.headers.set("Cache-Control", "no-store");
  return response;
}

}  // namespace attestry::api
