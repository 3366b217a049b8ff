// TLS between two programs that know each other by key: which clients and servers get no connection.
#include "net/peer.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "base/encoding.h"
#include "crypto/ec.h"
#include "crypto/key_pem.h"
#include "crypto/x509.h"
#include "net/testing/black_hole.h"

namespace attestry::net {
namespace {

using base::Code;
using base::Result;
using ::testing::HasSubstr;

base::Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(30); }

PeerCredentials credentials(std::string_view seed) {
  crypto::SeededRandom random{base::as_bytes(seed)};
  const auto key = crypto::EcPrivateKey::generate(crypto::Curve::p256, random);
  const std::vector<crypto::NameField> name{{"2.5.4.3", "test", false}};
  const auto der = crypto::issue_certificate({.serial = {1},
                                              .subject = name,
                                              .issuer = name,
                                              .issuer_der = {},
                                              .not_before = base::UtcTime{0},
                                              .not_after = base::UtcTime{1},  // times say nothing here
                                              .spki = key.public_key().spki(),
                                              .extensions = {}},
                                             key);
  return {.certificate_pem = base::pem_encode("CERTIFICATE", *der),
          .key_pem = crypto::secret_pem("PRIVATE KEY", key.pkcs8())};
}

using Opened = Result<std::unique_ptr<PeerConnection>>;

class PeerTest : public ::testing::Test {
 protected:
  std::future<Opened> server(std::string seed = "server") {
    return std::async(std::launch::async, [this, seed]() -> Opened {
      TRY(auto socket, listener->accept());
      return PeerConnection::accept(std::move(socket), credentials(seed), soon());
    });
  }
  Opened call(std::string_view seed = "client") {
    return PeerConnection::connect(listener->address(), credentials(seed), soon());
  }
  std::unique_ptr<PeerListener> listener = PeerListener::bind("127.0.0.1:0").value();
};

template <class T>
void refused(const Result<T>& result, Code code, const std::string& words = {}) {
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, code) << result.error().text();
  EXPECT_THAT(result.error().text(), HasSubstr(words));
}

TEST_F(PeerTest, BothEndsKnowBothKeysAndTheConnection) {
  auto accepted = server();
  auto client = call();
  auto other = accepted.get();
  ASSERT_TRUE(client.ok()) << client.error().text();
  ASSERT_TRUE(other.ok()) << other.error().text();
  EXPECT_EQ((*client)->own_spki(), (*other)->peer_spki());
  EXPECT_EQ((*client)->peer_spki(), (*other)->own_spki());
  EXPECT_EQ((*client)->exporter(), (*other)->exporter());
  const base::Bytes much(1u << 20, 0xa5);
  auto writing = std::async(std::launch::async, [&] { return (*client)->write(much, soon()).ok(); });
  base::Bytes read(much.size());
  ASSERT_TRUE((*other)->read(read, soon()).ok());
  EXPECT_TRUE(writing.get());
  EXPECT_EQ(read, much);
  client->reset();
  refused((*other)->read(std::span{read}.first(1), soon()), Code::unavailable, "closed");
}

TEST_F(PeerTest, NoTwoConnectionsHaveTheSameExporter) {
  auto one = server();
  const auto first = call();
  const auto first_other = one.get();
  auto two = server();
  const auto second = call();
  const auto second_other = two.get();
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE((*first)->exporter(), (*second)->exporter());
}

TEST_F(PeerTest, AnEndWithThisEndsKeyIsRefused) {
  auto accepted = server("one key");
  auto client = call("one key");
  refused(client, Code::denied, "own key");
  refused(accepted.get(), Code::denied, "own key");
}

/// A client of the test's own, by the library itself.
struct Raw {
  explicit Raw(const std::string& address, const std::function<void(SSL_CTX*)>& set, SSL_SESSION* session = nullptr) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    const auto own = credentials("raw");
    BIO* text = BIO_new_mem_buf(own.certificate_pem.data(), static_cast<int>(own.certificate_pem.size()));
    X509* certificate = PEM_read_bio_X509(text, nullptr, nullptr, nullptr);
    BIO* key_text = BIO_new_mem_buf(own.key_pem.reveal().data(), static_cast<int>(own.key_pem.size()));
    EVP_PKEY* key = PEM_read_bio_PrivateKey(key_text, nullptr, nullptr, nullptr);
    SSL_CTX_use_certificate(context, certificate);
    SSL_CTX_use_PrivateKey(context, key);
    static constexpr unsigned char kProtocol[] =
        "\x12"
        "attestry/channel/1";
    SSL_CTX_set_alpn_protos(context, kProtocol, sizeof kProtocol - 1);
    set(context);
    X509_free(certificate);
    EVP_PKEY_free(key);
    BIO_free(text);
    BIO_free(key_text);
    ssl = SSL_new(context);
    if (session != nullptr) SSL_set_session(ssl, session);
    SSL_set_fd(ssl, fd);
    connected = SSL_connect(ssl) == 1;
  }
  ~Raw() {
    SSL_free(ssl);
    SSL_CTX_free(context);
    ::close(fd);
  }
  Raw(const Raw&) = delete;
  Raw& operator=(const Raw&) = delete;

  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* ssl = nullptr;
  bool connected = false;
};

