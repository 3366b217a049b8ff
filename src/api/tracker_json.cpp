#include "api/tracker_json.h"

#include <algorithm>

#include "base/log.h"
#include "base/reason.h"

namespace attestry::api {

using base::JsonOut;
using base::JsonOutObject;

net::Response tracker_json(int status, JsonOutObject body) {
  std::ranges::sort(body, {}, &JsonOutObject::value_type::first);
  auto out = net::json_response(status, JsonOut{std::move(body)}.compact() + "\n");
  out.headers.set("Cache-Control", "no-store");
  return out;
}

net::Response tracker_refused(int status, std::string_view why) {
  return tracker_json(status, {{"success", false}, {"error", why}});
}

net::Response tracker_refused(const base::Error& error) {
  const int status = base::http_status(error.code);
  if (status >= 500) base::log(base::LogLevel::error, "a tracker's request failed", {{"reason", error.text()}});
  JsonOutObject body{{"success", false}, {"error", error.what}};
  if (status < 500 && base::reason(error) != error.what) body.emplace_back("detail", base::reason(error));
  if (!error.remedy.empty()) body.emplace_back("remedy", error.remedy);
  return tracker_json(status, std::move(body));
}

}  // namespace attestry::api
