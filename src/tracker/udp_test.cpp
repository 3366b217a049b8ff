#include "tracker/udp.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "base/reader.h"
#include "crypto/random.h"

namespace attestry::tracker {
namespace {

constexpr std::uint32_t kNow = 6000;
constexpr std::string_view kHash = "aaaaaaaaaaaaaaaaaaaa";
constexpr std::string_view kPeer = "-XX0001-abcdefghijkl";

class UdpTrackerTest : public ::testing::Test {
 protected:
  base::Bytes ask(base::ByteView datagram, const char* from = "192.0.2.1", std::uint32_t now = kNow) {
    base::Bytes out;
    tracker.answer(datagram, {*net::parse_ip(from), 40'000}, now, out);
    return out;
  }
  static base::Bytes connect(std::uint64_t protocol = 0x41727101980) {
    return base::LpWriter{}.u64(protocol).u32(0).u32(7).bytes();
  }
  std::uint64_t connection(const char* from = "192.0.2.1", std::uint32_t now = kNow) {
    const auto out = ask(connect(), from, now);
    base::Reader reader{out};
    EXPECT_EQ(reader.u32be("action").value(), 0u);
    EXPECT_EQ(reader.u32be("transaction").value(), 7u);
    const auto id = reader.u64be("id").value();
    EXPECT_TRUE(reader.finish("connect").ok());
    return id;
  }
  struct Said {
    std::uint64_t left = 1;
    std::uint32_t event = 2;
    std::uint32_t wanted = UINT32_MAX;
    std::uint16_t port = 6881;
    std::string options{};
  };
  static base::Bytes announce(std::uint64_t id, const Said& said) {
    return base::LpWriter{}
        .u64(id)
        .u32(1)
        .u32(9)
        .raw(base::as_bytes(kHash))
        .raw(base::as_bytes(kPeer))
        .u64(0)
        .u64(said.left)
        .u64(0)
        .u32(said.event)
        .u32(0x01020304)
        .u32(5)
        .u32(said.wanted)
        .u16(said.port)
        .raw(base::as_bytes(said.options))
        .bytes();
  }
  static std::string error_of(const base::Bytes& answer) {
    base::Reader reader{answer};
    if (reader.u32be("action").value_or(9) != 3) return "no error";
    EXPECT_EQ(reader.u32be("transaction").value(), 9u);
    return std::string{base::as_text(reader.rest())};
  }

  crypto::SeededRandom random{base::as_bytes("udp")};
  Swarms swarms{{}, random};
  std::string url;
  Admission admission;
  UdpTracker tracker{{.swarms = swarms,
                      .admit =
                          [this](const Announcement&, std::string_view said) {
                            url = said;
                            return admission;
                          }},
                     random.secret(32)};
};

// The bytes of the tables in BEP 15.
TEST_F(UdpTrackerTest, AnnouncesAsBep15Shows) {
  EXPECT_EQ(base::hex(ask(announce(connection("192.0.2.2"), {.left = 0, .port = 258}), "192.0.2.2")),
            "00000001"
            "00000009"
            "00000708"
            "00000000"
            "00000001");
  EXPECT_EQ(base::hex(ask(announce(connection(), {}))),
            "00000001"
            "00000009"
            "00000708"
            "00000001"
            "00000001"
            "c0000202"
            "0102");
  // The address is the socket's, whatever the datagram says.
  EXPECT_EQ(base::hex(ask(announce(connection("192.0.2.3"), {.wanted = 1, .port = 1}), "192.0.2.3")).size(), 2 * 26u);
  EXPECT_EQ(swarms.peers(), 3u);
  EXPECT_EQ(base::hex(ask(announce(connection(), {.event = 3}))).size(), 2 * 32u);
  EXPECT_EQ(swarms.peers(), 2u);
}

TEST_F(UdpTrackerTest, IPv6ClientsHearOfIPv6PeersAndOthersDoNot) {
  ask(announce(connection(), {}));
  ask(announce(connection("2001:db8::1"), {.port = 1}), "2001:db8::1");
  const auto six = ask(announce(connection("2001:db8::2"), {}), "2001:db8::2");
  EXPECT_EQ(base::hex(base::ByteView{six}.subspan(20)),
            "20010db8000000000000000000000001"
            "0001");
  EXPECT_EQ(ask(announce(connection("192.0.2.9"), {}), "192.0.2.9").size(), 26u);
}

TEST_F(UdpTrackerTest, AConnectionIsGoodForItsAddressAndTwoToThreeMinutes) {
  const auto id = connection();
  EXPECT_EQ(error_of(ask(announce(id, {}), "192.0.2.2")), "Connection ID mismatch");
  EXPECT_EQ(error_of(ask(announce(id + 1, {}))), "Connection ID mismatch");
  EXPECT_EQ(error_of(ask(announce(id, {}), "192.0.2.1", kNow + 179)), "no error");
  EXPECT_EQ(error_of(ask(announce(id, {}), "192.0.2.1", kNow + 180)), "Connection ID mismatch");
  EXPECT_EQ(swarms.peers(), 1u);
}

// Issued at the end of a slot, and used 120 seconds later.
TEST_F(UdpTrackerTest, AConnectionIsGoodForTwoMinutesWhenItBegan) {
  const auto id = connection("192.0.2.1", kNow + 59);
  EXPECT_EQ(error_of(ask(announce(id, {}), "192.0.2.1", kNow + 59 + 120)), "no error");
  const auto first = connection("192.0.2.1", 0);
  EXPECT_EQ(error_of(ask(announce(first, {}), "192.0.2.1", 1)), "no error");
}

TEST_F(UdpTrackerTest, WhoDoesNotProveItsAddressGetsNoMoreThanItSent) {
  for (const std::uint32_t action : {1U, 2U}) {
    auto datagram = base::LpWriter{}.u64(1).u32(action).u32(9).bytes();
    EXPECT_TRUE(ask(datagram).empty()) << action;
    for (; datagram.size() < 120; datagram.push_back(0)) {
      EXPECT_LE(ask(datagram).size(), datagram.size()) << action;
    }
    EXPECT_EQ(error_of(ask(datagram)), "Connection ID mismatch") << action;
  }
  EXPECT_EQ(ask(connect()).size(), connect().size());
}

TEST_F(UdpTrackerTest, AnIdThatWasSentToItProvesAnAddress) {
  const net::SocketAddress from{*net::parse_ip("192.0.2.1"), 40'000}, other{*net::parse_ip("192.0.2.2"), 40'000};
  const auto id = connection();
  EXPECT_TRUE(tracker.proves(announce(id, {}), from, kNow));
  EXPECT_TRUE(tracker.proves(base::LpWriter{}.u64(id).u32(2).u32(9).bytes(), from, kNow));
  EXPECT_FALSE(tracker.proves(announce(id, {}), other, kNow));
  EXPECT_FALSE(tracker.proves(announce(id + 1, {}), from, kNow));
  EXPECT_FALSE(tracker.proves(connect(), from, kNow));
  EXPECT_FALSE(tracker.proves(base::LpWriter{}.u64(id).u32(0).u32(9).bytes(), from, kNow)) << "who connects has none";
  EXPECT_FALSE(tracker.proves(base::LpWriter{}.u64(id).bytes(), from, kNow));
}

TEST_F(UdpTrackerTest, ScrapesUpTo74Torrents) {
  ask(announce(connection(), {.left = 0}));
  base::LpWriter one;
  one.u64(connection()).u32(2).u32(9).raw(base::as_bytes(kHash)).raw(base::as_bytes("bbbbbbbbbbbbbbbbbbbb"));
  EXPECT_EQ(base::hex(ask(one.bytes())),
            "00000002"
            "00000009"
            "000000010000000000000000"
            "000000000000000000000000");
  base::LpWriter many;
  many.u64(connection()).u32(2).u32(9);
  for (int i = 0; i < 74; ++i) many.raw(base::as_bytes(kHash));
  EXPECT_EQ(ask(many.bytes()).size(), 8u + 74 * 12);
  many.raw(base::as_bytes(kHash));
  EXPECT_EQ(error_of(ask(many.bytes())), "At most 74 torrents in one scrape");
}

TEST_F(UdpTrackerTest, TheUrlOfTheTrackerSaysWhoAnnounces) {
  ask(announce(connection(), {.options = std::string("\x01\x02\x04/ann\x05\x01?\x02\x04ounc\x00ignored", 24)}));
  EXPECT_EQ(url, "/announc");
  admission = {.refusal = "Insufficient ratio: 0.10 < 0.5"};
  EXPECT_EQ(error_of(ask(announce(connection(), {}))), "Insufficient ratio: 0.10 < 0.5");
  EXPECT_EQ(url, "");
}

TEST_F(UdpTrackerTest, WhatIsNoRequestGetsNoAnswerAndABadOneItsReason) {
  EXPECT_TRUE(ask({}).empty());
  EXPECT_TRUE(ask(connect(1)).empty());
  EXPECT_TRUE(ask(base::LpWriter{}.u64(connection()).u32(3).u32(9).bytes()).empty());
  EXPECT_TRUE(ask(base::LpWriter{}.u64(connection()).u32(1).bytes()).empty());
  EXPECT_EQ(error_of(ask(announce(connection(), {.event = 4}))), "Invalid event");
  EXPECT_EQ(error_of(ask(announce(connection(), {.port = 0}))), "Invalid port");
  EXPECT_NE(error_of(ask(announce(connection(), {.options = "\x02\x09short"}))), "no error");
  auto cut = announce(connection(), {});
  cut.resize(97);
  EXPECT_NE(error_of(ask(cut)), "no error");
  EXPECT_EQ(swarms.peers(), 0u);
}

}  // namespace
}  // namespace attestry::tracker
