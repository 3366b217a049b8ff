// A tracker as the authority of other instances on spent receipts (docs/reference/tracker-wire.md).
#pragma once
#include <map>

#include "api/tracker_announce.h"
#include "tracker/spent.h"

namespace attestry::api {

/// SHA-256 of an instance's bearer token -> the instance that may claim with it.
using TrackerClaimers = std::map<base::Digest32, tracker::InstanceId>;

/// POST /v1/tracker/claims on the role tracker. `authority` outlives the server.
base::Status register_tracker_claims(net::Router& router, tracker::SpentAuthority& authority, TrackerClaimers claimers);

}  // namespace attestry::api
