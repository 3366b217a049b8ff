// s3://[KEY:SECRET@]bucket/prefix/?region=&endpoint=&path_style=&anonymous=: private objects, requests signed with
// SigV4.
#include <algorithm>

#include "base/encoding.h"
#include "blobs/internal/checked.h"
#include "blobs/internal/s3_xml.h"
#include "blobs/internal/sigv4.h"

namespace attestry::blobs {
namespace {

using base::Code;
using base::Error;

constexpr std::size_t kMaxAnswer = 4u << 20;  // errors and pages of a list
constexpr std::size_t kSealOverhead = 64;
constexpr std::size_t kMaxPages = 10'000;

struct Endpoint {
  std::string base;  ///< "https://host:port"
  std::string host;  ///< as the Host field says it
  std::string root;  ///< "/bucket" in path style
  std::string region;
};

std::string encoded_path(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    const auto end = std::min(path.find('/'), path.size());
    out.append(net::percent_encode(path.substr(0, end)));
    if (end < path.size()) out.push_back('/');
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return out;
}

bool has_dot_segment(std::string_view path) {
  while (!path.empty()) {
    const auto end = std::min(path.find('/'), path.size());
    const auto segment = path.substr(0, end);
    if (segment == "." || segment == "..") return true;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return false;
}

bool is_bucket(std::string_view name) {
  return name.size() >= 3 && name.size() <= 63 && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
                  c == '_';
         });
}

std::string advice(std::string_view code, int status) {
  if (code == "RequestTimeTooSkewed") return "Set this machine's clock: the server's differs by too much.";
  if (code == "SignatureDoesNotMatch" || code == "InvalidAccessKeyId" || code == "AuthorizationHeaderMalformed") {
    return "Check the access key, the secret key and the region.";
  }
  if (code == "NoSuchBucket") return "Check the bucket's name, the region and the endpoint.";
  if (status == 401 || status == 403) return "Check what these credentials may do in the bucket.";
  if (status == 301 || status == 307) return "Name the bucket's own region or endpoint in the URI.";
  return {};
}

class S3Store final : public NamedStore {
 public:
  S3Store(Uri uri, const StoreContext& context, Endpoint endpoint, std::string prefix,
          std::optional<S3Credentials> credentials, std::shared_ptr<net::HttpTransport> http)
      : NamedStore(std::move(uri), context, SeedLayout::flat),
        endpoint_(std::move(endpoint)),
        prefix_(std::move(prefix)),
        credentials_(std::move(credentials)),
        http_(std::move(http)) {}

  std::string name() const override { return "s3-" + location().host; }

  base::Status check(base::Deadline deadline) override {
    TRY(const auto answer,
        call(net::Method::get, "", {{"list-type", "2"}, {"max-keys", "1"}, {"prefix", prefix_}}, {}, deadline));
    if (answer.status != 200) return failure("the bucket", answer);
    return base::done();
  }

 protected:
  base::Result<base::Bytes> read(const std::string& name, const base::Digest32& id, base::Deadline deadline) override {
    TRY(auto answer, call(net::Method::get, prefix_ + name, {}, {}, deadline));
    if (answer.status == 200) return base::to_bytes(answer.body);
    // Some servers say 404 for a bucket that is not there, too: then nothing is known about the object.
    if (answer.status == 404 && s3_error_code(answer.body) != "NoSuchBucket") return absent(this->name(), id);
    return failure("a read", answer);
  }

  base::Status write(const std::string& name, base::ByteView bytes, base::Deadline deadline) override {
    // No ACL is sent: the object is as private as the bucket's owner has made it.
    TRY(const auto answer, call(net::Method::put, prefix_ + name, {}, std::string{base::as_text(bytes)}, deadline));
    if (answer.status != 200) return failure("a write", answer);
    return base::done();
  }

  base::Result<std::vector<std::string>> names_in(const std::string& folder, base::Deadline deadline) override {
    const auto prefix = prefix_ + (folder.empty() ? "" : folder + "/");
    std::vector<std::string> out;
    std::string token;
    for (std::size_t page = 0; page < kMaxPages; ++page) {
      net::Pairs query{{"list-type", "2"}, {"delimiter", "/"}, {"prefix", prefix}};
      if (!token.empty()) query.emplace_back("continuation-token", token);
      TRY(const auto answer, call(net::Method::get, "", query, {}, deadline));
      if (answer.status != 200) return failure("a list", answer);
      TRY(auto listing, parse_s3_listing(answer.body), name());
      for (const auto& key : listing.keys) {
        if (key.starts_with(prefix)) out.push_back(key.substr(prefix.size()));
      }
      token = std::move(listing.next);
      if (token.empty()) return out;
    }
    return Error{Code::unavailable, name() + ": the list of objects does not end"};
  }

 private:
  Error failure(std::string_view step, const net::Response& answer) const {
    const auto code = s3_error_code(answer.body);
    return refusal(name(), step, answer.status, code, advice(code, answer.status));
  }

