#include "net/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <filesystem>
#include <fstream>
#include <future>

#include "net/internal/test_socket.h"
#include "net/testing/black_hole.h"

namespace attestry::net {
namespace {

using testing::echo;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::route;
using testing::router_with;
using testing::serve;

base::Deadline patience() { return std::chrono::steady_clock::now() + std::chrono::seconds{20}; }

std::unique_ptr<HttpClient> client(ClientOptions options = {}) {
  auto made = HttpClient::make(std::move(options));
  EXPECT_TRUE(made.ok());
  return *std::move(made);
}

/// A self-signed certificate for 127.0.0.1, made by the system's OpenSSL.
struct SelfSigned {
  std::string chain;
  std::string key;
  SelfSigned() {
    auto* pkey = EVP_EC_gen("P-256");
    auto* x509 = X509_new();
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, pkey);
    auto* name = X509_get_subject_name(x509);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
    X509_set_issuer_name(x509, name);
    for (const auto& [nid, value] :
         {std::pair{NID_subject_alt_name, "IP:127.0.0.1"}, std::pair{NID_basic_constraints, "critical,CA:TRUE"}}) {
      auto* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
      X509_add_ext(x509, extension, -1);
      X509_EXTENSION_free(extension);
    }
    X509_sign(x509, pkey, EVP_sha256());
    auto* out = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(out, x509);
    chain = drain(out);
    PEM_write_bio_PrivateKey(out, pkey, nullptr, nullptr, 0, nullptr, nullptr);
    key = drain(out);
    BIO_free(out);
    X509_free(x509);
    EVP_PKEY_free(pkey);
  }
  static std::string drain(BIO* bio) {
    char* data = nullptr;
    const auto size = BIO_get_mem_data(bio, &data);
    std::string text{data, static_cast<std::size_t>(size)};
    BIO_reset(bio);
    return text;
  }
};

std::unique_ptr<Server> serve_tls(const std::shared_ptr<TlsServerContext>& tls, std::shared_ptr<const Router> router,
                                  const ServerLimits& limits = {}) {
  ServerOptions options;
  options.listeners = {{"127.0.0.1:0", {Role::public_}, tls}};
  options.limits = limits;
  options.workers = 2;
  auto server = Server::start(std::move(options), std::move(router));
  EXPECT_TRUE(server.ok());
  return *std::move(server);
}

TEST(HttpClient, PostsAndGetsWithHeaders) {
  const auto server =
      serve(router_with({echo(), route(Method::get, "/chain", "chain", [](const Request& request, Responder responder) {
                           auto response = text_response(203, std::string{request.headers.get("x-in")});
                           response.headers.add("TCB-Info-Issuer-Chain", "-----BEGIN%20");
                           responder.send(std::move(response));
                         })}));
  const auto http = client();
  const auto posted = http->post(server->url() + "/echo", "{\"a\":1}", "application/json", patience());
  ASSERT_TRUE(posted.ok()) << posted.error().text();
  EXPECT_EQ(posted->status, 200);
  EXPECT_EQ(posted->body, "{\"a\":1}");
  EXPECT_EQ(posted->content_type, "application/json");
  const auto got = http->get(server->url() + "/chain", patience(), {{"X-In", "value"}});
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->status, 203);
  EXPECT_EQ(got->body, "value");
  EXPECT_EQ(got->headers.get("tcb-info-issuer-chain"), "-----BEGIN%20");
  EXPECT_EQ(server->stats().accepted, 1u) << "the connection is kept";
}

TEST(HttpClient, SendsOtherMethods) {
  std::vector<Route> routes;
  routes.reserve(3);
  for (const auto& [method, id] :
       {std::pair{Method::put, "put"}, std::pair{Method::patch, "patch"}, std::pair{Method::delete_, "del"}}) {
    routes.push_back(route(method, "/x", id, [](const Request& request, Responder responder) {
      responder.send(text_response(200, std::string{to_text(request.method)} + request.body));
    }));
  }
  const auto server = serve(router_with(std::move(routes)));
  const auto http = client();
  for (const auto method : {Method::put, Method::patch, Method::delete_}) {
    HttpRequest request{.method = method, .url = server->url() + "/x", .deadline = patience()};
    if (method != Method::delete_) {
      request.body = "b";
      request.headers.add("Content-Type", "application/json");
    }
    const auto reply = http->send(request);
    ASSERT_TRUE(reply.ok());
    EXPECT_EQ(reply->body, std::string{to_text(method)} + request.body);
  }
}

