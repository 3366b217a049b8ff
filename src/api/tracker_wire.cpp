#include "api/tracker_wire.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "api/tracker_json.h"
#include "base/encoding.h"
#include "base/reason.h"

namespace attestry::api {

using base::JsonValue;
using base::Result;

namespace {

constexpr std::ptrdiff_t kNetworkBytes = 7;  ///< of IPv6: a /56

}  // namespace

std::optional<JsonValue> tracker_member(const JsonValue& body, std::initializer_list<std::string_view> names) {
  for (const auto name : names) {
    const auto found = body.find(name);
    if (found && !found->is_null()) return found;
  }
  return std::nullopt;
}
Result<std::string> tracker_text(const JsonValue& body, std::string_view name) {
  const auto found = tracker_member(body, {name});
  if (!found) return std::string{};
  return found->string(name);
}

Result<std::int64_t> tracker_integer(const JsonValue& body, std::string_view name, std::int64_t otherwise,
                                     std::int64_t max) {
  const auto found = tracker_member(body, {name});
  if (!found) return otherwise;
  return found->integer(name, 0, max);
}

net::Route tracker_route(net::Method method, std::string_view path, std::string_view id, std::string summary) {
  return {.method = method,
          .path = std::string{path},
          .role = net::Role::tracker,
          .auth = net::Auth::none,
          .operation_id = "tracker_" + std::string{id},
          .summary = std::move(summary),
          .tag = "tracker",
          .any_query = true,
          .consumes = {}};
}

std::string tracker_neighbours(const Result<net::Ip>& client) {
  if (!client) return {};
  return net::is_v4(*client) ? net::to_text(*client) : base::hex(base::ByteView{*client}.first(kNetworkBytes));
}

net::ClientNetwork tracker_line(const Result<net::Ip>& client) {
  net::ClientNetwork out = client.value_or(net::Ip{});
  if (!net::is_v4(out)) std::ranges::fill(out.begin() + kNetworkBytes, out.end(), std::uint8_t{0});
  return out;
}

TrackerWaiting::~TrackerWaiting() {
  if (!responder.open()) return;
  auto busy = tracker_refused(503, "too many requests wait here; try again");
  busy.headers.set("Retry-After", "1");
  responder.send(std::move(busy));
}

net::Handler tracker_on_lane(const TrackerDeps& deps, FairLane& lane, TrackerWork work) {
  return tracker_on_lane_of(
      deps, lane, [work = std::move(work)](const JsonValue& body, net::Responder responder, const std::string&) {
        work(body, std::move(responder));
      });
}

net::Handler tracker_on_lane_of(const TrackerDeps& deps, FairLane& lane, TrackerWorkOf work) {
  return [&deps, &lane, work = std::move(work)](net::Request request, net::Responder responder) {
    const std::string whose = tracker_neighbours(tracker_client(request, deps));
    auto asked = std::make_shared<TrackerWaiting>(std::move(request), std::move(responder));
    FairLane::Task task = [work, asked, whose] {
      if (asked->request.body.empty()) asked->request.body = "{}";
      const auto body =
          net::json_body(asked->request, {.max_bytes = std::numeric_limits<std::uint32_t>::max(), .wipe = true});
      if (!body) return asked->responder.send(tracker_refused(400, base::reason(body.error())));
      if (!(*body)->root().is_object()) return asked->responder.send(tracker_refused(400, "expected a JSON object"));
      work((*body)->root(), std::move(asked->responder), whose);
    };
    lane.run(whose, task);
  };
}

}  // namespace attestry::api