  base::Result<net::Response> call(net::Method method, const std::string& key, net::Pairs query, std::string body,
                                   base::Deadline deadline) {
    const auto path = endpoint_.root + "/" + encoded_path(key);
    const SigV4Request request{.method = net::to_text(method),
                               .host = endpoint_.host,
                               .path = path,
                               .query = query,
                               .body = base::as_bytes(body),
                               .region = endpoint_.region,
                               .now = clock().now()};
    auto headers = credentials_ ? sign_v4(request, credentials_->access_key, credentials_->secret_key.reveal(),
                                          credentials_->session_token)
                                : unsigned_v4(request);
    if (method == net::Method::put) headers.add("Content-Type", "application/octet-stream");
    auto url = endpoint_.base + path;
    if (!query.empty()) url.append("?").append(canonical_query(std::move(query)));
    return http_->send({.method = method,
                        .url = std::move(url),
                        .headers = std::move(headers),
                        .body = std::move(body),
                        .deadline = deadline,
                        .max_bytes = std::max(kMaxAnswer, max_bytes() + kSealOverhead)});
  }

  const Endpoint endpoint_;
  const std::string prefix_;  ///< empty, or ends with a slash
  const std::optional<S3Credentials> credentials_;
  const std::shared_ptr<net::HttpTransport> http_;
};

base::Result<Endpoint> endpoint_of(const Uri& uri) {
  Endpoint out;
  out.region = uri.parameter("region").value_or("us-east-1");
  const auto given = uri.parameter("endpoint").value_or("");
  const auto style = uri.parameter("path_style");
  const Error bad{Code::malformed, "invalid storage location URI: endpoint", "https://host or https://host:port",
                  uri.shown()};
  if (out.region.empty() || !std::all_of(out.region.begin(), out.region.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
      })) {
    return Error{Code::malformed, "invalid storage location URI: region", "us-east-1", uri.shown()};
  }
  auto whole = given.empty() ? "https://s3." + out.region + ".amazonaws.com" : given;
  if (whole.find("://") == std::string::npos) whole = "https://" + whole;
  const auto parsed = parse_uri(whole);
  if (!parsed || (parsed->scheme != "https" && parsed->scheme != "http") || parsed->host.empty() || parsed->user ||
      (!parsed->path.empty() && parsed->path != "/") || !parsed->query.empty()) {
    return bad;
  }
  auto server = *parsed;
  // libcurl leaves the port out of the Host field where it is the scheme's own, and the signature covers that field.
  if ((server.scheme == "https" && server.port == "443") || (server.scheme == "http" && server.port == "80")) {
    server.port.clear();
  }
  // A certificate for *.s3.… covers one label only, so buckets with dots go into the path as well.
  const bool path_style = style ? uri.flag("path_style") : !given.empty() || uri.host.find('.') != std::string::npos;
  if (path_style) out.root = "/" + uri.host;
  if (!path_style) server.host = uri.host + "." + server.host;
  out.host = server.authority();
  out.base = server.scheme + "://" + out.host;
  return out;
}

std::optional<S3Credentials> credentials_of(const Uri& uri, const StoreContext& context) {
  if (uri.flag("anonymous")) return std::nullopt;
  if (uri.user && uri.password) {
    return S3Credentials{.access_key = *uri.user,
                         .secret_key = crypto::Secret::copy_of(base::as_bytes(*uri.password)),
                         .session_token = uri.parameter("session_token").value_or("")};
  }
  if (!context.s3) return std::nullopt;
  return S3Credentials{.access_key = context.s3->access_key,
                       .secret_key = context.s3->secret_key.clone(),
                       .session_token = context.s3->session_token};
}

}  // namespace

Opened open_s3(Uri uri, const StoreContext& context) {
  if (!is_bucket(uri.host)) {
    return Error{Code::malformed, "invalid storage location URI: not a bucket's name", "s3://bucket/prefix/",
                 uri.shown()};
  }
  std::string prefix = uri.path.substr(std::min(uri.path.find_first_not_of('/'), uri.path.size()));
  while (prefix.ends_with('/')) prefix.pop_back();
  if (has_dot_segment(prefix)) {
    return Error{Code::malformed, "invalid storage location URI: a dot segment in the prefix", {}, uri.shown()};
  }
  if (!prefix.empty()) prefix.push_back('/');
  TRY(auto endpoint, endpoint_of(uri));
  TRY(auto http, connect(context, {}));
  auto credentials = credentials_of(uri, context);
  if (uri.password) {  // the store keeps the URI for its messages only
    crypto::wipe({reinterpret_cast<std::uint8_t*>(uri.password->data()), uri.password->size()});
    uri.password.reset();
  }
  return std::unique_ptr<BlobStore>{std::make_unique<S3Store>(
      std::move(uri), context, std::move(endpoint), std::move(prefix), std::move(credentials), std::move(http))};
}

}  // namespace attestry::blobs