TEST(HttpClient, AProblemIsAnAnswerAndNoError) {
  const auto server = serve(router_with({echo()}));
  const auto reply = client()->get(server->url() + "/nothing", patience());
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->status, 404);
}

TEST(HttpClient, StopsAtTheSizeCap) {
  const auto server = serve(router_with({route(Method::get, "/big", "big", [](const Request&, Responder responder) {
    responder.send(text_response(200, std::string(100'000, 'x')));
  })}));
  HttpRequest request{.url = server->url() + "/big", .deadline = patience(), .max_bytes = 99'999};
  const auto refused = client()->send(request);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, base::Code::unavailable);
  EXPECT_THAT(refused.error().what, HasSubstr("too large"));
  request.max_bytes = 100'000;
  EXPECT_TRUE(client()->send(request).ok());
}

TEST(HttpClient, StopsAtTheDeadline) {
  std::promise<Responder> handed;
  const auto server =
      serve(router_with({route(Method::get, "/later", "later",
                               [&](const Request&, Responder responder) { handed.set_value(std::move(responder)); })}));
  const auto reply =
      client()->get(server->url() + "/later", std::chrono::steady_clock::now() + std::chrono::milliseconds{50});
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().code, base::Code::deadline_exceeded);
  EXPECT_THAT(reply.error().what, HasSubstr(server->url() + "/later"));
  const auto late = client()->get(server->url() + "/later", std::chrono::steady_clock::now());
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, base::Code::deadline_exceeded);
  handed.get_future().get().send(text_response(200, "late"));  // while there is a server to take it
}

TEST(HttpClient, StopsAtOnceWhenItIsTold) {
  std::promise<Responder> handed;
  const auto server =
      serve(router_with({route(Method::get, "/never", "never",
                               [&](const Request&, Responder responder) { handed.set_value(std::move(responder)); })}));
  const auto http = client();
  const testing::BlackHole hole{false};
  auto waits = std::async(std::launch::async, [&] { return http->get(server->url() + "/never", patience()); });
  auto connects = std::async(std::launch::async, [&] { return http->get(hole.url(), patience()); });
  auto responder = handed.get_future().get();  // the first one waits for its answer now
  http->stop();
  for (auto* one : {&waits, &connects}) {
    const auto reply = one->get();
    ASSERT_FALSE(reply.ok());
    EXPECT_EQ(reply.error().code, base::Code::unavailable) << reply.error().text();
    EXPECT_THAT(reply.error().what, HasSubstr("this program stops"));
  }
  EXPECT_THAT(http->get(server->url() + "/never", patience()).error().what, HasSubstr("this program stops"));
  responder.send(text_response(200, "late"));
}

TEST(HttpClient, ARefusedConnectionIsUnavailable) {
  std::string url;
  {
    const auto server = serve(router_with({echo()}));
    url = server->url();
  }
  const auto reply = client()->get(url + "/x?token=secret", patience());
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().code, base::Code::unavailable);
  EXPECT_THAT(reply.error().what, HasSubstr(url + "/x"));
  EXPECT_THAT(reply.error().what, Not(HasSubstr("secret")));
}

TEST(HttpClient, FollowsNoRedirect) {
  const auto server = serve(router_with({route(Method::get, "/from", "from", [](const Request&, Responder responder) {
    Response response{302, {}, {}, {}};
    response.headers.add("Location", "/to");
    responder.send(std::move(response));
  })}));
  const auto reply = client()->get(server->url() + "/from", patience());
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->status, 302);
}

TEST(HttpClient, CallsOnlyPlainHttpUrls) {
  for (const char* url : {"", "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://x", "http://",
                          "http://user:word@127.0.0.1/", "127.0.0.1:80"}) {
    const auto reply = client()->get(url, patience());
    ASSERT_FALSE(reply.ok()) << url;
    EXPECT_EQ(reply.error().code, base::Code::usage) << url;
    EXPECT_THAT(reply.error().what, Not(HasSubstr("word")));
  }
  const auto split = client()->get("http://127.0.0.1:1/", patience(), {{"X", "a\r\nY: b"}});
  ASSERT_FALSE(split.ok());
  EXPECT_EQ(split.error().code, base::Code::usage);
}

