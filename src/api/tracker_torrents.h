// A tracker's routes for torrents that it knows (docs/reference/tracker-wire.md).
#pragma once
#include "api/tracker_announce.h"

namespace attestry::api {

/// POST /torrents, GET and DELETE /torrents/{infohash} on the role tracker.
base::Status register_tracker_torrents(net::Router& router, const TrackerDeps& deps);

}  // namespace attestry::api
