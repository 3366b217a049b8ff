// Two ends of a channel over real sockets, and those in between.
#include "channel/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>

#include "base/encoding.h"
#include "channel/pieces.h"
#include "channel/server.h"
#include "channel/testing/ends.h"
#include "crypto/ec.h"
#include "crypto/hash.h"

namespace attestry::channel {
namespace {

using attestation::Evidence;
using attestation::VerifiedReport;
using base::Code;
using base::Error;
using base::Result;
using base::Status;
using net::PeerConnection;
using testing::credentials;
using testing::end_of;
using ::testing::HasSubstr;
using testing::Judge;
using testing::kClock;
using testing::kNow;
using testing::made_for;
using testing::new_key;
using testing::refused;
using testing::soon;

/// The other end, written from docs/formats/channel.md: says what a test wants it to say.
struct Peer {
  std::unique_ptr<PeerConnection> connection;

  static Peer call(const std::string& address) {
    auto opened = PeerConnection::connect(address, credentials(new_key()), soon());
    EXPECT_TRUE(opened.ok()) << opened.error().text();
    return {*std::move(opened)};
  }
  static Peer answer(net::PeerListener& listener) {
    auto socket = listener.accept();
    auto opened = PeerConnection::accept(*std::move(socket), credentials(new_key()), soon());
    EXPECT_TRUE(opened.ok()) << opened.error().text();
    return {*std::move(opened)};
  }

  void say(base::ByteView bytes) { EXPECT_TRUE(connection->write(bytes, soon()).ok()); }
  void message(std::uint8_t kind, base::ByteView body) {
    base::LpWriter out;
    out.u8(kind).lp(body);
    say(out.bytes());
  }
  void hello(std::uint8_t kind, std::string_view audience, base::ByteView nonce) {
    base::LpWriter out;
    out.lp("attestry/channel/1").lp(audience).lp(nonce);
    message(kind, out.bytes());
  }
  void evidence(base::ByteView bytes) {
    base::LpWriter out;
    out.lp(bytes).u8(0);
    message(3, out.bytes());
  }
  struct Heard {
    std::uint8_t kind = 0;
    base::Bytes body;
  };
  Result<Heard> hear() {
    base::FixedBytes<5> head{};
    TRY_OK(connection->read(head, soon()));
    std::size_t size = 0;
    for (const std::uint8_t byte : base::ByteView{head}.subspan(1)) size = size << 8 | byte;
    Heard out{.kind = head[0], .body = base::Bytes(size)};
    TRY_OK(connection->read(out.body, soon()));
    return out;
  }
  base::FixedBytes<32> nonce_heard() {
    const auto heard = hear();
    base::FixedBytes<32> out{};
    if (heard && heard->body.size() >= 32) std::copy(heard->body.end() - 32, heard->body.end(), out.begin());
    return out;
  }
  base::Bytes evidence_heard() {
    const auto heard = hear();
    if (!heard || heard->kind != 3) return {};
    return {heard->body.begin() + 4, heard->body.end() - 1};
  }

  /// T_channel by hand.
  base::FixedBytes<64> report_data(std::uint8_t role, std::string_view audience, base::ByteView client_nonce,
                                   base::ByteView server_nonce) const {
    base::LpWriter t;
    t.lp("attestry/channel/1").u8(role).lp(audience).lp(client_nonce).lp(server_nonce);
    t.lp(base::ByteView{connection->exporter()}).lp(connection->own_spki()).lp(connection->peer_spki());
    return crypto::sha512(t.bytes());
  }
};

/// A server of this room; what it hears it says again.
class ChannelTest : public ::testing::Test {
 protected:
  void start(End end, std::chrono::milliseconds patience = std::chrono::seconds(20)) {
    auto started = Server::start({.address = "127.0.0.1:0",
                                  .sessions = 4,
                                  .per_address = 4,
                                  .patience = patience,
                                  .longest = std::chrono::seconds(30),
                                  .end = [end]() -> Result<End> { return end; },
                                  .serve =
                                      [this](Session session, base::Deadline deadline) {
                                        ++served;
                                        const auto heard = session.receive(deadline);
                                        if (!heard) return;
                                        EXPECT_TRUE(session.send(heard->reveal(), deadline).ok());
                                      }});
    ASSERT_TRUE(started.ok()) << started.error().text();
    server = *std::move(started);
  }