TEST(HttpClient, NamesAServiceInsteadOfAUrlThatCarriesItsKey) {
  HttpRequest request{.url = "http://127.0.0.1:1/v3/customers-key", .deadline = patience(), .shown_as = "node.example"};
  const auto closed = client()->send(request);
  ASSERT_FALSE(closed.ok());
  EXPECT_NE(closed.error().text().find("GET node.example"), std::string::npos) << closed.error().text();
  EXPECT_EQ(closed.error().text().find("customers-key"), std::string::npos) << closed.error().text();
  request.url = "ftp://127.0.0.1/v3/customers-key";
  const auto refused = client()->send(request);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().text().find("customers-key"), std::string::npos) << refused.error().text();
}

TEST(HttpClient, SpeaksToUnixSockets) {
  const auto path =
      (std::filesystem::temp_directory_path() / ("attestry-client-" + std::to_string(::getpid()) + ".sock")).string();
  auto server = Server::start({.listeners = {{"unix:" + path, {Role::public_}}}, .limits = {}}, router_with({echo()}));
  ASSERT_TRUE(server.ok());
  HttpRequest request{.method = Method::post,
                      .url = "http://attestry/echo",
                      .headers = {{"Content-Type", "application/json"}},
                      .body = "{}",
                      .deadline = patience(),
                      .unix_socket = path};
  const auto reply = client()->send(request);
  ASSERT_TRUE(reply.ok()) << reply.error().text();
  EXPECT_EQ(reply->body, "{}");
  request.unix_socket = path + ".absent";
  const auto absent = client()->send(request);
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.error().code, base::Code::unavailable);
}

TEST(HttpClient, IsSharedByThreads) {
  const auto server = serve(router_with({echo()}));
  const auto http = client();
  std::vector<std::future<bool>> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.push_back(std::async(std::launch::async, [&, t] {
      for (int i = 0; i < 20; ++i) {
        const auto body = std::to_string(t * 100 + i);
        const auto reply = http->post(server->url() + "/echo", body, "application/json", patience());
        if (!reply.ok() || reply->body != body) return false;
      }
      return true;
    }));
  }
  for (auto& thread : threads) EXPECT_TRUE(thread.get());
  EXPECT_LE(server->stats().accepted, 4u);
}

TEST(HttpTransport, CanBeReplacedByAStandIn) {
  class StandIn final : public HttpTransport {
   public:
    base::Result<Response> send(const HttpRequest& request) override {
      EXPECT_EQ(request.method, Method::post);
      EXPECT_EQ(request.headers.get("content-type"), "text/plain");
      return text_response(200, request.url + " " + request.body);
    }
  } stand_in;
  EXPECT_EQ(stand_in.post("http://x/", "body", "text/plain", patience())->body, "http://x/ body");
}

