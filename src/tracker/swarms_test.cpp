#include "tracker/swarms.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <thread>

#include "crypto/random.h"

namespace attestry::tracker {
namespace {

Infohash torrent(std::uint8_t number) {
  Infohash out{};
  out[19] = number;
  return out;
}

Announcement from(const std::string& ip, std::uint16_t port, bool complete = false,
                  AnnounceEvent event = AnnounceEvent::started) {
  Announcement out;
  out.torrent = torrent(1);
  out.address = {*net::parse_ip(ip), port};
  out.complete = complete;
  out.event = event;
  out.id.size = 20;
  out.id.bytes[0] = static_cast<std::uint8_t>(port);
  return out;
}

class SwarmsTest : public ::testing::Test {
 protected:
  void limit(const SwarmLimits& limits) { swarms_ = std::make_unique<Swarms>(limits, random_); }
  SwarmAnswer say(const Announcement& announcement, std::uint32_t now = 1000) {
    SwarmAnswer out;
    swarms_->announce(announcement, now, out);
    return out;
  }
  static std::set<std::string> addresses(const SwarmAnswer& answer) {
    std::set<std::string> out;
    for (const auto& one : answer.peers)
      out.insert(net::to_text(one.address.ip) + ":" + std::to_string(one.address.port));
    return out;
  }
  void sweep_all(std::uint32_t now) {
    for (int i = 0; i < 64; ++i) swarms_->sweep(now);
  }

