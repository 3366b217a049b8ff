// How the tracker's JSON routes read requests, and whose requests wait. Private to api.
#pragma once
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "api/tracker_announce.h"
#include "base/json.h"
#include "net/rate_limit.h"

namespace attestry::api {

/// The first of the names that is there and says something.
std::optional<base::JsonValue> tracker_member(const base::JsonValue& body,
                                              std::initializer_list<std::string_view> names);
/// Empty when it is not there.
base::Result<std::string> tracker_text(const base::JsonValue& body, std::string_view name);
/// `otherwise` when it is missing or null; at least 0.
base::Result<std::int64_t> tracker_integer(const base::JsonValue& body, std::string_view name, std::int64_t otherwise,
                                           std::int64_t max);
/// The most that a number of bytes may be: what every reader of JSON takes exactly.
inline constexpr std::int64_t kTrackerMostBytes = (1LL << 53) - 1;

net::Route tracker_route(net::Method method, std::string_view path, std::string_view id, std::string summary);

/// Whom a request shares the lanes' places with: an IPv4 address is one's own; of IPv6 a /56 is, which one line has.
std::string tracker_neighbours(const base::Result<net::Ip>& client);
/// The same for a RateLimiter. Those whose address is not known are one.
net::ClientNetwork tracker_line(const base::Result<net::Ip>& client);

/// A request that waits on a lane. What ends it without an answer (too many wait, or the tracker stops) says 503.
struct TrackerWaiting {
  TrackerWaiting(net::Request asked, net::Responder answers)
      : request(std::move(asked)), responder(std::move(answers)) {}
  TrackerWaiting(const TrackerWaiting&) = delete;
  TrackerWaiting& operator=(const TrackerWaiting&) = delete;
  ~TrackerWaiting();

  net::Request request;
  net::Responder responder;
};

/// A body of JSON, or none where that says nothing; what it asks for is done on `lane`, which outlives it as `deps`
/// does. What comes from one address waits for others' no longer than its share.
using TrackerWork = std::function<void(const base::JsonValue& body, net::Responder responder)>;
net::Handler tracker_on_lane(const TrackerDeps& deps, FairLane& lane, TrackerWork work);
/// The same for work that goes on elsewhere in the name of tracker_neighbours().
using TrackerWorkOf =
    std::function<void(const base::JsonValue& body, net::Responder responder, const std::string& whose)>;
net::Handler tracker_on_lane_of(const TrackerDeps& deps, FairLane& lane, TrackerWorkOf work);

}  // namespace attestry::api
