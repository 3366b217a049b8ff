// The inside of TlsServerContext; the only header that shows the system's OpenSSL, for this room's .cpp files.
#pragma once
#include <memory>

#include "net/internal/asio.h"
#include "net/tls.h"
// Asio first, with its settings.
#include <boost/asio/ssl.hpp>

#include "base/mutex.h"

namespace attestry::net {

struct TlsServerContext::Impl {
  /// The context for a new connection; it stays alive as long as connections use it.
  std::shared_ptr<asio::ssl::context> current();
  void replace(std::shared_ptr<asio::ssl::context> next);

 private:
  base::Mutex mutex_;
  std::shared_ptr<asio::ssl::context> context_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::net