/// RFC 9266 section 2: this label, no context, 32 bytes; here without the code of the room.
TEST_F(PeerTest, TheExporterIsTheOneOfRfc9266) {
  auto accepted = server();
  const Raw foreign(listener->address(), [](SSL_CTX*) {});
  ASSERT_TRUE(foreign.connected);
  const auto other = accepted.get();
  ASSERT_TRUE(other.ok()) << other.error().text();
  constexpr std::string_view kLabel = "EXPORTER-Channel-Binding";
  base::FixedBytes<32> expected{};
  ASSERT_EQ(SSL_export_keying_material(foreign.ssl, expected.data(), expected.size(), kLabel.data(), kLabel.size(),
                                       nullptr, 0, 0),
            1);
  EXPECT_EQ((*other)->exporter(), expected);
}

TEST_F(PeerTest, Tls12IsRefused) {
  auto accepted = server();
  const Raw old(listener->address(), [](SSL_CTX* context) { SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION); });
  EXPECT_FALSE(old.connected);
  refused(accepted.get(), Code::malformed, "unsupported protocol");
}

TEST_F(PeerTest, AnEndWithoutACertificateIsRefused) {
  auto accepted = server();
  const Raw nameless(listener->address(), [](SSL_CTX* context) {
    const auto forget = [](SSL* ssl, void*) {
      SSL_certs_clear(ssl);
      return 1;
    };
    SSL_CTX_set_cert_cb(context, forget, nullptr);
  });
  refused(accepted.get(), Code::malformed, "did not return a certificate");
}

TEST_F(PeerTest, AnotherProtocolIsRefused) {
  auto accepted = server();
  const Raw web(listener->address(), [](SSL_CTX* context) {
    static constexpr unsigned char kHttp[] =
        "\x08"
        "http/1.1";
    SSL_CTX_set_alpn_protos(context, kHttp, sizeof kHttp - 1);
  });
  EXPECT_FALSE(web.connected);
  refused(accepted.get(), Code::malformed);
  accepted = server();
  const Raw none(listener->address(), [](SSL_CTX* context) { SSL_CTX_set_alpn_protos(context, nullptr, 0); });
  refused(accepted.get(), Code::malformed, "speaks no channel");
}

/// Nothing is given to take up again, and what is brought is not taken.
TEST_F(PeerTest, NoSessionIsResumed) {
  auto accepted = server();
  std::unique_ptr<PeerConnection> other;
  SSL_SESSION* session = nullptr;
  {
    const Raw first(listener->address(), [](SSL_CTX*) {});
    ASSERT_TRUE(first.connected);
    other = accepted.get().value();
    ASSERT_TRUE(other->write(base::as_bytes("x"), soon()).ok());
    char byte = 0;
    ASSERT_EQ(SSL_read(first.ssl, &byte, 1), 1);  // a ticket would have come before it
    session = SSL_get1_session(first.ssl);
    EXPECT_EQ(SSL_SESSION_has_ticket(session), 0);
    EXPECT_EQ(SSL_SESSION_get_max_early_data(session), 0u);
  }
  accepted = server();
  const Raw second(listener->address(), [](SSL_CTX*) {}, session);
  EXPECT_TRUE(second.connected);
  EXPECT_EQ(SSL_session_reused(second.ssl), 0);
  EXPECT_TRUE(accepted.get().ok());
  SSL_SESSION_free(session);
}

TEST_F(PeerTest, WhatSpeaksNoTlsIsRefused) {
  auto accepted = server();
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(listener->port());
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  constexpr std::string_view kHttp = "GET / HTTP/1.1\r\n\r\n";
  ASSERT_EQ(::send(fd, kHttp.data(), kHttp.size(), MSG_NOSIGNAL), static_cast<ssize_t>(kHttp.size()));
  refused(accepted.get(), Code::malformed, "TLS handshake");
  ::close(fd);
}

TEST_F(PeerTest, NobodyWaitsLongerThanHisDeadline) {
  const auto short_time = [] { return std::chrono::steady_clock::now() + std::chrono::milliseconds(200); };
  const testing::BlackHole silent(true), full(false);
  for (const auto* hole : {&silent, &full}) {
    const std::string address = hole->url().substr(std::string_view{"http://"}.size());
    refused(PeerConnection::connect(address, credentials("client"), short_time()), Code::deadline_exceeded);
  }
  auto accepted = server();
  auto client = call();
  auto other = accepted.get();
  ASSERT_TRUE(client.ok() && other.ok());
  base::Bytes byte(1);
  refused((*other)->read(byte, short_time()), Code::deadline_exceeded);
}

