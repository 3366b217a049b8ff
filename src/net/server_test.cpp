#include "net/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <thread>

#include "net/internal/test_socket.h"

namespace attestry::net {
namespace {

using testing::echo;
using testing::get;
using ::testing::HasSubstr;
using testing::post;
using testing::RawClient;
using testing::route;
using testing::router_with;
using testing::serve;

using std::chrono::milliseconds;

base::Deadline patience() { return std::chrono::steady_clock::now() + std::chrono::seconds{20}; }

/// A handler that says that it runs, then waits until it may go on.
struct Gate {
  std::promise<void> entered;
  std::promise<void> open;
  Route at(std::string path) {
    return route(Method::get, std::move(path), "gate", [this](const Request&, Responder responder) {
      entered.set_value();
      open.get_future().wait();
      responder.send(text_response(200, "through"));
    });
  }
};

TEST(Server, EchoesOverOneKeptConnection) {
  const auto server = serve(router_with({echo()}));
  RawClient client{server->port()};
  for (int i = 0; i < 3; ++i) {
    const auto body = "{\"n\":" + std::to_string(i) + "}";
    ASSERT_TRUE(client.send(post("/echo", body)));
    const auto reply = client.read_reply();
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, body);
    EXPECT_TRUE(reply.has("Content-Type: application/json\r\n"));
    EXPECT_TRUE(reply.has("Date: "));
    EXPECT_FALSE(reply.has("Connection:"));
  }
  EXPECT_EQ(server->stats().accepted, 1u);
  EXPECT_EQ(server->stats().requests, 3u);
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
  auto quick = route(Method::get, "/quick", "quick", [](const Request& request, Responder responder) {
    responder.send(text_response(200, std::string{*request.query_value("n")}));
  });
  quick.query = {{"n", "", "{}", true}};
  quick.immediate = true;
  const auto server = serve(router_with({quick}));
  RawClient client{server->port()};
  std::string all;
  for (int i = 0; i < 500; ++i) all += get("/quick?n=" + std::to_string(i));
  ASSERT_TRUE(client.send(all));
  for (int i = 0; i < 500; ++i) EXPECT_EQ(client.read_reply().body, std::to_string(i));
}

TEST(Server, TakesBodiesInPiecesAndInChunks) {
  const auto server = serve(router_with({echo()}));
  RawClient client{server->port()};
  const auto request = post("/echo", std::string(5000, 'x'));
  for (std::size_t i = 0; i < request.size(); i += 999)
    ASSERT_TRUE(client.send(std::string_view{request}.substr(i, 999)));
  EXPECT_EQ(client.read_reply().body, std::string(5000, 'x'));
  ASSERT_TRUE(client.send(
      "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n4;name=value\r\ndefg\r\n0\r\nTrailer: ignored\r\n\r\n"));
  EXPECT_EQ(client.read_reply().body, "abcdefg");
  const std::string large(700'000, 'y');
  ASSERT_TRUE(client.send(post("/echo", large)));
  EXPECT_EQ(client.read_reply().body, large);
}

TEST(Server, TellsAClientToContinue) {
  const auto server = serve(router_with({echo()}));
  RawClient client{server->port()};
  ASSERT_TRUE(
      client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
                  "Content-Length: 2\r\n\r\n"));
  EXPECT_EQ(client.read_reply().status, 100);
  ASSERT_TRUE(client.send("{}"));
  EXPECT_EQ(client.read_reply().body, "{}");
  // Refused before the body is sent at all.
  ASSERT_TRUE(client.send("POST /nothing HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
  EXPECT_EQ(client.read_reply().status, 404);
}

TEST(Server, RefusesWithTheRightStatusAndKeepsTheConnection) {
  const auto server = serve(router_with({echo()}));
  RawClient client{server->port()};
  ASSERT_TRUE(client.send(get("/nothing")));
  const auto missing = client.read_reply();
  EXPECT_EQ(missing.status, 404);
  EXPECT_TRUE(missing.has("application/problem+json"));
  EXPECT_THAT(missing.body, HasSubstr("urn:attestry:error:not-found"));
  EXPECT_THAT(missing.body, HasSubstr("trace_id"));
  ASSERT_TRUE(client.send(get("/echo")));
  const auto method = client.read_reply();
  EXPECT_EQ(method.status, 405);
  EXPECT_TRUE(method.has("Allow: POST\r\n"));
  ASSERT_TRUE(client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Type: text/xml\r\nContent-Length: 4\r\n\r\n<a/>"));
  EXPECT_EQ(client.read_reply().status, 415);
  ASSERT_TRUE(client.send("BREW /echo HTTP/1.1\r\nHost: t\r\n\r\n"));
  EXPECT_EQ(client.read_reply().status, 405);
  ASSERT_TRUE(client.send(post("/nothing", std::string(20'000, 'x'))));
  EXPECT_EQ(client.read_reply().status, 404);
  ASSERT_TRUE(client.send(post("/echo", "{}")));
  EXPECT_EQ(client.read_reply().status, 200);
}

TEST(Server, HeadHasTheLengthAndNoBody) {
  const auto server = serve(router_with({route(Method::get, "/x", "x", [](const Request&, Responder responder) {
    responder.send(text_response(200, "12345"));
  })}));
  RawClient client{server->port()};
  ASSERT_TRUE(client.send("HEAD /x HTTP/1.1\r\nHost: t\r\n\r\n" + get("/x")));
  EXPECT_TRUE(client.read_reply(true).has("Content-Length: 5\r\n"));
  EXPECT_EQ(client.read_reply().body, "12345");
}

TEST(Server, ClosesWhenTheClientAsksOrSpeaksHttp10) {
  const auto server = serve(router_with({echo()}));
  RawClient asks{server->port()};
  ASSERT_TRUE(asks.send(post("/echo", "{}", "Connection: close\r\n")));
  EXPECT_TRUE(asks.read_reply().has("Connection: close\r\n"));
  EXPECT_TRUE(asks.at_end());
  RawClient old{server->port()};
  ASSERT_TRUE(old.send("POST /echo HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"));
  EXPECT_EQ(old.read_reply().body, "{}");
  EXPECT_TRUE(old.at_end());
}

struct BadRequest {
  const char* name;
  std::string text;
  int status;
};

class ServerRefuses : public ::testing::TestWithParam<BadRequest> {};

TEST_P(ServerRefuses, AndCloses) {
  ServerLimits limits;
  limits.header_bytes = 1024;
  limits.header_fields = 10;
  const auto server = serve(router_with({echo()}), limits);
  RawClient client{server->port()};
  ASSERT_TRUE(client.send(GetParam().text));
  const auto reply = client.read_reply();
  EXPECT_EQ(reply.status, GetParam().status) << reply.body;
  EXPECT_TRUE(reply.has("Connection: close\r\n"));
  EXPECT_TRUE(reply.has("application/problem+json"));
  client.half_close();
  EXPECT_TRUE(client.at_end());
  // The server is as well as before.
  RawClient next{server->port()};
  ASSERT_TRUE(next.send(post("/echo", "{}")));
  EXPECT_EQ(next.read_reply().status, 200);
}

std::string repeated(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

INSTANTIATE_TEST_SUITE_P(
    Bad, ServerRefuses,
    ::testing::Values(
        BadRequest{"Garbage", "\x16\x03\x01\x02\r\n\r\n", 400}, BadRequest{"NoVersion", "GET /\r\n\r\n", 400},
        BadRequest{"Http2", "PRI * HTTP/2.0\r\n\r\n", 505}, BadRequest{"NoHost", "GET /echo HTTP/1.1\r\n\r\n", 400},
        BadRequest{"TwoHosts", "GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        BadRequest{"SpaceBeforeColon", "GET /echo HTTP/1.1\r\nHost : a\r\n\r\n", 400},
        BadRequest{"LongHeader", "GET /echo HTTP/1.1\r\nHost: a\r\nX: " + std::string(2000, 'x') + "\r\n\r\n", 431},
        BadRequest{"LongHeaderWithoutEnd", "GET /echo HTTP/1.1\r\nHost: a\r\nX: " + std::string(2000, 'x'), 431},
        BadRequest{"LongTarget", "GET /" + std::string(2000, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n", 431},
        BadRequest{"ManyFields", "GET /echo HTTP/1.1\r\nHost: a\r\n" + repeated("X: y\r\n", 11) + "\r\n", 431},
        BadRequest{"LengthAndChunked",
                   "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                   400},
        BadRequest{"TwoLengths", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
                   400},
        BadRequest{"NegativeLength", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400},
        BadRequest{"HugeLength",
                   "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: "
                   "18446744073709551615\r\n\r\n",
                   413},
        BadRequest{
            "LengthOverLimit",
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1048577\r\n\r\n", 413},
        BadRequest{"Gzip", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
        BadRequest{"ChunkedInHttp10", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        BadRequest{"BadChunk",
                   "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: "
                   "chunked\r\n\r\nxyz\r\n",
                   400},
        BadRequest{"ExpectSomething",
                   "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\nContent-Length: 0\r\n\r\n", 417}),
    [](const auto& tested) { return tested.param.name; });

TEST(Server, CutsOffAnEndlessChunkedBody) {
  const auto server = serve(router_with({echo()}));
  RawClient client{server->port()};
  ASSERT_TRUE(client.send(
      "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"));
  const std::string chunk = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
  // 1 MiB is the route's limit: the 17th chunk is one too many, and the answer comes while the client still sends.
  for (int i = 0; i < 17; ++i) client.send(chunk);
  const auto reply = client.read_reply();
  EXPECT_EQ(reply.status, 413);
  EXPECT_TRUE(reply.has("Connection: close\r\n"));
}

TEST(Server, CutsOffEndlessChunkFraming) {
  auto small = echo();
  small.body_limit = 1024;
  const auto server = serve(router_with({small}));
  RawClient client{server->port()};
  ASSERT_TRUE(client.send(
      "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"));
  const std::string chunk = "1;" + std::string(8000, 'e') + "\r\nx\r\n";
  for (int i = 0; i < 40; ++i) client.send(chunk);
  EXPECT_EQ(client.read_reply().status, 400);
}

TEST(Server, CutsOffASlowHeader) {
  ServerLimits limits;
  limits.header_deadline = milliseconds{30};
  const auto server = serve(router_with({echo()}), limits);
  RawClient client{server->port()};
  ASSERT_TRUE(client.send("POST /echo HTTP/1.1\r\nHost: t\r\nX-Slo"));
  const auto reply = client.read_reply();
  EXPECT_EQ(reply.status, 408);
  EXPECT_TRUE(client.at_end());
  EXPECT_EQ(server->stats().cut_off, 1u);
}

TEST(Server, CutsOffASlowBody) {
  ServerLimits limits;
  limits.read_deadline = milliseconds{30};
  const auto server = serve(router_with({echo()}), limits);
  RawClient client{server->port()};
  ASSERT_TRUE(client.send(
      "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\nhalf"));
  EXPECT_EQ(client.read_reply().status, 408);
}

TEST(Server, ClosesAnIdleConnection) {
  ServerLimits limits;
  limits.idle_deadline = milliseconds{30};
  const auto server = serve(router_with({echo()}), limits);
  RawClient client{server->port()};
  ASSERT_TRUE(client.send(post("/echo", "{}")));
  EXPECT_EQ(client.read_reply().status, 200);
  EXPECT_TRUE(client.at_end());
  EXPECT_EQ(server->stats().cut_off, 0u);
}

TEST(Server, CutsOffAClientThatDoesNotRead) {
  ServerLimits limits;
  limits.write_deadline = milliseconds{50};
  ServerOptions options;
  options.listeners = {{"127.0.0.1:0", {Role::public_}}};
  options.limits = limits;
  auto server = Server::start(std::move(options),
                              router_with({route(Method::get, "/big", "big", [](const Request&, Responder responder) {
                                responder.send(text_response(200, std::string(64u << 20, 'x')));
                              })}));
  ASSERT_TRUE(server.ok());
  RawClient client{(*server)->port()};
  ASSERT_TRUE(client.send(get("/big")));
  while ((*server)->stats().cut_off == 0) std::this_thread::yield();
  EXPECT_TRUE((*server)->stop(patience()));
  EXPECT_EQ(client.read_reply().status, 0);
}

TEST(Server, SurvivesHalfARequest) {
  const auto server = serve(router_with({echo()}));
  for (const char* half :
       {"", "P", "POST /echo HTTP/1.1\r\nHost",
        "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\nabc"}) {
    RawClient client{server->port()};
    client.send(half);
    client.half_close();
    EXPECT_TRUE(client.at_end()) << half;
  }
  RawClient client{server->port()};
  ASSERT_TRUE(client.send(post("/echo", "{}")));
  EXPECT_EQ(client.read_reply().status, 200);
}

TEST(Server, RefusesConnectionsOverTheLimitAtOnce) {
  ServerLimits limits;
  limits.max_connections = 1;
  const auto server = serve(router_with({echo()}), limits);
  RawClient first{server->port()};
  ASSERT_TRUE(first.send(post("/echo", "{}")));
  ASSERT_EQ(first.read_reply().status, 200);
  RawClient second{server->port()};
  const auto reply = second.read_reply();
  EXPECT_EQ(reply.status, 503);
  EXPECT_TRUE(reply.has("Retry-After: 1\r\n"));
  ASSERT_TRUE(first.send(post("/echo", "{}")));
  EXPECT_EQ(first.read_reply().status, 200);
  EXPECT_EQ(server->stats().refused_connections, 1u);
}

TEST(Server, AFloodOnThePublicListenerLeavesConnectionsForOperators) {
  auto guarded = route(Method::get, "/admin", "guarded",
                       [](const Request&, Responder responder) { responder.send(text_response(200, "done")); });
  guarded.role = Role::admin;
  ServerOptions options;
  options.listeners = {{"127.0.0.1:0", {Role::public_}}, {"127.0.0.1:0", {Role::admin}}};
  options.limits.max_connections = 4;  // one of them is kept for operators
  const auto server = *Server::start(std::move(options), router_with({echo(), std::move(guarded)}));
  std::vector<std::unique_ptr<RawClient>> flood;
  for (int i = 0; i < 3; ++i) {
    flood.push_back(std::make_unique<RawClient>(server->port()));
    ASSERT_TRUE(flood.back()->send(post("/echo", "{}")));
    ASSERT_EQ(flood.back()->read_reply().status, 200);
  }
  RawClient over{server->port()};
  EXPECT_EQ(over.read_reply().status, 503);
  RawClient admin{server->port(1)};
  ASSERT_TRUE(admin.send(get("/admin")));
  EXPECT_EQ(admin.read_reply().status, 200);
}

TEST(Server, RefusesRequestsOverTheLimitAtOnce) {
  ServerLimits limits;
  limits.max_in_flight = 1;
  Gate gate;
  auto live = route(Method::get, "/live", "live",
                    [](const Request&, Responder responder) { responder.send(text_response(200, "alive")); });
  live.immediate = true;
  const auto server = serve(router_with({gate.at("/gate"), echo(), live}), limits);
  RawClient first{server->port()};
  ASSERT_TRUE(first.send(get("/gate")));
  gate.entered.get_future().wait();
  RawClient second{server->port()};
  ASSERT_TRUE(second.send(post("/echo", "{}")));
  const auto refused = second.read_reply();
  EXPECT_EQ(refused.status, 503);
  EXPECT_TRUE(refused.has("Retry-After: 1\r\n"));
  ASSERT_TRUE(second.send(get("/live")));
  EXPECT_EQ(second.read_reply().body, "alive") << "probes are answered under overload";
  gate.open.set_value();
  EXPECT_EQ(first.read_reply().body, "through");
  ASSERT_TRUE(second.send(post("/echo", "{}")));
  EXPECT_EQ(second.read_reply().status, 200);
  EXPECT_EQ(server->stats().refused_requests, 1u);
}

/// Clocks that stand still: nothing that a client has taken comes back.
class StandingClock final : public base::Clock {
 public:
  base::UtcTime now() const override { return base::system_clock().now(); }
  std::chrono::steady_clock::time_point steady() const override { return at_; }

 private:
  const std::chrono::steady_clock::time_point at_ = std::chrono::steady_clock::now();
};

TEST(Server, LimitsTheRateOfAnAddressOnPublicListenersOnly) {
  const StandingClock clock;
  auto guarded = route(Method::get, "/admin", "guarded",
                       [](const Request&, Responder responder) { responder.send(text_response(200, "done")); });
  guarded.role = Role::admin;
  ServerOptions options;
  options.listeners = {{"127.0.0.1:0", {Role::public_}}, {"127.0.0.1:0", {Role::admin}}};
  options.limits.rate = {.requests_per_second = 1, .burst = 5};  // two connections and three requests
  options.clock = &clock;
  std::vector<std::string> operations;
  std::mutex mutex;
  options.on_finished = [&](const RequestRecord& record) {
    const std::scoped_lock lock{mutex};
    if (record.status == 429) operations.emplace_back(record.operation_id);
  };
  auto server = *Server::start(std::move(options), router_with({echo(), std::move(guarded)}));
  const auto ask = [&](RawClient& client, const std::string& text) {
    EXPECT_TRUE(client.send(text));
    return client.read_reply();
  };
  RawClient first{server->port()};
  RawClient second{server->port()};
  EXPECT_EQ(ask(first, post("/echo", "{}")).status, 200);
  EXPECT_EQ(ask(second, post("/echo", "{}")).status, 200);  // connections of one address share what it has
  EXPECT_EQ(ask(first, get("/nothing")).status, 404);       // who looks around is counted too
  for (RawClient* client : {&first, &second, &first}) {
    const auto refused = ask(*client, post("/echo", "{}"));
    EXPECT_EQ(refused.status, 429);
    EXPECT_TRUE(refused.has("Retry-After: 1\r\n"));
    EXPECT_THAT(refused.body, HasSubstr("urn:attestry:error:rate-limited"));
  }
  RawClient third{server->port()};  // hears it without having asked for anything
  const auto closed = third.read_reply();
  EXPECT_EQ(closed.status, 429);
  EXPECT_TRUE(closed.has("Retry-After: 1\r\n"));
  RawClient admin{server->port(1)};
  for (int i = 0; i < 10; ++i) EXPECT_EQ(ask(admin, get("/admin")).status, 200);
  EXPECT_EQ(server->stats().rate_limited, 4u);
  EXPECT_EQ(server->stats().refused_requests, 0u);
  server.reset();
  EXPECT_EQ(operations, (std::vector<std::string>{"echo", "echo", "echo", "none"}));
}

TEST(Server, AnExemptAddressHasNoRate) {
  const StandingClock clock;
  ServerOptions options;
  options.listeners = {{"127.0.0.1:0", {Role::public_}}};
  options.limits.rate = {.requests_per_second = 1, .burst = 1, .exempt = {"127.0.0.0/8"}};
  options.clock = &clock;
  const auto server = *Server::start(std::move(options), router_with({echo()}));
  RawClient client{server->port()};
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(client.send(post("/echo", "{}")));
    EXPECT_EQ(client.read_reply().status, 200);
  }
}

TEST(Server, RefusesBodiesThatTogetherAreTooLarge) {
  ServerLimits limits;
  limits.buffered_bytes = 10'000;
  const auto server = serve(router_with({echo()}), limits);
  RawClient client{server->port()};
  ASSERT_TRUE(client.send(post("/echo", std::string(20'000, 'x'))));
  const auto reply = client.read_reply();
  EXPECT_EQ(reply.status, 503);
  EXPECT_TRUE(reply.has("Retry-After"));
  RawClient next{server->port()};
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(next.send(post("/echo", std::string(9'000, 'x'))));
    EXPECT_EQ(next.read_reply().status, 200) << "what was counted is given back";
  }
}

TEST(Server, AnswersInPlaceOfAHandlerThatIsLate) {
  ServerLimits limits;
  limits.request_deadline = milliseconds{30};
  Gate gate;
  const auto server = serve(router_with({gate.at("/gate")}), limits);
  RawClient client{server->port()};
  ASSERT_TRUE(client.send(get("/gate")));
  const auto reply = client.read_reply();
  EXPECT_EQ(reply.status, 503);
  EXPECT_THAT(reply.body, HasSubstr("deadline-exceeded"));
  EXPECT_EQ(server->stats().in_flight, 1u);
  gate.open.set_value();
  EXPECT_TRUE(server->stop(patience()));
  EXPECT_EQ(server->stats().in_flight, 0u);
}

TEST(Server, ADroppedResponderIs500) {
  const auto server = serve(router_with({route(Method::get, "/drop", "drop", [](const Request&, Responder) {})}));
  RawClient client{server->port()};
  ASSERT_TRUE(client.send(get("/drop")));
  EXPECT_EQ(client.read_reply().status, 500);
}

TEST(Server, TheAnswerMayComeFromAnotherThreadLater) {
  std::promise<Responder> handed;
  const auto server =
      serve(router_with({route(Method::get, "/later", "later",
                               [&](const Request&, Responder responder) { handed.set_value(std::move(responder)); })}));
  RawClient client{server->port()};
  ASSERT_TRUE(client.send(get("/later")));
  std::thread committer{[&] { handed.get_future().get().send(text_response(200, "durable")); }};
  EXPECT_EQ(client.read_reply().body, "durable");
  committer.join();
}

TEST(Server, AnAnswerAfterTheServerIsGoneDoesNoHarm) {
  std::promise<Responder> handed;
  auto server = serve(router_with({route(Method::get, "/later", "later", [&](const Request&, Responder responder) {
    handed.set_value(std::move(responder));
  })}));
  RawClient client{server->port()};
  ASSERT_TRUE(client.send(get("/later")));
  auto responder = handed.get_future().get();
  EXPECT_FALSE(server->stop(std::chrono::steady_clock::now()));
  server.reset();
  responder.send(text_response(200, "too late"));
  EXPECT_EQ(client.read_reply().status, 0);
}

TEST(Server, DrainWaitsForRequestsInFlight) {
  Gate gate;
  const auto server = serve(router_with({gate.at("/gate"), echo()}));
  RawClient idle{server->port()};
  ASSERT_TRUE(idle.send(post("/echo", "{}")));
  ASSERT_EQ(idle.read_reply().status, 200);
  RawClient busy{server->port()};
  ASSERT_TRUE(busy.send(get("/gate")));
  gate.entered.get_future().wait();
  auto stopped = std::async(std::launch::async, [&] { return server->stop(patience()); });
  EXPECT_TRUE(idle.at_end()) << "idle connections are closed at once";
  gate.open.set_value();
  const auto reply = busy.read_reply();
  EXPECT_EQ(reply.body, "through");
  EXPECT_TRUE(reply.has("Connection: close\r\n"));
  EXPECT_TRUE(stopped.get());
  EXPECT_FALSE(RawClient{server->port()}.connected());
}

TEST(Server, StopWithoutPatienceDropsClients) {
  std::promise<Responder> handed;
  const auto server =
      serve(router_with({route(Method::get, "/later", "later",
                               [&](const Request&, Responder responder) { handed.set_value(std::move(responder)); })}));
  RawClient client{server->port()};
  ASSERT_TRUE(client.send(get("/later")));
  const auto responder = handed.get_future().get();
  EXPECT_FALSE(server->stop(base::Deadline::min()));
  EXPECT_EQ(client.read_reply().status, 0);
}

TEST(Server, CarriesTheTraceOn) {
  std::promise<TraceContext> seen;
  const auto server =
      serve(router_with({route(Method::get, "/x", "x", [&](const Request& request, Responder responder) {
        seen.set_value(request.trace);
        responder.send(empty_response());
      })}));
  RawClient client{server->port()};
  ASSERT_TRUE(client.send(
      "GET /x HTTP/1.1\r\nHost: t\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n"));
  const auto reply = client.read_reply();
  EXPECT_EQ(reply.status, 204);
  EXPECT_FALSE(reply.has("Content-Length"));
  EXPECT_TRUE(reply.has("traceresponse: 00-4bf92f3577b34da6a3ce929d0e0e4736-"));
  const auto trace = seen.get_future().get();
  EXPECT_EQ(trace.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(trace.parent_id, "00f067aa0ba902b7");
}

TEST(Server, AHandlerCannotSplitTheResponse) {
  const auto server = serve(router_with({route(Method::get, "/x", "x", [](const Request&, Responder responder) {
    auto response = text_response(200, "ok");
    response.headers.add("X-Good", "yes");
    response.headers.add("X-Bad", "a\r\nSet-Cookie: stolen=1");
    response.headers.add("Content-Length", "999");
    responder.send(std::move(response));
  })}));
  RawClient client{server->port()};
  ASSERT_TRUE(client.send(get("/x")));
  const auto reply = client.read_reply();
  EXPECT_EQ(reply.body, "ok");
  EXPECT_TRUE(reply.has("X-Good: yes\r\n"));
  EXPECT_FALSE(reply.has("Set-Cookie"));
  EXPECT_FALSE(reply.has("Content-Length: 999"));
}

TEST(Server, ListenersHaveRolesOfTheirOwn) {
  const auto folder = std::filesystem::temp_directory_path() / ("attestry-net-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  const auto path = (folder / "admin.sock").string();
  auto admin = route(Method::get, "/admin", "admin", [](const Request& request, Responder responder) {
    responder.send(text_response(200, std::to_string(request.peer.uid.value_or(99'999))));
  });
  admin.role = Role::admin;
  const auto router = router_with({admin, echo()});
  ServerOptions options;
  options.listeners = {{"127.0.0.1:0", {Role::public_}}, {"unix:" + path, {Role::admin}}};
  {
    auto server = Server::start(options, router);
    ASSERT_TRUE(server.ok()) << server.error().text();
    EXPECT_EQ((*server)->url(1), "unix:" + path);
    EXPECT_EQ(std::filesystem::status(path).permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    RawClient open{(*server)->port()};
    ASSERT_TRUE(open.send(get("/admin")));
    EXPECT_EQ(open.read_reply().status, 404);
    RawClient local{path};
    ASSERT_TRUE(local.send(get("/admin")));
    EXPECT_EQ(local.read_reply().body, std::to_string(::getuid()));
    EXPECT_FALSE(Server::start({.listeners = {{"unix:" + path, {Role::admin}}}, .limits = {}}, router).ok())
        << "it is in use";
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  std::filesystem::remove_all(folder);
}

TEST(Server, RefusesBadListeners) {
  const auto router = router_with({echo()});
  for (const char* address : {"", "127.0.0.1", "127.0.0.1:70000", "localhost:0", "127.0.0.1:x", "unix:"}) {
    const auto server = Server::start({.listeners = {{address, {Role::public_}}}, .limits = {}}, router);
    EXPECT_FALSE(server.ok()) << address;
  }
  EXPECT_FALSE(Server::start({.listeners = {{"127.0.0.1:0", {}}}, .limits = {}}, router).ok());
  EXPECT_FALSE(Server::start({.listeners = {}, .limits = {}}, router).ok());
  const auto first = serve(router);
  const auto taken = Server::start(
      {.listeners = {{"127.0.0.1:" + std::to_string(first->port()), {Role::public_}}}, .limits = {}}, router);
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, base::Code::io);
}

TEST(Server, ReportsEveryFinishedRequest) {
  std::promise<std::string> reported;
  ServerOptions options;
  options.listeners = {{"127.0.0.1:0", {Role::public_}}};
  options.on_finished = [&](const RequestRecord& record) {
    reported.set_value(std::string{record.operation_id} + " " + std::to_string(record.status) + " " +
                       std::to_string(record.request_bytes) + " " + std::to_string(record.response_bytes));
  };
  auto server = Server::start(std::move(options), router_with({echo()}));
  ASSERT_TRUE(server.ok());
  RawClient client{(*server)->port()};
  ASSERT_TRUE(client.send(post("/echo", "{\"a\":1}")));
  EXPECT_EQ(client.read_reply().status, 200);
  EXPECT_EQ(reported.get_future().get(), "echo 200 7 7");
}

TEST(Server, ManyClientsAtOnceGetTheirOwnAnswers) {
  const auto server = serve(router_with({echo()}));
  std::vector<std::future<int>> clients;
  clients.reserve(8);
  for (int c = 0; c < 8; ++c) {
    clients.push_back(std::async(std::launch::async, [&, c] {
      RawClient client{server->port()};
      int right = 0;
      for (int i = 0; i < 100; ++i) {
        const auto body = std::to_string(c) + ":" + std::to_string(i);
        if (client.send(post("/echo", body)) && client.read_reply().body == body) ++right;
      }
      return right;
    }));
  }
  for (auto& client : clients) EXPECT_EQ(client.get(), 100);
}

}  // namespace
}  // namespace attestry::net
