// Who has a place at a server of sessions when others want it, too.
#include "channel/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <future>
#include <list>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "channel/testing/ends.h"
#include "net/testing/loopback.h"

namespace attestry::channel {
namespace {

using base::Code;
using base::Result;
using base::Status;
using net::testing::call_from;
using net::testing::Relay;
using net::testing::Socket;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::end_of;
using testing::Judge;
using testing::refused;
using testing::soon;

/// A server that is told who calls; what it hears afterwards it says again. Names with an upper-case letter are
/// favoured.
class PlacesTest : public ::testing::Test {
 protected:
  PlacesTest() {
    options.address = "127.0.0.1:0";
    options.patience = seconds(20);
    options.longest = seconds(60);
    options.end = [this]() -> Result<End> { return end; };
    options.serve_guests = [](Session session, base::Deadline deadline, Seat& seat) {
      const auto name = session.receive(deadline);
      if (!name) return;
      const std::string text{base::as_text(name->reveal())};
      const Guest guest{.name = text, .favoured = std::isupper(text.front()) != 0, .most = 2};
      if (const auto taken = seat.take(guest); !taken) return session.refuse(taken.error(), deadline);
      if (!session.send(name->reveal(), deadline)) return;
      while (auto heard = session.receive(deadline)) {
        if (!session.send(heard->reveal(), deadline)) return;
      }
    };
  }
  void start() {
    auto started = Server::start(options);
    ASSERT_TRUE(started.ok()) << started.error().text();
    server = *std::move(started);
  }
  /// An address at which the server is called from another one.
  std::string from(const std::string& host) { return relays.emplace_back(host, server->address()).address(); }
  static Status say(Session& session, std::string_view text) {
    TRY_OK(session.send(base::as_bytes(text), soon()));
    TRY([[maybe_unused]] const auto heard, session.receive(soon()));
    return base::done();
  }
  Result<Session> open(const std::string& name) {
    TRY(auto session, Session::connect(server->address(), end_of(), soon()));
    TRY_OK(say(session, name));
    return session;
  }
  std::vector<Socket> mutes(int number, const std::string& host) {
    std::vector<Socket> out;
    out.reserve(static_cast<std::size_t>(number));
    for (int i = 0; i < number; ++i) out.push_back(call_from(host, server->address()));
    return out;
  }

