#include "tracker/announce.h"

#include <gtest/gtest.h>

namespace attestry::tracker {
namespace {

// sha1("pbts torrent") as clients send it, with a space, a null and bytes beyond ASCII.
constexpr std::string_view kHash = "info_hash=%a2%2A%77%8F%0a%11%5aH%ac%C4%29av%00+%9d%88%5f%05%64";
const std::string kInfohash{"\xa2\x2a\x77\x8f\x0a\x11\x5aH\xac\xc4)av\x00 \x9d\x88_\x05\x64", 20};

std::string query(std::string_view more) { return std::string{kHash} + "&port=6881" + std::string{more}; }
std::string reason(std::string_view text) {
  const auto parsed = parse_announce(text);
  return parsed ? "" : parsed.error().what;
}
SwarmPeer peer(const char* address, std::string_view id) {
  SwarmPeer out{.address = *net::parse_socket_address(address), .id = {}};
  std::ranges::copy(base::as_bytes(id), out.id.bytes.begin());
  out.id.size = static_cast<std::uint8_t>(id.size());
  return out;
}
AnnounceQuery asked(std::string_view more, const char* from = "192.0.2.9:1") {
  auto out = parse_announce(query(more)).value();
  out.announcement.address.ip = net::parse_socket_address(from)->ip;
  return out;
}

TEST(Announce, HasDefaultsForAllButTheTorrentAndThePort) {
  const auto parsed = parse_announce(query(""));
  ASSERT_TRUE(parsed.ok());
  const auto& announcement = parsed->announcement;
  EXPECT_EQ(base::as_text(announcement.torrent), kInfohash);
  EXPECT_EQ(announcement.address.port, 6881);
  EXPECT_EQ(announcement.id.size, 0);
  EXPECT_TRUE(announcement.complete);
  EXPECT_EQ(announcement.event, AnnounceEvent::none);
  EXPECT_EQ(announcement.wanted, 50u);
  EXPECT_TRUE(parsed->compact);
  EXPECT_FALSE(parsed->no_peer_id);
  EXPECT_EQ(parsed->user_id, "");
}

TEST(Announce, ReadsWhatClientsSay) {
  const auto parsed = parse_announce(
      query("&peer_id=-PB0100-%00%ff+bc&uploaded=1&downloaded=18446744073709551615&left=7"
            "&event=started&compact=0&numwant=3&no_peer_id=1&user_id=al%69ce&ip=1.2.3.4&key=&supportcrypto=1"));
  ASSERT_TRUE(parsed.ok()) << parsed.error().what;
  const auto& announcement = parsed->announcement;
  EXPECT_EQ(base::as_text(base::ByteView{announcement.id.bytes}.first(announcement.id.size)),
            (std::string_view{"-PB0100-\0\xff bc", 13}));
  EXPECT_FALSE(announcement.complete);
  EXPECT_EQ(announcement.event, AnnounceEvent::started);
  EXPECT_EQ(announcement.wanted, 3u);
  EXPECT_FALSE(parsed->compact);
  EXPECT_TRUE(parsed->no_peer_id);
  EXPECT_EQ(parsed->user_id, "alice");
  EXPECT_EQ(announcement.address.ip, net::Ip{});
}

TEST(Announce, OfSeveralTheFirstThatSaysSomethingCounts) {
  EXPECT_EQ(parse_announce(std::string{kHash} + "&port=&port=2&port=3")->announcement.address.port, 2);
}

TEST(Announce, RefusesInTheOriginalsOrderAndWords) {
  EXPECT_EQ(reason(""), "Invalid info_hash");
  EXPECT_EQ(reason("info_hash=abc&port=0"), "Invalid info_hash");
  EXPECT_EQ(reason(kHash), "Invalid port");
  for (const auto* port : {"0", "-1", "65536", "99999999999999999999999"})
    EXPECT_EQ(reason(std::string{kHash} + "&port=" + port + "&left=x"), "Invalid port") << port;
  EXPECT_EQ(reason(std::string{kHash} + "&port=80%20"), "Invalid port");
}

TEST(Announce, RefusesWhatIsNoNumberAndWhatIsNoEncoding) {
  for (const std::string name : {"uploaded", "downloaded", "left", "numwant", "compact", "no_peer_id"}) {
    for (const auto* value : {"x", "1x", "0x1", "1.5", "+1", "-"})
      EXPECT_EQ(reason(query("&" + name + "=" + value)), "Invalid " + name) << value;
  }
  EXPECT_EQ(reason(query("&peer_id=123456789012345678901")), "Invalid peer_id");
  for (const auto* bad : {"&user_id=%", "&user_id=%4", "&user_id=%4g", "&user_id=%-1", "&%zz=1"})
    EXPECT_EQ(reason(query(bad)), "Invalid percent encoding") << bad;
  EXPECT_EQ(parse_announce(query("&user_id=a%4a"))->user_id, "aJ");
  std::string many;
  for (int i = 0; i < 300; ++i) many += "&a=b";
  EXPECT_EQ(reason(query(many)), "Too many parameters");
}

TEST(Announce, ANegativeWishIsNone) {
  EXPECT_EQ(parse_announce(query("&numwant=-1"))->announcement.wanted, 50u);
  EXPECT_EQ(parse_announce(query("&numwant=0"))->announcement.wanted, 0u);
  EXPECT_EQ(parse_announce(query("&numwant=99999999999"))->announcement.wanted, 4294967295u);
}

TEST(Announce, CompactPeersStandByFamily) {
  const SwarmAnswer answer{.kept = Kept::yes,
                           .counts = {.complete = 2, .incomplete = 3, .downloaded = 9},
                           .peers = {peer("192.0.2.1:6881", "a"), peer("[2001:db8::1]:80", "b")}};
  EXPECT_EQ(announce_reply(asked(""), answer, {}, "abc"),
            (std::string{"d8:completei2e11:external ip4:\xc0\x00\x02\x09"
                         "10:incompletei3e8:intervali1800e12:min intervali900e5:peers6:\xc0\x00\x02\x01\x1a\xe1"
                         "6:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50"
                         "10:tracker id3:abce",
                         149}));
}

TEST(Announce, AListNamesPeers) {
  const SwarmAnswer answer{
      .kept = Kept::address_full, .counts = {}, .peers = {peer("192.0.2.1:6881", "ab"), peer("[2001:db8::1]:80", "")}};
  const auto named = announce_reply(asked("&compact=0", "[2001:db8::9]:1"), answer, {}, "x");
  EXPECT_NE(named.find("5:peersld2:ip9:192.0.2.17:peer id2:ab4:porti6881eed2:ip11:2001:db8::17:peer id0:4:porti80eee"
                       "10:tracker id1:x15:warning message"),
            std::string::npos)
      << named;
  EXPECT_NE(named.find("11:external ip16:"), std::string::npos);
  const auto bare = announce_reply(asked("&compact=0&no_peer_id=1"), answer, {}, "x");
  EXPECT_NE(bare.find("ld2:ip9:192.0.2.14:porti6881eed"), std::string::npos) << bare;
}

TEST(Scrape, AnswersEachTorrentOnce) {
  const auto parsed = parse_scrape(
      "info_hash=bbbbbbbbbbbbbbbbbbbb&info_hash=short&info_hash=aaaaaaaaaaaaaaaaaaaa&"
      "info_hash=bbbbbbbbbbbbbbbbbbbb");
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed->size(), 2u);
  EXPECT_EQ(scrape_reply({{parsed->at(0), {.complete = 1, .incomplete = 2, .downloaded = 3}}, {parsed->at(1), {}}}),
            "d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei1e10:downloadedi3e10:incompletei2ee"
            "20:bbbbbbbbbbbbbbbbbbbbd8:completei0e10:downloadedi0e10:incompletei0eeee");
  EXPECT_EQ(scrape_reply({}), "d5:filesdee");
  EXPECT_EQ(parse_scrape("")->size(), 0u);
  EXPECT_EQ(parse_scrape("info_hash=%").error().what, "Invalid percent encoding");
}

TEST(Announce, AFailureIsADictionary) { EXPECT_EQ(failure_reply("no"), "d14:failure reason2:noe"); }

}  // namespace
}  // namespace attestry::tracker
