#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>
#include <fstream>
#include <iterator>

#include "net/internal/tls_impl.h"

namespace attestry::net {
namespace {

constexpr std::size_t kMaxPem = 1u << 20;

base::Error tls_error(std::string what) {
  std::array<char, 256> text{};
  const auto code = ERR_peek_last_error();
  ERR_clear_error();
  if (code != 0) ERR_error_string_n(code, text.data(), text.size());
  return {base::Code::configuration,
          "TLS: " + std::move(what),
          {},
          text.data(),
          "Give a PEM chain, leaf first, and the unencrypted PEM key that belongs to the leaf."};
}

int choose_http11(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size,
                  void*) {
  static constexpr unsigned char kProtocols[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kProtocols, sizeof(kProtocols), in, in_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

/// OpenSSL's own would ask at the terminal and hang a service.
int refuse_passphrase(char*, int, int, void*) { return 0; }

/// The holder of the key is whom the handler judges, by other means than a chain.
int accept_any(int, X509_STORE_CTX*) { return 1; }

base::Status ask_clients(asio::ssl::context& context, const TlsClients& clients) {
  if (clients.certificates == TlsClients::Certificates::none) return base::done();
  auto* native = context.native_handle();
  // A resumed session would carry a certificate whose key was proved in another connection.
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(native, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(native, 0);
  if (clients.certificates == TlsClients::Certificates::asked) {
    SSL_CTX_set_verify(native, SSL_VERIFY_PEER, &accept_any);
    return base::done();
  }
  boost::system::error_code ec;
  context.add_certificate_authority(asio::buffer(clients.ca_pem), ec);
  if (ec) return tls_error("the CA of the clients cannot be read");
  SSL_CTX_set_verify(native, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return base::done();
}

base::Result<std::shared_ptr<asio::ssl::context>> make_context(std::string_view chain_pem, std::string_view key_pem,
                                                               const TlsClients& clients) {
  ERR_clear_error();
  std::shared_ptr<asio::ssl::context> context;
  try {
    context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  } catch (const std::exception& e) {
    return base::Error{base::Code::internal, std::string{"TLS: no context: "} + e.what()};
  }
  auto* native = context->native_handle();
  // BCP 195 (RFC 9325): 1.2 only with ephemeral keys and AEAD; no compression, no renegotiation.
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  if (SSL_CTX_set_cipher_list(native, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL") != 1) return tls_error("no cipher suites");
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(native, &choose_http11, nullptr);
  SSL_CTX_set_default_passwd_cb(native, &refuse_passphrase);
  boost::system::error_code ec;
  context->use_certificate_chain(asio::buffer(chain_pem), ec);
  if (ec) return tls_error("the certificate chain cannot be read");
  context->use_private_key(asio::buffer(key_pem), asio::ssl::context::pem, ec);
  if (ec || SSL_CTX_check_private_key(native) != 1)
    return tls_error("the key cannot be read or is of another certificate");
  TRY_OK(ask_clients(*context, clients));
  return context;
}

base::Result<std::string> read_file(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  if (!in) return base::Error{base::Code::configuration, "TLS: cannot open " + path};
  std::string text{std::istreambuf_iterator<char>{in}, {}};
  if (text.size() > kMaxPem) return base::Error{base::Code::configuration, "TLS: " + path + " is too large"};
  return text;
}

}  // namespace

std::shared_ptr<asio::ssl::context> TlsServerContext::Impl::current() {
  const base::MutexLock lock{mutex_};
  return context_;
}

void TlsServerContext::Impl::replace(std::shared_ptr<asio::ssl::context> next) {
  const base::MutexLock lock{mutex_};
  context_.swap(next);
}

TlsServerContext::TlsServerContext(TlsClients clients)
    : clients_(std::move(clients)), impl_(std::make_unique<Impl>()) {}
TlsServerContext::~TlsServerContext() = default;

base::Result<std::shared_ptr<TlsServerContext>> TlsServerContext::from_pem(std::string_view chain_pem,
                                                                           std::string_view key_pem,
                                                                           TlsClients clients) {
  std::shared_ptr<TlsServerContext> context{new TlsServerContext{std::move(clients)}};
  TRY_OK(context->reload_pem(chain_pem, key_pem));
  return context;
}

base::Result<std::shared_ptr<TlsServerContext>> TlsServerContext::from_files(const std::string& chain_file,
                                                                             const std::string& key_file,
                                                                             TlsClients clients) {
  std::shared_ptr<TlsServerContext> context{new TlsServerContext{std::move(clients)}};
  TRY_OK(context->reload_files(chain_file, key_file));
  return context;
}

base::Status TlsServerContext::reload_pem(std::string_view chain_pem, std::string_view key_pem) {
  TRY(auto context, make_context(chain_pem, key_pem, clients_));
  impl_->replace(std::move(context));
  return base::done();
}

base::Status TlsServerContext::reload_files(const std::string& chain_file, const std::string& key_file) {
  TRY(auto chain, read_file(chain_file));
  TRY(auto key, read_file(key_file));
  auto status = reload_pem(chain, key);
  OPENSSL_cleanse(key.data(), key.size());
  return status;
}

}  // namespace attestry::net
