// TLS for servers, by the system's OpenSSL, which the distribution patches (ARCHITECTURE 4). TLS 1.2 with forward
// secrecy and AEAD, and TLS 1.3; nothing older.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace attestry::net {

/// Certificate chain and key of a listener. Thread-safe; `reload` affects connections accepted afterwards.
class TlsServerContext {
 public:
  /// PEM files: leaf first, then intermediates; an unencrypted private key that must belong to the leaf.
  static base::Result<std::shared_ptr<TlsServerContext>> from_files(const std::string& chain_file,
                                                                    const std::string& key_file);
  /// The same from memory, for certificates that this program issued to itself.
  static base::Result<std::shared_ptr<TlsServerContext>> from_pem(std::string_view chain_pem, std::string_view key_pem);
  ~TlsServerContext();
  TlsServerContext(const TlsServerContext&) = delete;
  TlsServerContext& operator=(const TlsServerContext&) = delete;

  /// On an error the old certificate stays in use.
  base::Status reload_files(const std::string& chain_file, const std::string& key_file);
  base::Status reload_pem(std::string_view chain_pem, std::string_view key_pem);

  struct Impl;  ///< defined in net/internal
  Impl& impl() noexcept { return *impl_; }

 private:
  TlsServerContext();
  std::unique_ptr<Impl> impl_;
};

}  // namespace attestry::net
