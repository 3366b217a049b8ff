// TLS for servers, by the system's OpenSSL, which the distribution patches (ARCHITECTURE 4). TLS 1.2 with forward
// secrecy and AEAD, and TLS 1.3; nothing older.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace attestry::net {

/// Which certificates a listener asks its clients for.
struct TlsClients {
  enum class Certificates : std::uint8_t {
    none,      ///< the handshake asks for none
    asked,     ///< any, or none: a client that sends one has proved that it holds the key, and nothing else
    required,  ///< one that chains up to `ca_pem`; any other client is refused in the handshake
  };
  Certificates certificates = Certificates::none;
  std::string ca_pem{};  ///< for `required`
};

/// Certificate chain and key of a listener. Thread-safe; `reload` affects connections accepted afterwards.
class TlsServerContext {
 public:
  /// PEM files: leaf first, then intermediates; an unencrypted private key that must belong to the leaf.
  static base::Result<std::shared_ptr<TlsServerContext>> from_files(const std::string& chain_file,
                                                                    const std::string& key_file,
                                                                    TlsClients clients = {});
  /// The same from memory, for certificates that this program issued to itself.
  static base::Result<std::shared_ptr<TlsServerContext>> from_pem(std::string_view chain_pem, std::string_view key_pem,
                                                                  TlsClients clients = {});
  ~TlsServerContext();
  TlsServerContext(const TlsServerContext&) = delete;
  TlsServerContext& operator=(const TlsServerContext&) = delete;

  /// On an error the old certificate stays in use.
  base::Status reload_files(const std::string& chain_file, const std::string& key_file);
  base::Status reload_pem(std::string_view chain_pem, std::string_view key_pem);

  struct Impl;  ///< defined in net/internal
  Impl& impl() noexcept { return *impl_; }

 private:
  explicit TlsServerContext(TlsClients clients);
  const TlsClients clients_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace attestry::net
