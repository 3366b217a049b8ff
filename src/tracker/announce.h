// What BitTorrent clients ask a tracker over HTTP, and the answers: announces (BEP 3, 7, 23, 24) and scrapes (BEP 48).
// PBTS section 3
//
// Pure; everything here is thread-safe.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "tracker/swarms.h"

namespace attestry::tracker {

struct AnnounceQuery {
  Announcement announcement{};  ///< its address has the port alone: where the client is, the connection says
  std::string user_id{};        ///< whose client it says it is; nobody has shown it
  bool compact = true;
  bool no_peer_id = false;
};

/// The part of the target behind the question mark, as sent. A value is bytes, "+" is a space; of several of one name
/// the first that is not empty counts, and what has no meaning here (`ip` too) is passed over. Error: `malformed`,
/// whose `what` is for the client.
base::Result<AnnounceQuery> parse_announce(std::string_view query);
/// Each `info_hash` of 20 bytes, ascending, each once; none is no error. Error: as above.
base::Result<std::vector<Infohash>> parse_scrape(std::string_view query);

struct AnnounceTimes {
  std::uint32_t interval = 1800;     ///< seconds until the next announce
  std::uint32_t min_interval = 900;  ///< seconds
};

/// All replies are bencoded. `tracker_id` is the instance's, in hex.
std::string announce_reply(const AnnounceQuery& query, const SwarmAnswer& answer, const AnnounceTimes& times,
                           std::string_view tracker_id);
/// `counts` as parse_scrape orders them.
std::string scrape_reply(const std::vector<std::pair<Infohash, SwarmCounts>>& counts);
std::string failure_reply(std::string_view reason);

}  // namespace attestry::tracker
