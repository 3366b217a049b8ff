// Which URLs can be called, and how they are shown.
#pragma once
#include <string>

#include "base/result.h"

namespace attestry::net {

/// Without query, user and password, which carry keys and tokens: for errors and logs.
std::string shown_url(const std::string& url);

/// Error `usage` unless it is an absolute http or https URL with a host and without user and password. The error names
/// it as `shown_as`, or without its query when that is empty.
base::Status check_http_url(const std::string& url, const std::string& shown_as = {});

}  // namespace attestry::net
