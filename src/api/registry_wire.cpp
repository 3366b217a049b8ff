#include "api/registry_wire.h"

namespace attestry::api {

std::string said(const base::Error& error) {
  std::string out = error.what;
  if (!error.expected.empty()) out += "; expected " + error.expected;
  if (!error.found.empty()) out += "; found " + error.found;
  return out;
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
