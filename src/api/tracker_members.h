// A tracker's routes for members and their receipts: registration, reports, totals, configuration, and helpers for
// tests (docs/reference/tracker-wire.md). The rules are those of the room tracker.
#pragma once
#include "api/tracker_announce.h"

namespace attestry::api {

/// /register, /report, /stats, /user/{id}, /health, /config, /keygen, /attest and /verify-receipt on the role tracker.
base::Status register_tracker_members(net::Router& router, const TrackerDeps& deps);

}  // namespace attestry::api
