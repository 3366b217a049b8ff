// What strangers ask a tracker: the answers are bencoded as strict readers want it, whatever was asked.
#include <string>

#include "base/bytes.h"
#include "require.h"
#include "tracker/announce.h"
#include "tracker/bencode.h"

using namespace attestry;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view query{reinterpret_cast<const char*>(data), size};
  const auto readable = [](const std::string& reply) { return tracker::parse_bencode(base::as_bytes(reply)).ok(); };
  if (const auto torrents = tracker::parse_scrape(query)) {
    std::vector<std::pair<tracker::Infohash, tracker::SwarmCounts>> counts;
    for (const auto& torrent : *torrents) counts.emplace_back(torrent, tracker::SwarmCounts{.complete = 1});
    REQUIRE(readable(tracker::scrape_reply(counts)));
  }
  const auto asked = tracker::parse_announce(query);
  if (!asked) {
    REQUIRE(asked.error().code == base::Code::malformed);
    REQUIRE(readable(tracker::failure_reply(asked.error().what)));
    return 0;
  }
  const auto& announcement = asked->announcement;
  REQUIRE(announcement.address.port != 0);
  REQUIRE(announcement.id.size <= announcement.id.bytes.size());
  const tracker::SwarmAnswer answer{
      .kept = tracker::Kept::torrent_full,
      .counts = {},
      .peers = {{announcement.address, announcement.id}, {{{0x20, 0x01}, 1}, announcement.id}}};
  REQUIRE(readable(tracker::announce_reply(*asked, answer, {}, "id")));
  return 0;
}
