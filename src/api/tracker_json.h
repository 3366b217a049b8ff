// Answers in JSON as a tracker's routes for members give them (docs/reference/tracker-wire.md). Private to api.
#pragma once
#include <string_view>

#include "base/json_writer.h"
#include "base/result.h"
#include "net/http.h"

namespace attestry::api {

/// Members in the order of their names, and a line's end, as the first tracker's framework wrote them.
net::Response tracker_json(int status, base::JsonOutObject body);
net::Response tracker_refused(int status, std::string_view why);
/// With the status of its code; what the server is to blame for is logged.
net::Response tracker_refused(const base::Error& error);

}  // namespace attestry::api
