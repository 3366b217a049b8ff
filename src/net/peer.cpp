#include "net/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <functional>
#include <limits>
#include <utility>

#include "net/internal/peer_socket.h"

namespace attestry::net {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr long kMaxCertificates = 8192;
constexpr std::size_t kMaxSpki = 1024;
constexpr std::size_t kSocketBuffer = 16 * 1024;
constexpr int kBacklog = 64;
constexpr std::chrono::milliseconds kRest{100};
/// Sessions of another protocol do not start, and say so at once.
constexpr unsigned char kProtocol[] = {18,  'a', 't', 't', 'e', 's', 't', 'r', 'y', '/',
                                       'c', 'h', 'a', 'n', 'n', 'e', 'l', '/', '1'};
/// RFC 9266 section 2; its context is the empty string.
constexpr std::string_view kExporterLabel = "EXPORTER-Channel-Binding";

template <auto Free>
struct Freed {
  void operator()(auto* pointer) const { Free(pointer); }
};
using Context = std::unique_ptr<SSL_CTX, Freed<&SSL_CTX_free>>;
using Engine = std::unique_ptr<SSL, Freed<&SSL_free>>;
using Certificate = std::unique_ptr<X509, Freed<&X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<&EVP_PKEY_free>>;
using MemoryBio = std::unique_ptr<BIO, Freed<&BIO_free>>;

Error tls_error(Code code, std::string what) {
  std::array<char, 256> text{};
  const auto error = ERR_peek_last_error();
  ERR_clear_error();
  if (error != 0) ERR_error_string_n(error, text.data(), text.size());
  return {code, std::move(what), {}, text.data()};
}

int no_passphrase(char*, int, int, void*) { return 0; }
/// The key is what counts, and evidence says whose it is; the handshake has proved that the other end holds it.
int any_certificate(X509_STORE_CTX*, void*) { return 1; }

int choose_protocol(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned in_size,
                    void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, size, kProtocol, sizeof kProtocol, in, in_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

Status use_credentials(SSL_CTX* context, const PeerCredentials& credentials) {
  const auto bio_of = [](base::ByteView text) {
    return MemoryBio{BIO_new_mem_buf(text.data(), static_cast<int>(std::min<std::size_t>(text.size(), INT_MAX)))};
  };
  const auto certificate_text = bio_of(base::as_bytes(credentials.certificate_pem));
  const Certificate certificate{PEM_read_bio_X509(certificate_text.get(), nullptr, &no_passphrase, nullptr)};
  const auto key_text = bio_of(credentials.key_pem.reveal());
  const Key key{PEM_read_bio_PrivateKey(key_text.get(), nullptr, &no_passphrase, nullptr)};
  if (!certificate || !key || SSL_CTX_use_certificate(context, certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return tls_error(Code::configuration, "no certificate with its key");
  }
  return base::done();
}

/// FORMATS 9: TLS 1.3 only, no early data, no resumption. A context is of one connection, so there is no session that
/// another one could take up.
Result<Context> make_context(bool server, const PeerCredentials& credentials) {
  ERR_clear_error();
  Context context{SSL_CTX_new(server ? TLS_server_method() : TLS_client_method())};
  if (!context) return tls_error(Code::internal, "TLS: no context");
  auto* native = context.get();
  SSL_CTX_set_min_proto_version(native, TLS1_3_VERSION);
  SSL_CTX_set_max_proto_version(native, TLS1_3_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_CLEANSE_PLAINTEXT);
  SSL_CTX_set_num_tickets(native, 0);
  // Most sessions are idle most of the time: 33 KiB each.
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_early_data(native, 0);
  SSL_CTX_set_recv_max_early_data(native, 0);
  SSL_CTX_set_max_cert_list(native, kMaxCertificates);
  SSL_CTX_set_verify(native, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(native, &any_certificate, nullptr);
  if (server) {
    SSL_CTX_set_alpn_select_cb(native, &choose_protocol, nullptr);
  } else if (SSL_CTX_set_alpn_protos(native, kProtocol, sizeof kProtocol) != 0) {
    return tls_error(Code::internal, "TLS: no protocol");
  }
  TRY_OK(use_credentials(native, credentials));
  return context;
}

Result<base::Bytes> spki_of(X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (size <= 0 || static_cast<std::size_t>(size) > kMaxSpki) {
    OPENSSL_free(der);
    return Error{Code::malformed, "the other end's key", "at most 1024 bytes", std::to_string(size)};
  }
  base::Bytes out(der, der + size);
  OPENSSL_free(der);
  return out;
}

Error gone() { return {Code::unavailable, "the other end has closed the connection"}; }

}  // namespace

PeerSocket::PeerSocket(std::unique_ptr<Impl> impl, std::string address)
    : impl_(std::move(impl)), address_(std::move(address)) {}
PeerSocket::PeerSocket(PeerSocket&&) noexcept = default;
PeerSocket& PeerSocket::operator=(PeerSocket&&) noexcept = default;
PeerSocket::~PeerSocket() = default;
PeerHangUp PeerSocket::hang_up() const { return PeerHangUp{impl_->fd}; }

void PeerHangUp::operator()() const noexcept {
  if (const auto fd = fd_.lock()) ::shutdown(fd->get(), SHUT_RDWR);
}

struct PeerStop::Impl {
  std::shared_ptr<WakeUp> wake;
};
PeerStop::PeerStop(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PeerStop::~PeerStop() = default;
void PeerStop::stop() noexcept { impl_->wake->set(); }

Result<std::shared_ptr<PeerStop>> PeerStop::make() {
  TRY(auto wake, WakeUp::make());
  return std::shared_ptr<PeerStop>{new PeerStop(std::make_unique<Impl>(Impl{.wake = std::move(wake)}))};
}

/// The engine reads and writes memory, and this the socket: it waits no longer than it may, and raises no SIGPIPE.
struct PeerConnection::Impl {
  std::unique_ptr<PeerSocket::Impl> socket;
  Context context;
  Engine engine;
  BIO* incoming = nullptr;  ///< the engine's, like the other
  BIO* outgoing = nullptr;

  Status open(bool server);
  Status flush(base::Deadline deadline);
  Status fill(base::Deadline deadline);
  /// Runs what the engine is asked for until it has done something.
  Result<int> drive(const std::function<int()>& step, std::string_view what, base::Deadline deadline);
};

Status PeerConnection::Impl::open(bool server) {
  engine.reset(SSL_new(context.get()));
  incoming = BIO_new(BIO_s_mem());
  outgoing = BIO_new(BIO_s_mem());
  if (!engine || incoming == nullptr || outgoing == nullptr) {
    BIO_free(incoming);
    BIO_free(outgoing);
    return tls_error(Code::internal, "TLS: no connection");
  }
  SSL_set_bio(engine.get(), incoming, outgoing);
  if (server) {
    SSL_set_accept_state(engine.get());
  } else {
    SSL_set_connect_state(engine.get());
  }
  return base::done();
}

Status PeerConnection::Impl::flush(base::Deadline deadline) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(outgoing, &data);
  for (long sent = 0; sent < size;) {
    const auto n = ::send(socket->fd->get(), data + sent, static_cast<std::size_t>(size - sent), MSG_NOSIGNAL);
    if (n > 0) {
      sent += n;
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      TRY_OK(socket->wait(POLLOUT, deadline));
    } else if (n == 0 || errno != EINTR) {
      return gone();
    }
  }
  BIO_reset(outgoing);
  return base::done();
}

Status PeerConnection::Impl::fill(base::Deadline deadline) {
  std::array<char, kSocketBuffer> buffer;
  while (true) {
    const auto n = ::recv(socket->fd->get(), buffer.data(), buffer.size(), 0);
    if (n > 0) {
      if (BIO_write(incoming, buffer.data(), static_cast<int>(n)) != n) return tls_error(Code::internal, "TLS: memory");
      return base::done();
    }
    if (n == 0) return gone();
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      TRY_OK(socket->wait(POLLIN, deadline));
    } else if (errno != EINTR) {
      return gone();
    }
  }
}

Result<int> PeerConnection::Impl::drive(const std::function<int()>& step, std::string_view what,
                                        base::Deadline deadline) {
  while (true) {
    // Whoever sends a byte now and then must not hold a thread beyond its time.
    if (std::chrono::steady_clock::now() >= deadline)
      return Error{Code::deadline_exceeded, std::string{what} + " took too long"};
    ERR_clear_error();
    const int n = step();
    const int why = n > 0 ? SSL_ERROR_NONE : SSL_get_error(engine.get(), n);
    const bool failed = why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ;
    if (failed) {
      auto error = why == SSL_ERROR_ZERO_RETURN ? gone() : tls_error(Code::malformed, std::string{what});
      [[maybe_unused]] const auto alert = flush(deadline);  // says why, when the other end still listens
      return error;
    }
    TRY_OK(flush(deadline));
    if (why == SSL_ERROR_NONE) return n;
    TRY_OK(fill(deadline));
  }
}

PeerConnection::PeerConnection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

PeerConnection::~PeerConnection() {
  if (!impl_ || !impl_->engine) return;
  SSL_shutdown(impl_->engine.get());
  // As much as the socket takes at once: nobody waits here.
  [[maybe_unused]] const auto bye = impl_->flush(base::Deadline{});
}

Status PeerConnection::identify() {
  SSL* engine = impl_->engine.get();
  const unsigned char* protocol = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(engine, &protocol, &size);
  const bool ours = size + 1 == sizeof kProtocol && std::equal(protocol, protocol + size, kProtocol + 1);
  if (!ours || SSL_version(engine) != TLS1_3_VERSION || SSL_session_reused(engine) != 0)
    return Error{Code::malformed, "the other end speaks no channel", "TLS 1.3 of a new session, attestry/channel/1"};
  X509* own = SSL_get_certificate(engine);
  const Certificate peer{SSL_get1_peer_certificate(engine)};
  if (own == nullptr || !peer) return Error{Code::malformed, "the other end shows no certificate"};
  TRY(own_spki_, spki_of(own));
  TRY(peer_spki_, spki_of(peer.get()));
  // FORMATS 9: with its own key on both ends, evidence of one end would be evidence of the other.
  if (own_spki_ == peer_spki_) return Error{Code::denied, "the other end shows this end's own key"};
  if (SSL_export_keying_material(engine, exporter_.data(), exporter_.size(), kExporterLabel.data(),
                                 kExporterLabel.size(), nullptr, 0, 0) != 1) {
    return tls_error(Code::internal, "TLS: no exporter");
  }
  return base::done();
}

Result<std::unique_ptr<PeerConnection>> PeerConnection::start(std::unique_ptr<PeerSocket::Impl> socket, bool server,
                                                              const PeerCredentials& credentials,
                                                              base::Deadline deadline) {
  auto impl = std::make_unique<Impl>();
  impl->socket = std::move(socket);
  TRY(impl->context, make_context(server, credentials));
  TRY_OK(impl->open(server));
  std::unique_ptr<PeerConnection> out{new PeerConnection(std::move(impl))};
  SSL* engine = out->impl_->engine.get();
  TRY([[maybe_unused]] const int done,
      out->impl_->drive([engine] { return SSL_do_handshake(engine); }, "TLS handshake", deadline));
  TRY_OK(out->identify());
  return out;
}

Result<std::unique_ptr<PeerConnection>> PeerConnection::connect(const std::string& address,
                                                                const PeerCredentials& credentials,
                                                                base::Deadline deadline, const PeerStop* stop) {
  const auto wake = stop != nullptr ? stop->impl_->wake : nullptr;
  TRY(auto fd, connect_to(address, wake.get(), deadline));
  return start(std::make_unique<PeerSocket::Impl>(
                   PeerSocket::Impl{.fd = std::make_shared<const Fd>(std::move(fd)), .wake = wake}),
               false, credentials, deadline);
}

Result<std::unique_ptr<PeerConnection>> PeerConnection::accept(PeerSocket socket, const PeerCredentials& credentials,
                                                               base::Deadline deadline) {
  return start(std::move(socket.impl_), true, credentials, deadline);
}

Status PeerConnection::write(base::ByteView bytes, base::Deadline deadline) {
  SSL* engine = impl_->engine.get();
  while (!bytes.empty()) {
    const int piece = static_cast<int>(std::min(bytes.size(), kSocketBuffer));
    TRY(const int n,
        impl_->drive([&] { return SSL_write(engine, bytes.data(), piece); }, "writing to the other end", deadline));
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return base::done();
}

Status PeerConnection::read(std::span<std::uint8_t> out, base::Deadline deadline) {
  SSL* engine = impl_->engine.get();
  while (!out.empty()) {
    const int piece = static_cast<int>(std::min(out.size(), kSocketBuffer));
    TRY(const int n,
        impl_->drive([&] { return SSL_read(engine, out.data(), piece); }, "reading from the other end", deadline));
    out = out.subspan(static_cast<std::size_t>(n));
  }
  return base::done();
}

struct PeerListener::Impl {
  Fd fd;
  std::shared_ptr<WakeUp> wake;
  std::string host;  ///< as configured, with its brackets
  std::uint16_t port = 0;
};

namespace {

struct Bound {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

std::uint16_t port_of(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(storage).sin6_port);
  return ntohs(reinterpret_cast<const sockaddr_in&>(storage).sin_port);
}

}  // namespace

PeerListener::PeerListener(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PeerListener::~PeerListener() { stop(); }

Result<std::unique_ptr<PeerListener>> PeerListener::bind(const std::string& address) {
  TRY(auto fd, listen_on(address, kBacklog));
  auto impl = std::make_unique<Impl>();
  impl->fd = std::move(fd);
  TRY(impl->wake, WakeUp::make());
  Bound at;
  at.size = sizeof at.storage;
  if (::getsockname(impl->fd.get(), reinterpret_cast<sockaddr*>(&at.storage), &at.size) != 0)
    return Error{Code::io, "listener " + address};
  impl->port = port_of(at.storage);
  impl->host = address.substr(0, address.rfind(':'));
  return std::unique_ptr<PeerListener>{new PeerListener(std::move(impl))};
}

std::uint16_t PeerListener::port() const noexcept { return impl_->port; }
std::string PeerListener::address() const { return impl_->host + ":" + std::to_string(impl_->port); }
void PeerListener::stop() noexcept { impl_->wake->set(); }

Result<PeerSocket> PeerListener::accept() {
  while (true) {
    TRY_OK(wait_for(impl_->fd.get(), POLLIN, impl_->wake.get(), base::Deadline::max()));
    Bound from;
    from.size = sizeof from.storage;
    Fd fd{::accept4(impl_->fd.get(), reinterpret_cast<sockaddr*>(&from.storage), &from.size,
                    SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (fd.get() >= 0) {
      prepare(fd);
      return PeerSocket(std::make_unique<PeerSocket::Impl>(
                            PeerSocket::Impl{.fd = std::make_shared<const Fd>(std::move(fd)), .wake = impl_->wake}),
                        text_of(from.storage));
    }
    // Out of descriptors: what is open will end, and a loop at full speed helps nobody.
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      const auto rested = wait_for(-1, 0, impl_->wake.get(), std::chrono::steady_clock::now() + kRest);
      if (rested.error().code == Code::unavailable) return rested.error();
    }
  }
}

}  // namespace attestry::net