TEST(Tls, RoundTripWithTheGivenTrust) {
  const SelfSigned own;
  const auto tls = TlsServerContext::from_pem(own.chain, own.key);
  ASSERT_TRUE(tls.ok()) << tls.error().text();
  const auto server = serve_tls(*tls, router_with({echo()}));
  EXPECT_THAT(server->url(), HasSubstr("https://127.0.0.1:"));
  ClientOptions options;
  options.ca_pem = own.chain;
  const auto http = client(options);
  const std::string large(900'000, 'z');
  for (int i = 0; i < 3; ++i) {
    const auto reply = http->post(server->url() + "/echo", large, "application/json", patience());
    ASSERT_TRUE(reply.ok()) << reply.error().text();
    EXPECT_EQ(reply->body, large);
  }
  EXPECT_EQ(server->stats().accepted, 1u);
  EXPECT_TRUE(server->stop(patience()));
}

TEST(Tls, AClientProvesItselfWhereTheServerAsks) {
  const SelfSigned own;
  const SelfSigned known;
  const SelfSigned stranger;
  const auto tls = TlsServerContext::from_pem(
      own.chain, own.key, {.certificates = TlsClients::Certificates::required, .ca_pem = known.chain});
  ASSERT_TRUE(tls.ok()) << tls.error().text();
  const auto server = serve_tls(*tls, router_with({echo()}));
  const auto as = [&own](const SelfSigned& identity) {
    ClientOptions options;
    options.ca_pem = own.chain;
    options.certificate_pem = identity.chain;
    options.key_pem = std::make_shared<const crypto::Secret>(crypto::Secret::copy_of(base::as_bytes(identity.key)));
    return options;
  };
  const auto url = server->url() + "/echo";
  const auto reply = client(as(known))->post(url, "x", "text/plain", patience());
  ASSERT_TRUE(reply.ok()) << reply.error().text();
  EXPECT_FALSE(client(as(stranger))->post(url, "x", "text/plain", patience()).ok());
  ClientOptions nobody;
  nobody.ca_pem = own.chain;
  EXPECT_FALSE(client(nobody)->post(url, "x", "text/plain", patience()).ok());
  auto halved = as(known);
  halved.key_pem.reset();
  EXPECT_EQ(HttpClient::make(halved).error().code, base::Code::configuration);
}

TEST(Tls, AServerOfAnotherCaIsNotTrusted) {
  const SelfSigned own;
  const SelfSigned other;
  const auto tls = TlsServerContext::from_pem(own.chain, own.key);
  ASSERT_TRUE(tls.ok());
  const auto server = serve_tls(*tls, router_with({echo()}));
  ClientOptions options;
  options.ca_pem = other.chain;
  for (const auto& http : {client(options), client()}) {
    const auto reply = http->get(server->url() + "/echo", patience());
    ASSERT_FALSE(reply.ok());
    EXPECT_EQ(reply.error().code, base::Code::unavailable);
    EXPECT_THAT(reply.error().what, HasSubstr("not trusted"));
  }
}

TEST(Tls, TheCertificateCanBeRenewedWhileRunning) {
  const SelfSigned first;
  const SelfSigned second;
  const auto tls = TlsServerContext::from_pem(first.chain, first.key);
  ASSERT_TRUE(tls.ok());
  const auto server = serve_tls(*tls, router_with({echo()}));
  EXPECT_FALSE((*tls)->reload_pem(second.chain, first.key).ok()) << "the key must belong to the certificate";
  ClientOptions old_trust;
  old_trust.ca_pem = first.chain;
  EXPECT_TRUE(client(old_trust)->get(server->url() + "/echo", patience()).ok());
  ASSERT_TRUE((*tls)->reload_pem(second.chain, second.key).ok());
  ClientOptions new_trust;
  new_trust.ca_pem = second.chain;
  EXPECT_TRUE(client(new_trust)->get(server->url() + "/echo", patience()).ok());
  EXPECT_FALSE(client(old_trust)->get(server->url() + "/echo", patience()).ok());
}

TEST(Tls, ReadsFilesAndRefusesBadOnes) {
  const SelfSigned own;
  const auto folder = std::filesystem::temp_directory_path() / ("attestry-tls-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  const auto chain = (folder / "chain.pem").string();
  const auto key = (folder / "key.pem").string();
  std::ofstream{chain} << own.chain;
  std::ofstream{key} << own.key;
  EXPECT_TRUE(TlsServerContext::from_files(chain, key).ok());
  EXPECT_FALSE(TlsServerContext::from_files(chain, chain).ok());
  EXPECT_FALSE(TlsServerContext::from_files(key, key).ok());
  EXPECT_FALSE(TlsServerContext::from_files(chain, (folder / "absent").string()).ok());
  EXPECT_FALSE(TlsServerContext::from_pem("", "").ok());
  ClientOptions both;
  both.ca_file = chain;
  EXPECT_TRUE(HttpClient::make(both).ok());
  both.ca_pem = own.chain;
  EXPECT_FALSE(HttpClient::make(both).ok());
  std::filesystem::remove_all(folder);
}

TEST(Tls, CutsOffAHandshakeThatDoesNotEnd) {
  const SelfSigned own;
  const auto tls = TlsServerContext::from_pem(own.chain, own.key);
  ASSERT_TRUE(tls.ok());
  ServerLimits limits;
  limits.header_deadline = std::chrono::milliseconds{30};
  const auto server = serve_tls(*tls, router_with({echo()}), limits);
  testing::RawClient silent{server->port()};
  EXPECT_TRUE(silent.at_end());
  testing::RawClient plain{server->port()};
  ASSERT_TRUE(plain.send("GET /echo HTTP/1.1\r\nHost: t\r\n\r\n"));
  EXPECT_EQ(plain.read_reply().status, 0);
}

}  // namespace
}  // namespace attestry::net
