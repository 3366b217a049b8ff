// How the registry's dialect answers: lines of text for errors, JSON with a newline for the rest
// (docs/formats/registry.md). Private to api.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/json_writer.h"
#include "base/reason.h"
#include "net/http.h"

namespace attestry::api {

net::Response registry_error(int status, std::string_view text);
/// An error as anybody may read it. Of a trouble of this server's own, who or where it was (an endpoint, an address, a
/// setting) stays out of the answer and goes into the log.
std::string outward(const base::Error& error);
/// Never stored by caches.
net::Response registry_json(std::string json);
/// Whether a Host header names this listener: one of `hosts`, or a loopback name with the listener's own port (0: not
/// known, any is taken).
bool is_own_host(std::string_view host, const std::vector<std::string>& hosts, unsigned own_port);

}  // namespace attestry::api
