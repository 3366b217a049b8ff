// A tracker's routes for its reputation on a chain (PBTS section 8; docs/reference/tracker-wire.md). The rules are
// those of the room tracker.
#pragma once
#include <functional>
#include <string>

#include "api/fair_lane.h"
#include "api/slow_lane.h"
#include "api/tracker_announce.h"
#include "base/time.h"
#include "net/router.h"
#include "state/store.h"
#include "tracker/publication.h"
#include "tracker/recollection.h"
#include "tracker/reputation_contract.h"

namespace attestry::api {

/// Everything outlives the server, and the lane is stopped while the rest still lives.
struct TrackerContractDeps {
  const tracker::ReputationChain& chain;
  tracker::Publisher& publisher;
  tracker::Recollection& recollection;  ///< follows the contract that is in force
  chain::ChainReader& reader;
  state::Store& store;
  SlowLane& lane;       ///< what administrators ask of the chain waits there, not on a worker
  FairLane& strangers;  ///< and here what anybody asks, by addresses; stopped as the other
  const base::Clock& clock;
  chain::Address account{};  ///< that signs
  chain::Address factory{};  ///< zeros: none
  /// In force instead of what /contract/init has made; zeros: that.
  chain::Address reputation{};
  std::string endpoints{};  ///< without their paths, for /contract/status
  /// This account's evidence: the report data are SHA-256 of the text that docs/reference/tracker-wire.md gives. Empty:
  /// none.
  std::function<base::Result<base::Bytes>(const base::FixedBytes<64>& report_data)> evidence{};
};

/// /contract/init, /register, /update, /migrate and /publish for administrators, /user/{username} and /status for
/// anybody. Whoever has no chain gives no `deps`: then each of them says so.
base::Status register_tracker_contract(net::Router& router, const TrackerDeps& tracker,
                                       const TrackerContractDeps* deps);

}  // namespace attestry::api