  std::atomic<int> served{0};
  std::unique_ptr<Server> server;
};

TEST_F(ChannelTest, BothEndsAreVerifiedAndTalk) {
  start(end_of());
  auto session = Session::connect(server->address(), end_of(), soon());
  ASSERT_TRUE(session.ok()) << session.error().text();
  EXPECT_NE(session->own_report_data(), session->peer_report_data());
  EXPECT_EQ(session->peer().verdict().report_data, base::to_bytes(session->peer_report_data()));
  ASSERT_TRUE(session->send(base::as_bytes("hello"), soon()).ok());
  const auto heard = session->receive(soon());
  ASSERT_TRUE(heard.ok()) << heard.error().text();
  EXPECT_EQ(base::as_text(heard->reveal()), "hello");
}

TEST_F(ChannelTest, EverySessionHasAKeyAndAStatementOfItsOwn) {
  start(end_of());
  const auto one = Session::connect(server->address(), end_of(), soon());
  const auto two = Session::connect(server->address(), end_of(), soon());
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_NE(one->own_report_data(), two->own_report_data());
  EXPECT_NE(one->peer_report_data(), two->peer_report_data());
}

/// The bytes of docs/formats/channel.md, by a client that shares no code with the room.
TEST_F(ChannelTest, AClientWrittenFromTheFormatGetsIn) {
  start(end_of());
  auto peer = Peer::call(server->address());
  const base::Bytes nonce(32, 7);
  peer.hello(1, "key:00", nonce);
  const auto theirs = peer.nonce_heard();
  peer.evidence(made_for(peer.report_data(1, "key:00", nonce, theirs)).bytes);
  const auto evidence = peer.evidence_heard();
  base::LpWriter t;
  t.lp("attestry/channel/1").u8(2).lp("key:00").lp(nonce).lp(base::ByteView{theirs});
  t.lp(base::ByteView{peer.connection->exporter()}).lp(peer.connection->peer_spki()).lp(peer.connection->own_spki());
  EXPECT_EQ(evidence, made_for(crypto::sha512(t.bytes())).bytes);
  peer.message(5, base::as_bytes("x"));
  EXPECT_EQ(peer.hear()->body, base::to_bytes("x"));
}

/// What a test's client shows in place of the right evidence.
class WrongEvidence : public ChannelTest {
 protected:
  using Making = std::function<base::Bytes(const Peer&, base::ByteView mine, base::ByteView theirs)>;
  void expect_refused(const Making& make, const std::string& words) {
    start(end_of());
    auto peer = Peer::call(server->address());
    const base::Bytes nonce(32, 7);
    peer.hello(1, "key:00", nonce);
    const auto theirs = peer.nonce_heard();
    peer.evidence(make(peer, nonce, theirs));
    const auto answer = peer.hear();
    ASSERT_TRUE(answer.ok()) << answer.error().text();
    ASSERT_EQ(answer->kind, 4);
    const auto said = parse_refused(answer->body);
    ASSERT_TRUE(said.ok());
    EXPECT_TRUE(said->denied);
    EXPECT_THAT(said->reason, HasSubstr(words));
    server->stop();
    EXPECT_EQ(served, 0);
  }
};

TEST_F(WrongEvidence, OfTheOtherRole) {
  expect_refused([](const Peer& peer, base::ByteView mine,
                    base::ByteView theirs) { return made_for(peer.report_data(2, "key:00", mine, theirs)).bytes; },
                 "made for something else");
}

TEST_F(WrongEvidence, OfAnotherAudience) {
  expect_refused([](const Peer& peer, base::ByteView mine,
                    base::ByteView theirs) { return made_for(peer.report_data(1, "key:01", mine, theirs)).bytes; },
                 "made for something else");
}

TEST_F(WrongEvidence, OfAnOldNonce) {
  expect_refused([](const Peer& peer, base::ByteView mine,
                    base::ByteView) { return made_for(peer.report_data(1, "key:00", mine, base::Bytes(32, 9))).bytes; },
                 "made for something else");
}

TEST_F(WrongEvidence, ThatIsNotGenuine) {
  expect_refused([](const Peer&, base::ByteView, base::ByteView) { return base::Bytes(100, 1); }, "not genuine");
}

/// Whoever sits between two honest ends has a connection with each, and neither's evidence is of the other one.
TEST_F(ChannelTest, WhoIsInBetweenCannotPassEvidenceOn) {
  start(end_of());
  const auto between = net::PeerListener::bind("127.0.0.1:0");
  ASSERT_TRUE(between.ok());
  auto victim =
      std::async(std::launch::async, [&] { return Session::connect((*between)->address(), end_of(), soon()); });
  auto inner = Peer::answer(**between);
  auto outer = Peer::call(server->address());
  const auto pass = [](Peer& from, Peer& to) {
    const auto heard = from.hear();
    ASSERT_TRUE(heard.ok()) << heard.error().text();
    to.message(heard->kind, heard->body);
  };
  pass(inner, outer);  // both hellos, as they are
  pass(outer, inner);
  pass(inner, outer);  // the victim's evidence
  const auto answer = outer.hear();
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->kind, 4);
  EXPECT_THAT(parse_refused(answer->body)->reason, HasSubstr("made for something else"));
  inner.message(answer->kind, answer->body);
  const auto session = victim.get();
  refused(session, Code::denied, "the other end refuses");
  server->stop();
  EXPECT_EQ(served, 0);
}

/// An end that believes its peer's evidence only: what comes back to the caller is its own.
TEST_F(ChannelTest, OwnEvidenceSentBackIsRefused) {
  const auto listener = net::PeerListener::bind("127.0.0.1:0");
  auto victim =
      std::async(std::launch::async, [&] { return Session::connect((*listener)->address(), end_of(), soon()); });
  auto mirror = Peer::answer(**listener);
  const auto nonce = mirror.nonce_heard();
  mirror.hello(2, "key:00", nonce);
  mirror.evidence(mirror.evidence_heard());
  refused(victim.get(), Code::evidence_false, "made for something else");
}

TEST_F(ChannelTest, AnotherAudienceIsNamed) {
  start(end_of());
  refused(Session::connect(server->address(), end_of({}, "key:01"), soon()), Code::denied, "another audience");
}

TEST_F(ChannelTest, EvidenceOfAnotherRealmIsRefused) {
  start(end_of());
  refused(Session::connect(server->address(), end_of({.simulated = false}), soon()), Code::realm_mismatch, "realm");
  server.reset();
  start(end_of({.simulated = false}));
  refused(Session::connect(server->address(), end_of(), soon()), Code::denied, "realm");
}

TEST_F(ChannelTest, APolicysNoIsADenialAndAnOutageIsNone) {
  start(end_of({.allowed = false}));
  refused(Session::connect(server->address(), end_of(), soon()), Code::denied, "refuses the evidence");
  server.reset();
  start(end_of({.outage = Error{Code::collateral_missing, "no TCB info"}}));
  refused(Session::connect(server->address(), end_of(), soon()), Code::unavailable, "no TCB info");
  server.reset();
  start(end_of({.lifetime = 0}));
  refused(Session::connect(server->address(), end_of(), soon()), Code::denied, "no longer valid");
}

TEST_F(ChannelTest, AVerifierThatLooksAtSomethingElseDoesNotCount) {
  auto careless = end_of();
  careless.verify = [](const Evidence&, const base::FixedBytes<64>&, base::Deadline deadline) {
    return Judge{}(made_for({}), {}, deadline);
  };
  start(careless);
  refused(Session::connect(server->address(), end_of(), soon()), Code::denied, "another session");
}

TEST_F(ChannelTest, NobodyGetsEvidenceWithoutShowingHisOwn) {
  auto end = end_of();
  std::atomic<int> made{0};
  end.attest = [&made](const base::FixedBytes<64>& data) -> Result<Evidence> {
    ++made;
    return made_for(data);
  };
  start(end);
  {
    auto peer = Peer::call(server->address());
    peer.hello(1, "key:00", base::Bytes(32, 7));
    peer.nonce_heard();
    peer.evidence(base::Bytes(100, 1));
    EXPECT_EQ(peer.hear()->kind, 4);
  }
  server->stop();
  EXPECT_EQ(made, 0);
}

TEST_F(ChannelTest, BrokenMessagesEndTheSession) {
  start(end_of());
  const auto answer_to = [&](auto&& talk) {
    auto peer = Peer::call(server->address());
    talk(peer);
    const auto heard = peer.hear();
    return heard && heard->kind == 4 ? parse_refused(heard->body)->reason : std::string{"no refusal"};
  };
  EXPECT_THAT(answer_to([](Peer& peer) { peer.message(9, {}); }), HasSubstr("kind of message"));
  EXPECT_THAT(answer_to([](Peer& peer) { peer.message(3, base::Bytes(5)); }), HasSubstr("out of order"));
  EXPECT_THAT(answer_to([](Peer& peer) { peer.say(base::Bytes{1, 0xff, 0xff, 0xff, 0xff}); }),
              HasSubstr("size of a message"));
  EXPECT_THAT(answer_to([](Peer& peer) { peer.hello(1, "key:00", base::Bytes(31)); }), HasSubstr("nonce"));
  EXPECT_THAT(answer_to([](Peer& peer) { peer.message(1, base::Bytes(3)); }), HasSubstr("version"));
}

TEST_F(ChannelTest, AnEndThatSaysNothingIsLeft) {
  start(end_of(), std::chrono::milliseconds(300));
  auto silent = Peer::call(server->address());
  const auto told = silent.hear();
  ASSERT_TRUE(told.ok()) << told.error().text();
  EXPECT_FALSE(parse_refused(told->body)->denied) << "nothing was decided";
  const auto listener = net::PeerListener::bind("127.0.0.1:0");
  const auto began = std::chrono::steady_clock::now();
  refused(Session::connect((*listener)->address(), end_of(), began + std::chrono::milliseconds(300)),
          Code::deadline_exceeded, "");
}

TEST_F(ChannelTest, StoppingEndsWhatCallersWaitFor) {
  start(end_of());
  auto silent = Peer::call(server->address());
  silent.hello(1, "key:00", base::Bytes(32, 7));
  silent.nonce_heard();  // now it waits for evidence
  server->stop();        // long before anybody's patience ends
  const auto told = silent.hear();
  ASSERT_TRUE(told.ok()) << told.error().text();
  EXPECT_THAT(parse_refused(told->body)->reason, HasSubstr("shutting down"));
}

TEST_F(ChannelTest, OneAddressHasNotAllSessions) {
  auto started = Server::start({.address = "127.0.0.1:0",
                                .sessions = 2,
                                .per_address = 1,
                                .patience = std::chrono::seconds(30),
                                .longest = std::chrono::seconds(30),
                                .end = []() -> Result<End> { return end_of(); },
                                .serve = [](Session, base::Deadline) {}});
  ASSERT_TRUE(started.ok());
  auto first = Peer::call((*started)->address());
  const auto second = Peer::call((*started)->address());
  refused(first.hear(), Code::unavailable, "closed");
}

/// What a server of sessions says about the first message in pieces.
class PiecesTest : public ::testing::Test {
 protected:
  Result<std::size_t> received(const std::function<void(Session&)>& say, std::size_t most = 1u << 20) {
    std::promise<Result<std::size_t>> heard;
    auto started = Server::start({.address = "127.0.0.1:0",
                                  .sessions = 1,
                                  .end = []() -> Result<End> { return end_of(); },
                                  .serve =
                                      [&](Session session, base::Deadline deadline) {
                                        const auto data = receive_pieces(session, most, deadline);
                                        if (data) {
                                          heard.set_value(data->size());
                                        } else {
                                          heard.set_value(data.error());
                                        }
                                      }});
    auto session = Session::connect((*started)->address(), end_of(), soon());
    say(*session);
    return heard.get_future().get();
  }
};

TEST_F(PiecesTest, AMessageOfAnySizeComesAsItWasSent) {
  for (const std::size_t size : {0ul, 1ul, kMaxData - 1, kMaxData, 3 * (kMaxData - 1), 3 * kMaxData + 5}) {
    const base::Bytes data(size, 7);
    const auto got = received([&](Session& session) { ASSERT_TRUE(send_pieces(session, data, soon()).ok()); }, size);
    ASSERT_TRUE(got.ok()) << got.error().text();
    EXPECT_EQ(*got, size);
  }
}

TEST_F(PiecesTest, EveryPieceButTheLastIsFull) {
  const auto pieces = [](std::size_t first) {
    return [=](Session& session) {
      base::Bytes piece(first, 7);
      piece[0] = 1;
      ASSERT_TRUE(session.send(piece, soon()).ok());
      // Whoever waits for it may have hung up.
      [[maybe_unused]] const auto last = session.send(base::Bytes{0, 7}, soon());
    };
  };
  for (const std::size_t size : {std::size_t{2}, kMaxData - 1}) {
    refused(received(pieces(size)), Code::malformed, "a full one, or the last");
  }
  EXPECT_TRUE(received(pieces(kMaxData)).ok());
  refused(received(pieces(kMaxData), 100), Code::too_large, "at most 100 bytes");
}

TEST(ChannelStatement, IsTheOneOfTheFormat) {
  Statement statement{.role = Role::server, .audience = "evm:1:0x00", .own_spki = {1, 2}, .peer_spki = {3}};
  statement.client_nonce.fill(0x11);
  statement.server_nonce.fill(0x22);
  statement.exporter.fill(0x33);
  const auto fill = [](const char* byte) {
    std::string out;
    for (int i = 0; i < 32; ++i) out += byte;
    return out;
  };
  EXPECT_EQ(base::hex(statement.transcript()), "00000012" + base::hex(base::as_bytes("attestry/channel/1")) + "02" +
                                                   "0000000a" + base::hex(base::as_bytes("evm:1:0x00")) + "00000020" +
                                                   fill("11") + "00000020" + fill("22") + "00000020" + fill("33") +
                                                   "00000002" + "0102" + "00000001" + "03");
  EXPECT_EQ(statement.report_data(), crypto::sha512(statement.transcript()));
}

}  // namespace
}  // namespace attestry::channel
