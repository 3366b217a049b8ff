// Outbound HTTP with a deadline, a size cap and a connection pool on every call (ARCHITECTURE 3.2), by libcurl.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "crypto/secret.h"
#include "net/http.h"

namespace attestry::net {

struct HttpRequest {
  Method method = Method::get;
  std::string url;  ///< http or https only, with no user and password in it
  Headers headers{};
  std::string body{};
  base::Deadline deadline;                            ///< for everything: name, connection, TLS, answer
  std::size_t max_bytes = 4u << 20;                   ///< of the answer's body; its header may have 256 KiB
  base::Code if_too_large = base::Code::unavailable;  ///< code of the error when it has more
  std::string unix_socket{};                          ///< path: connect there; the URL still gives Host and path
  /// What errors say instead of the URL, for services that have their customers' keys in its path.
  std::string shown_as{};
};

/// Where HTTP calls go. Implemented by HttpClient and by stand-ins in tests. Thread-safe.
/// A Response of any status is a success here. Errors: unavailable (no connection, TLS refused, connection lost, answer
/// too large), deadline_exceeded, usage (a URL that may not be called). Each names the URL without its query, or
/// `shown_as`.
class HttpTransport {
 public:
  virtual ~HttpTransport() = default;
  virtual base::Result<Response> send(const HttpRequest& request) = 0;

  base::Result<Response> get(std::string url, base::Deadline deadline, Headers headers = {});
  base::Result<Response> post(std::string url, std::string body, std::string_view content_type, base::Deadline deadline,
                              Headers headers = {});
};

struct ClientOptions {
  /// What https trusts: exactly one of these. All empty: the system's roots.
  std::string ca_file{};
  std::string ca_pem{};
  /// What this client proves itself with where a server asks: a PEM chain, leaf first, and its unencrypted PEM key.
  /// Both or neither.
  std::string certificate_pem{};
  std::shared_ptr<const crypto::Secret> key_pem{};
  /// http_proxy, https_proxy and no_proxy of the environment; loopback addresses never go through a proxy.
  bool environment_proxy = true;
  /// Connects to addresses of the internet at large only (is_public_ip), whatever a name resolves to: for URLs that
  /// strangers write. Holds for a proxy's address, too.
  bool public_only = false;
  std::size_t max_idle_handles = 16;  ///< kept for reuse, each with its own open connections
  std::string user_agent = "attestry";
  const base::Clock* clock = &base::system_clock();
};

/// libcurl with pooled handles. Follows no redirects, keeps no cookies, sends no credentials by itself.
class HttpClient final : public HttpTransport {
 public:
  /// configuration when both trusts are given, the file cannot be read, or a certificate comes without its key.
  static base::Result<std::unique_ptr<HttpClient>> make(ClientOptions options = {});
  ~HttpClient() override;
  base::Result<Response> send(const HttpRequest& request) override;
  /// Ends what is under way, at once, and whatever is sent from now on: `unavailable`. For a program that stops.
  void stop();

 private:
  struct Impl;
  explicit HttpClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace attestry::net