  End end = end_of();
  ServerOptions options;
  std::unique_ptr<Server> server;
  std::list<Relay> relays;
};

TEST_F(PlacesTest, WhoIsMuteKeepsNobodyOut) {
  options.sessions = 4;
  options.opening = 3;
  options.per_address = 3;
  start();
  const auto mute = mutes(40, "127.0.0.1");
  auto session = open("a");
  EXPECT_TRUE(session.ok()) << session.error().text();
  EXPECT_TRUE(mute.front().is_hung_up_on());
}

TEST_F(PlacesTest, ThreadsComeWithSessions) {
  const auto threads = [] { return std::distance(std::filesystem::directory_iterator{"/proc/self/task"}, {}); };
  const auto before = threads();
  options.sessions = 64;
  start();
  EXPECT_LE(threads(), before + 1);
  std::vector<Session> sessions;
  for (const char* name : {"a", "b", "c", "d"}) {
    auto session = open(name);
    ASSERT_TRUE(session.ok()) << session.error().text();
    sessions.push_back(*std::move(session));
    EXPECT_LE(threads(), before + 1 + static_cast<std::ptrdiff_t>(sessions.size()));
  }
  for (auto& session : sessions) EXPECT_TRUE(say(session, "still here").ok());
}

TEST_F(PlacesTest, CallersOfOneAddressGiveWayToEachOtherAlone) {
  options.opening = 4;
  options.per_address = 2;
  start();
  const Socket patient = call_from("127.0.0.3", server->address());
  const auto mute = mutes(20, "127.0.0.2");
  const auto all_are_seen = soon();
  while (std::ranges::count_if(mute, &Socket::is_still_there) > 2) {
    ASSERT_LT(std::chrono::steady_clock::now(), all_are_seen);
    std::this_thread::yield();
  }
  EXPECT_TRUE(patient.is_still_there());
}

TEST_F(PlacesTest, WhoseEvidenceIsLookedAtDoesNotGiveWay) {
  std::counting_semaphore<> looking{0}, go_on{0};
  options.opening = 1;
  end.verify = [&, judge = Judge{}](const attestation::Evidence& evidence, const base::FixedBytes<64>& data,
                                    base::Deadline deadline) {
    looking.release();
    go_on.acquire();
    return judge(evidence, data, deadline);
  };
  start();
  auto opening = std::async(std::launch::async, [&] { return open("a"); });
  looking.acquire();
  EXPECT_TRUE(call_from("127.0.0.1", server->address()).is_hung_up_on());
  go_on.release();
  const auto session = opening.get();
  EXPECT_TRUE(session.ok()) << session.error().text();
}

TEST_F(PlacesTest, StrangersAreNotInTheWayOfKnownAddresses) {
  std::counting_semaphore<> looking{0}, go_on{0};
  options.opening = 2;
  options.per_address = 2;
  options.known = [](const std::string& address) { return address == "127.0.0.2"; };
  std::atomic<int> asked{0};
  end.verify = [&, judge = Judge{}](const attestation::Evidence& evidence, const base::FixedBytes<64>& data,
                                    base::Deadline deadline) {
    if (++asked <= 2) {
      looking.release();
      go_on.acquire();
    }
    return judge(evidence, data, deadline);
  };
  start();
  // Two strangers whose evidence takes long, and who do not give way.
  auto one = std::async(std::launch::async, [&] { return open("a"); });
  auto two = std::async(std::launch::async, [&] { return open("b"); });
  looking.acquire();
  looking.acquire();
  EXPECT_TRUE(call_from("127.0.0.3", server->address()).is_hung_up_on()) << "no place for another stranger";
  const auto mute = mutes(20, "127.0.0.2");
  auto known = Session::connect(from("127.0.0.2"), end_of(), soon());
  EXPECT_TRUE(known.ok()) << known.error().text();
  go_on.release(2);
  EXPECT_TRUE(one.get().ok());
  EXPECT_TRUE(two.get().ok());
}

TEST_F(PlacesTest, EvidenceIsLookedAtWithTheSamePatience) {
  std::promise<base::Deadline> promised;
  end.verify = [&, judge = Judge{}](const attestation::Evidence& evidence, const base::FixedBytes<64>& data,
                                    base::Deadline deadline) {
    promised.set_value(deadline);
    return judge(evidence, data, deadline);
  };
  start();
  EXPECT_TRUE(open("a").ok());
  EXPECT_LE(promised.get_future().get(), std::chrono::steady_clock::now() + options.patience);
}

TEST_F(PlacesTest, WhoDoesNotSayWhoHeIsGivesWay) {
  options.opening = 1;
  start();
  auto silent = Session::connect(server->address(), end_of(), soon());
  ASSERT_TRUE(silent.ok()) << silent.error().text();
  EXPECT_TRUE(open("a").ok());
  refused(silent->receive(soon()), Code::unavailable, "closed");
}

TEST_F(PlacesTest, OneGuestsNewSessionEndsItsOldest) {
  start();
  auto first = open("a"), other = open("b"), second = open("a"), third = open("a");
  ASSERT_TRUE(first.ok() && other.ok() && second.ok() && third.ok());
  refused(first->receive(soon()), Code::unavailable, "closed");
  for (auto* session : {&*other, &*second, &*third}) EXPECT_TRUE(say(*session, "still there").ok());
}

TEST_F(PlacesTest, SomePlacesAreKept) {
  options.sessions = 3;
  options.kept = 2;
  start();
  auto a = open("a"), b = open("b");
  ASSERT_TRUE(a.ok() && b.ok());
  refused(a->receive(soon()), Code::unavailable, "closed");
  auto member = open("Member"), again = open("Member");
  ASSERT_TRUE(member.ok() && again.ok());
  EXPECT_TRUE(say(*b, "in its place").ok());
  auto another = open("Another");
  ASSERT_TRUE(another.ok()) << another.error().text();
  refused(b->receive(soon()), Code::unavailable, "closed");
  refused(open("c"), Code::unavailable, "a place for this session");
  auto third = open("Third");
  ASSERT_TRUE(third.ok()) << third.error().text();
  refused(member->receive(soon()), Code::unavailable, "closed");
  for (auto* session : {&*again, &*another, &*third}) EXPECT_TRUE(say(*session, "still there").ok());
}

TEST_F(PlacesTest, WhoHasAllHisSessionsUnderWayWaits) {
  std::counting_semaphore<> busy{0}, go_on{0};
  options.serve_guests = [&](Session session, base::Deadline deadline, Seat& seat) {
    const auto taken = seat.take({.name = "a", .most = 1});
    if (!taken) return session.refuse(taken.error(), deadline);
    busy.release();
    go_on.acquire();  // an answer that it still works at, when its caller has been hung up on
  };
  start();
  const auto first = Session::connect(server->address(), end_of(), soon());
  busy.acquire();
  const auto second = Session::connect(server->address(), end_of(), soon());
  busy.acquire();
  auto third = Session::connect(server->address(), end_of(), soon());
  ASSERT_TRUE(third.ok()) << third.error().text();
  refused(third->receive(soon()), Code::unavailable, "a place for this session");
  go_on.release(2);
  server->stop();  // its threads use the semaphores
}

TEST_F(PlacesTest, WithoutNamesOneAddressHasSoManyAndNoOldOneEnds) {
  options.per_address = 2;
  options.serve = [](Session session, base::Deadline deadline) {
    while (auto heard = session.receive(deadline)) {
      if (!session.send(heard->reveal(), deadline)) return;
    }
  };
  options.serve_guests = {};
  start();
  auto first = open("x"), second = open("x");
  ASSERT_TRUE(first.ok() && second.ok());
  refused(open("x"), Code::unavailable, "");
  auto elsewhere = Session::connect(from("127.0.0.2"), end_of(), soon());
  ASSERT_TRUE(elsewhere.ok()) << elsewhere.error().text();
  for (auto* session : {&*first, &*second, &*elsewhere}) EXPECT_TRUE(say(*session, "still there").ok());
}

}  // namespace
}  // namespace attestry::channel