  crypto::SeededRandom random_{base::as_bytes("swarms")};
  std::unique_ptr<Swarms> swarms_ = std::make_unique<Swarms>(SwarmLimits{}, random_);
};

TEST_F(SwarmsTest, PeersHearOfEachOtherAndNotOfThemselves) {
  EXPECT_TRUE(say(from("192.0.2.1", 6881, true)).peers.empty());
  const auto second = say(from("2001:db8::1", 6881));
  EXPECT_EQ(addresses(second), std::set<std::string>{"192.0.2.1:6881"});
  EXPECT_EQ(second.peers.front().id.bytes, from("192.0.2.1", 6881).id.bytes);
  EXPECT_EQ(second.counts.complete, 1u);
  EXPECT_EQ(second.counts.incomplete, 1u);
  EXPECT_EQ(addresses(say(from("192.0.2.1", 6881, true, AnnounceEvent::none))),
            std::set<std::string>{"2001:db8::1:6881"});
  auto elsewhere = from("192.0.2.1", 6881);
  elsewhere.torrent = torrent(2);
  EXPECT_TRUE(say(elsewhere).peers.empty());
  EXPECT_EQ(swarms_->torrents(), 2u);
  EXPECT_EQ(swarms_->peers(), 3u);
}

TEST_F(SwarmsTest, WhoStopsIsGoneAndStillGetsAnAnswer) {
  say(from("192.0.2.1", 1));
  say(from("192.0.2.2", 2, true));
  const auto answer = say(from("192.0.2.2", 2, true, AnnounceEvent::stopped));
  EXPECT_EQ(answer.peers.size(), 1u);
  EXPECT_EQ(answer.counts.complete, 0u);
  EXPECT_EQ(answer.counts.incomplete, 1u);
  auto unknown = from("192.0.2.2", 2, true, AnnounceEvent::stopped);
  unknown.torrent = torrent(9);
  EXPECT_TRUE(say(unknown).peers.empty());
  EXPECT_EQ(swarms_->torrents(), 1u) << "a stop opens no torrent";
}

TEST_F(SwarmsTest, ADownloadCountsOnceForAPeerThatWasHere) {
  EXPECT_EQ(say(from("192.0.2.1", 1, true, AnnounceEvent::completed)).counts.downloaded, 0u) << "nobody saw it begin";
  say(from("192.0.2.2", 2));
  EXPECT_EQ(say(from("192.0.2.2", 2, false, AnnounceEvent::completed)).counts.downloaded, 0u) << "it has not all";
  EXPECT_EQ(say(from("192.0.2.2", 2, true, AnnounceEvent::completed)).counts.downloaded, 1u);
  EXPECT_EQ(say(from("192.0.2.2", 2, true, AnnounceEvent::completed)).counts.downloaded, 1u);
  EXPECT_EQ(swarms_->counts(torrent(1)).complete, 2u);
  EXPECT_EQ(swarms_->counts(torrent(7)).complete, 0u);
}

TEST_F(SwarmsTest, StalePeersAreNotShownAndAreForgotten) {
  say(from("192.0.2.1", 1), 1000);
  EXPECT_EQ(say(from("192.0.2.2", 2), 1000 + 1800).peers.size(), 1u);
  EXPECT_EQ(say(from("192.0.2.2", 2), 1000 + 1801).peers.size(), 0u);
  sweep_all(1000 + 1801);
  EXPECT_EQ(swarms_->peers(), 1u);
  EXPECT_EQ(swarms_->counts(torrent(1)).incomplete, 1u);
  sweep_all(10'000);
  EXPECT_EQ(swarms_->peers(), 0u);
  EXPECT_EQ(swarms_->torrents(), 0u);
}

TEST_F(SwarmsTest, AnAnswerHasAsManyAsWantedEachOnceAndNotAlwaysTheSame) {
  limit({.peers_per_address = 0});
  for (std::uint16_t port = 1; port <= 300; ++port) say(from("192.0.2.1", port));
  std::map<std::string, int> seen;
  for (int i = 0; i < 200; ++i) {
    auto asks = from("192.0.2.9", 9);
    const auto answer = say(asks);
    EXPECT_EQ(answer.peers.size(), 50u);
    EXPECT_EQ(addresses(answer).size(), 50u) << "each once";
    for (const auto& one : addresses(answer)) ++seen[one];
  }
  EXPECT_EQ(seen.size(), 300u) << "each has been shown";
  for (const auto& [who, times] : seen) EXPECT_LT(times, 75) << who << " of 200, 33 on average";
  auto greedy = from("192.0.2.9", 9);
  greedy.wanted = 100'000;
  EXPECT_EQ(say(greedy).peers.size(), 200u);
  greedy.wanted = 0;
  EXPECT_EQ(say(greedy).peers.size(), 0u);
}

TEST_F(SwarmsTest, LimitsKeepStrangersOutOfTheListAndAnswerThemAllTheSame) {
  limit({.peers_per_torrent = 3, .peers_per_member = 2, .peers_per_address = 2, .torrents = 2, .peers = 4});
  EXPECT_EQ(say(from("192.0.2.1", 1)).kept, Kept::yes);
  EXPECT_EQ(say(from("192.0.2.1", 2)).kept, Kept::yes);
  const auto third = say(from("192.0.2.1", 3));
  EXPECT_EQ(third.kept, Kept::address_full);
  EXPECT_EQ(third.peers.size(), 2u);
  EXPECT_EQ(say(from("192.0.2.1", 2, true)).kept, Kept::yes) << "who is in stays in";
  EXPECT_EQ(say(from("192.0.2.2", 1)).kept, Kept::yes);
  EXPECT_EQ(say(from("192.0.2.3", 1)).kept, Kept::torrent_full);
  auto other = from("192.0.2.3", 1);
  other.torrent = torrent(2);
  EXPECT_EQ(say(other).kept, Kept::yes);
  other.address.port = 2;
  EXPECT_EQ(say(other).kept, Kept::tracker_full);
  other.torrent = torrent(3);
  EXPECT_EQ(say(other).kept, Kept::tracker_full) << "a third torrent";
  say(from("192.0.2.1", 1, false, AnnounceEvent::stopped));
  EXPECT_EQ(say(from("192.0.2.1", 3)).kept, Kept::yes) << "whoever goes makes room";
}

TEST_F(SwarmsTest, WhoMayHaveNoMorePeersFillsTheTrackerWithNoTorrents) {
  limit({.peers_per_member = 2, .peers_per_address = 2, .torrents = 10});
  const auto ask = [&](std::uint8_t number, const std::string& ip, std::uint32_t member, AnnounceEvent event) {
    auto one = from(ip, 1, false, event);
    one.torrent = torrent(number);
    one.member = member;
    return say(one).kept;
  };
  for (std::uint8_t i = 0; i < 100; ++i) ask(i, "192.0.2.1", 0, AnnounceEvent::started);
  EXPECT_EQ(swarms_->torrents(), 2u) << "those of an address";
  for (std::uint8_t i = 0; i < 100; ++i) ask(i, "198.51.100." + std::to_string(i), 7, AnnounceEvent::started);
  EXPECT_EQ(swarms_->torrents(), 2u) << "of a member at many addresses, the same two";
  for (std::uint8_t i = 10; i < 100; ++i) {
    EXPECT_EQ(ask(i, "203.0.113.1", 0, AnnounceEvent::started), Kept::yes);
    ask(i, "203.0.113.1", 0, AnnounceEvent::stopped);
  }
  EXPECT_EQ(swarms_->torrents(), 2u) << "nothing stays of who comes and goes";
  EXPECT_EQ(ask(50, "203.0.113.2", 0, AnnounceEvent::started), Kept::yes) << "others have room";
}

TEST_F(SwarmsTest, AnIpv6NetworkIsOneAddressAndAMemberIsOneEverywhere) {
  limit({.peers_per_member = 2, .peers_per_address = 2});
  EXPECT_EQ(say(from("2001:db8::1", 1)).kept, Kept::yes);
  EXPECT_EQ(say(from("2001:db8::2", 1)).kept, Kept::yes);
  EXPECT_EQ(say(from("2001:db8::3", 1)).kept, Kept::address_full);
  EXPECT_EQ(say(from("2001:db8:0:1::3", 1)).kept, Kept::yes);
  for (std::uint8_t i = 1; i <= 3; ++i) {
    auto one = from("198.51.100." + std::to_string(i), 1);
    one.member = 7;
    EXPECT_EQ(say(one).kept, i < 3 ? Kept::yes : Kept::member_full);
  }
  // The same place for another member: the first one has room again.
  auto taken = from("198.51.100.1", 1);
  taken.member = 8;
  EXPECT_EQ(say(taken).kept, Kept::yes);
  auto again = from("198.51.100.3", 1);
  again.member = 7;
  EXPECT_EQ(say(again).kept, Kept::yes);
}

// Against a plain model, with swarms that grow over and fall under the size from which they have a table.
TEST_F(SwarmsTest, BehavesAsAListOfAddresses) {
  limit({.peers_per_address = 0});
  std::map<std::pair<std::uint8_t, std::uint16_t>, bool> model;
  const auto draw = [&](std::uint16_t bound) {
    const auto bytes = random_.bytes<2>();
    return static_cast<std::uint16_t>((bytes[0] * 256U + bytes[1]) % bound);
  };
  for (int i = 0; i < 40'000; ++i) {
    const auto number = static_cast<std::uint8_t>(draw(3));
    const bool shrinks = i / 4000 % 2 == 1;
    const bool stops = draw(10) < (shrinks ? 7 : 3);
    auto one = from("192.0.2.1", static_cast<std::uint16_t>(1 + draw(150)), draw(2) == 0,
                    stops ? AnnounceEvent::stopped : AnnounceEvent::none);
    one.torrent = torrent(number);
    one.wanted = 0;
    say(one);
    if (stops) {
      model.erase({number, one.address.port});
    } else {
      model[{number, one.address.port}] = one.complete;
    }
    if (i % 500 != 0) continue;
    for (std::uint8_t t = 0; t < 3; ++t) {
      SwarmCounts expected;
      for (const auto& [key, complete] : model) {
        if (key.first == t) ++(complete ? expected.complete : expected.incomplete);
      }
      EXPECT_EQ(swarms_->counts(torrent(t)).complete, expected.complete);
      EXPECT_EQ(swarms_->counts(torrent(t)).incomplete, expected.incomplete);
    }
    EXPECT_EQ(swarms_->peers(), model.size());
  }
}

TEST_F(SwarmsTest, ManyAtOnce) {
  limit({.peers_per_member = 0, .peers_per_address = 60'000});
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([this, t] {
        SwarmAnswer answer;
        for (std::uint16_t i = 0; i < 5000; ++i) {
          auto one = from("192.0.2." + std::to_string(t), i + 1);
          one.torrent = torrent(static_cast<std::uint8_t>(i % 7));
          swarms_->announce(one, 1000, answer);
          if (i % 3 == 0) {
            one.event = AnnounceEvent::stopped;
            swarms_->announce(one, 1000, answer);
          }
          if (i % 100 == 0) swarms_->sweep(1000);
        }
      });
    }
  }
  EXPECT_EQ(swarms_->peers(), 4u * (5000 - 1667));
  sweep_all(10'000);
  EXPECT_EQ(swarms_->peers(), 0u);
}

}  // namespace
}  // namespace attestry::tracker
