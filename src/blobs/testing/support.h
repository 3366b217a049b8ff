// Clock, places and the common part of the stand-ins for storage servers.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/mutex.h"
#include "blobs/store.h"
#include "crypto/hash.h"
#include "net/client.h"

namespace attestry::blobs::testing {

inline constexpr base::UtcTime kTime{1'792'000'000};

/// Stands still in UTC; its steady time is the machine's.
class FixedClock final : public base::Clock {
 public:
  base::UtcTime now() const override { return {seconds_.load()}; }
  base::Deadline steady() const override { return base::system_clock().steady(); }
  void set(base::UtcTime time) { seconds_ = time.seconds; }

 private:
  std::atomic<std::int64_t> seconds_{kTime.seconds};
};

inline base::Deadline soon() { return base::system_clock().steady() + std::chrono::seconds{20}; }
inline base::AppRef app_of(std::string_view text) { return base::AppRef::parse(text).value(); }
inline base::Tenant tenant_of(std::string_view text) { return base::Tenant::parse(text).value(); }
inline Place config_of(std::string_view app, std::string_view tenant = "default") {
  return {tenant_of(tenant), app_of(app), Type::config};
}
inline Place secret_of(std::string_view app, std::string_view tenant = "default") {
  return {tenant_of(tenant), app_of(app), Type::secret};
}
inline base::Digest32 id_of(std::string_view content) { return crypto::sha256(base::as_bytes(content)); }
inline std::string text_of(const base::Bytes& bytes) { return std::string{base::as_text(bytes)}; }

inline StoreContext context_for(std::string_view app, std::string_view tenant = "default") {
  return StoreContext{.tenant = tenant_of(tenant), .app = app_of(app)};
}

/// A server at the other end of a store's HTTP client. `broken` answers every call with that status.
class StandIn {
 public:
  virtual ~StandIn() = default;
  virtual net::Response answer(const net::HttpRequest& request, const net::ClientOptions& client) = 0;
  std::atomic<int> broken{0};
  std::atomic<int> calls{0};
  std::vector<net::HttpRequest> seen() const {
    const base::MutexLock lock{mutex_};
    return seen_;
  }
  net::Response take(const net::HttpRequest& request, const net::ClientOptions& client) {
    ++calls;
    {
      const base::MutexLock lock{mutex_};
      seen_.push_back(request);
    }
    if (broken != 0) return {.status = broken, .content_type = {}, .body = "broken", .headers = {}};
    return answer(request, client);
  }

 private:
  mutable base::Mutex mutex_;
  std::vector<net::HttpRequest> seen_ ATTESTRY_GUARDED_BY(mutex_);
};

/// What `connect` of a StoreContext gives out.
class StandInTransport final : public net::HttpTransport {
 public:
  StandInTransport(std::shared_ptr<StandIn> server, net::ClientOptions options)
      : server_(std::move(server)), options_(std::move(options)) {}
  base::Result<net::Response> send(const net::HttpRequest& request) override {
    if (base::system_clock().steady() >= request.deadline) {
      return base::Error{base::Code::deadline_exceeded, "no whole answer in time"};
    }
    auto response = server_->take(request, options_);
    if (response.body.size() > request.max_bytes) {
      return base::Error{base::Code::unavailable, "the answer is too large"};
    }
    if (response.content_type.empty()) response.content_type = response.headers.get("content-type");
    return response;
  }

 private:
  std::shared_ptr<StandIn> server_;
  net::ClientOptions options_;
};

inline void connect_to(StoreContext& context, const std::shared_ptr<StandIn>& server) {
  context.connect = [server](net::ClientOptions options) -> base::Result<std::shared_ptr<net::HttpTransport>> {
    return std::shared_ptr<net::HttpTransport>{std::make_shared<StandInTransport>(server, std::move(options))};
  };
}

/// scheme://host, path without query, and the decoded query.
struct Parts {
  std::string origin, host, path;
  std::map<std::string, std::string> query;
};
inline Parts parts_of(const std::string& url) {
  Parts out;
  const auto slash = std::min(url.find('/', url.find("://") + 3), url.size());
  out.origin = url.substr(0, slash);
  out.host = out.origin.substr(out.origin.find("://") + 3);
  const auto question = std::min(url.find('?'), url.size());
  out.path = url.substr(slash, question - slash);
  std::string_view rest{url};
  rest.remove_prefix(std::min(question + 1, url.size()));
  while (!rest.empty()) {
    const auto end = std::min(rest.find('&'), rest.size());
    const auto pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const auto equals = std::min(pair.find('='), pair.size());
    out.query[base::percent_decode(pair.substr(0, equals)).value()] =
        base::percent_decode(pair.substr(std::min(equals + 1, pair.size()))).value();
  }
  return out;
}

inline net::Response plain(int status, std::string body = {}) {
  return {.status = status, .content_type = {}, .body = std::move(body), .headers = {}};
}

}  // namespace attestry::blobs::testing
