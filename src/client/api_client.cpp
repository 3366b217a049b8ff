#include "client/api_client.h"

#include <chrono>

#include "crypto/secret.h"
#include "net/problem.h"

namespace attestry::client {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::string_view kUnix = "unix:";
constexpr std::size_t kMaxAnswer = 32u << 20;  // an exported appraisal

}  // namespace

ApiClient::ApiClient(net::HttpTransport& http, std::string base_url, std::string token, std::int64_t timeout_seconds)
    : http_(http), base_url_(std::move(base_url)), token_(std::move(token)), timeout_seconds_(timeout_seconds) {
  while (base_url_.ends_with('/')) base_url_.pop_back();
}

Result<std::string> ApiClient::call(net::Method method, std::string_view path, std::string body,
                                    std::string_view content_type) const {
  net::HttpRequest request{.method = method,
                           .url = base_url_ + std::string{path},
                           .body = std::move(body),
                           .deadline = std::chrono::steady_clock::now() + std::chrono::seconds{timeout_seconds_},
                           .max_bytes = kMaxAnswer};
  if (base_url_.starts_with(kUnix)) {
    request.unix_socket = base_url_.substr(kUnix.size());
    request.url = "http://localhost" + std::string{path};
  }
  if (!request.body.empty()) request.headers.set("Content-Type", content_type);
  if (!token_.empty()) request.headers.set("Authorization", "Bearer " + token_);
  auto sent = http_.send(request);
  // A body may be a secret that an operator deposits.
  crypto::wipe({reinterpret_cast<std::uint8_t*>(request.body.data()), request.body.size()});
  if (!sent && sent.error().code == Code::unavailable && sent.error().remedy.empty()) {
    Error error = std::move(sent).error();
    error.remedy = "Is the server running, and is " + base_url_ +
                   " its operators' listener? --server or ATTESTRY_SERVER names it.";
    return error;
  }
  TRY(auto response, std::move(sent));
  if (response.status >= 200 && response.status < 300) return std::move(response.body);
  if (auto error = net::error_from_problem(response)) return *error;
  return Error{Code::unavailable,
               "the server answered " + std::to_string(response.status) + " without a problem document",
               {},
               request.url,
               "Is this an attestry server, and the right listener?"};
}

Result<std::shared_ptr<const base::JsonDocument>> ApiClient::json(net::Method method, std::string_view path,
                                                                  std::string body) const {
  TRY(auto text, call(method, path, std::move(body)));
  return base::JsonDocument::parse(std::move(text), {.max_bytes = 64u << 20});
}

}  // namespace attestry::client
