// Calls of /v1 for operators and tools: JSON in, JSON or a helpful error out.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "net/client.h"

namespace attestry::client {

/// Thread-safe; `http` outlives it.
class ApiClient {
 public:
  ApiClient(net::HttpTransport& http, std::string base_url, std::string token, std::int64_t timeout_seconds = 30);

  /// The body of a 2xx answer. A problem document becomes the Error it was made from. `body` is wiped when it was
  /// moved in and sent.
  base::Result<std::string> call(net::Method method, std::string_view path, std::string body = {},
                                 std::string_view content_type = "application/json") const;
  /// The same, parsed.
  base::Result<std::shared_ptr<const base::JsonDocument>> json(net::Method method, std::string_view path,
                                                               std::string body = {}) const;

 private:
  net::HttpTransport& http_;
  std::string base_url_;
  std::string token_;
  std::int64_t timeout_seconds_;
};

}  // namespace attestry::client
