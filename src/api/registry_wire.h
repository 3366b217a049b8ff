// How the registry's dialect answers: lines of text for errors, JSON with a newline for the rest
// (docs/formats/registry.md). Private to api.
#pragma once
#include <string>
#include <string_view>

#include "base/json_writer.h"
#include "base/result.h"
#include "net/http.h"

namespace attestry::api {

/// What is wrong, without the code and the remedy, for which the wire has no place.
std::string said(const base::Error& error);
net::Response registry_error(int status, std::string_view text);
/// Never stored by caches.
net::Response registry_json(std::string json);

}  // namespace attestry::api
