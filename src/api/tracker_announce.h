// A BitTorrent tracker's routes for ordinary clients: /announce and /scrape (docs/reference/tracker-wire.md). The rules
// are those of the room tracker.
#pragma once
#include <cstdint>

#include "api/fair_lane.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/random.h"
#include "net/networks.h"
#include "net/router.h"
#include "tracker/announce.h"
#include "tracker/ledger.h"
#include "tracker/passkeys.h"
#include "tracker/recollection.h"
#include "tracker/swarms.h"
#include "tracker/torrents.h"

namespace attestry::api {

class TrackerTee;

/// What handlers use; everything outlives the server. Handlers run on several threads.
struct TrackerDeps {
  tracker::Swarms& swarms;
  tracker::Ledger& ledger;
  tracker::Torrents& torrents;
  tracker::Passkeys& passkeys;
  crypto::Random& random;
  const base::Clock& clock;
  FairLane& lane;       ///< for what verifies signatures; stopped while the rest still lives
  FairLane& operators;  ///< for what administrators ask: never behind strangers; as `lane`
  net::Networks trusted_proxies{};
  tracker::AnnounceTimes times{};
  std::uint32_t most_wanted = 200;           ///< peers
  std::size_t max_receipts = 1000;           ///< in a report
  std::uint32_t registrations_per_hour = 0;  ///< of one address, or one /56 of IPv6; 0: no limit
  double min_ratio = 0.5;
  bool members_only = false;
  bool unproven_members = false;      ///< a user id is enough for that
  bool members_add_torrents = false;  ///< and not the administrator alone
  bool test_routes = false;           ///< routes that take and give private keys
  TrackerTee* tee = nullptr;          ///< null: registrations with evidence are refused
  /// What members have from former trackers; null: there is no chain, and nobody has anything.
  tracker::Recollection* recollection = nullptr;
};

/// Where the client is: the socket's other end, or what a trusted proxy says in X-Real-IP. A unix socket is one, since
/// only processes of this user reach it. Error: `malformed`.
base::Result<net::Ip> tracker_client(const net::Request& request, const TrackerDeps& deps);

/// From memory; never waits for a chain.
tracker::FormerSums tracker_former(const tracker::Member& member, const TrackerDeps& deps);

/// What Swarms counts time by.
std::uint32_t tracker_seconds(const base::Clock& clock);

/// Whose a client says that it is.
struct TrackerClaim {
  std::string_view passkey{};  ///< proves it
  std::string_view user_id{};  ///< counts without a passkey; whoever lies gets what he would get without a name
};
/// The number of the member whose client it is, 0 where nobody has shown that; or why the client may not have peers,
/// for its user. Thread-safe, does not block.
base::Result<std::uint32_t> tracker_admit(const tracker::Announcement& said, const TrackerClaim& whose,
                                          const TrackerDeps& deps);

/// GET /announce and /scrape on the role tracker, with a passkey before them and without. They answer at once, on the
/// socket's thread.
base::Status register_tracker_announce(net::Router& router, const TrackerDeps& deps);

}  // namespace attestry::api