TEST_F(PeerTest, StoppingEndsEveryWait) {
  auto accepted = server();
  auto client = call();
  auto other = accepted.get();
  ASSERT_TRUE(client.ok() && other.ok());
  auto reading = std::async(std::launch::async, [&]() -> base::Status {
    base::Bytes byte(1);
    return (*other)->read(byte, soon());
  });
  listener->stop();
  refused(reading.get(), Code::unavailable, "shutting down");
  refused(listener->accept(), Code::unavailable, "shutting down");
}

TEST_F(PeerTest, WhoCalledMayStopToo) {
  const testing::BlackHole silent(true);
  const auto stop = PeerStop::make().value();
  auto calling = std::async(std::launch::async, [&] {
    return PeerConnection::connect(silent.url().substr(7), credentials("client"), soon(), stop.get());
  });
  stop->stop();
  refused(calling.get(), Code::unavailable, "shutting down");
}

TEST_F(PeerTest, AThirdMayHangUp) {
  std::promise<PeerHangUp> promised;
  auto accepted = std::async(std::launch::async, [&]() -> Opened {
    TRY(auto socket, listener->accept());
    promised.set_value(socket.hang_up());
    return PeerConnection::accept(std::move(socket), credentials("server"), soon());
  });
  auto client = call();
  auto other = accepted.get();
  ASSERT_TRUE(client.ok() && other.ok());
  const auto hang_up = promised.get_future().get();
  base::FixedBytes<1> byte{};
  auto reading = std::async(std::launch::async, [&] { return (*other)->read(byte, soon()); });
  hang_up();
  refused(reading.get(), Code::unavailable, "closed");
  refused((*client)->read(byte, soon()), Code::unavailable, "closed");
  *other = nullptr;
  hang_up();  // nobody is there any more
}

/// The kernel says which timer a connection has (proc(5), /proc/net/tcp): 02 is keepalive's.
TEST_F(PeerTest, AnEndThatVanishesIsMissed) {
  auto accepted = server();
  const auto client = call();
  const auto other = accepted.get();
  ASSERT_TRUE(client.ok() && other.ok());
  std::array<char, 8> port{};
  std::snprintf(port.data(), port.size(), ":%04X", listener->port());
  const auto kept_alive = [&] {
    std::ifstream table("/proc/self/net/tcp");
    int found = 0;
    for (std::string line; std::getline(table, line);) {
      if (line.find(port.data()) != std::string::npos && line.find(" 02:0000") != std::string::npos) ++found;
    }
    return found;
  };
  // Until what was sent last is acknowledged, the timer is another one.
  const auto end = soon();
  while (kept_alive() != 2 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  EXPECT_EQ(kept_alive(), 2) << "both ends";
}

TEST_F(PeerTest, AddressesAreLookedUp) {
  EXPECT_EQ(*addresses_of("127.0.0.1:1", soon()), std::vector<std::string>{"127.0.0.1"});
  EXPECT_EQ(*addresses_of("[::1]:1", soon()), std::vector<std::string>{"::1"});
  refused(addresses_of("127.0.0.1", soon()), Code::usage);
}

TEST_F(PeerTest, AddressesAreChecked) {
  for (const char* bad : {"", "localhost", "localhost:", ":1", "::1:443", "[::1:443", "localhost:http", "a:123456"}) {
    EXPECT_FALSE(is_peer_address(bad)) << bad;
    refused(PeerConnection::connect(bad, credentials("client"), soon()), Code::usage);
  }
  EXPECT_FALSE(is_peer_address("old.example:0")) << "nobody listens there";
  for (const char* good : {"old.example:9443", "127.0.0.1:1", "[::1]:65535"})
    EXPECT_TRUE(is_peer_address(good)) << good;
  for (const char* bad : {"", "localhost:0", "127.0.0.1", "0.0.0.0:99999"})
    refused(PeerListener::bind(bad), Code::configuration);
  refused(PeerListener::bind(listener->address()), Code::io);
  const std::string gone = listener->address();
  listener.reset();
  refused(PeerConnection::connect(gone, credentials("client"), soon()), Code::unavailable, gone);
}

TEST_F(PeerTest, NamesAreLookedUp) {
  auto accepted = server();
  const auto client =
      PeerConnection::connect("localhost:" + std::to_string(listener->port()), credentials("client"), soon());
  EXPECT_TRUE(client.ok()) << client.error().text();
  EXPECT_TRUE(accepted.get().ok());
}

}  // namespace
}  // namespace attestry::net
