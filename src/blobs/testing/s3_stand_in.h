// An S3 server that checks what a real one checks: path-style objects, SigV4 over what really arrived, the body's hash,
// the clock, and no public objects. The verification is written here a second time, from the received request.
#pragma once
#include <ctime>

#include "blobs/testing/support.h"

namespace attestry::blobs::testing {

class S3StandIn final : public StandIn {
 public:
  std::string bucket = "bucket";
  std::string region = "us-east-1";
  std::map<std::string, std::string> keys{{"AKIATEST", "sec/ret+key="}};
  std::string session_token{};  ///< required with every request when not empty
  bool public_read = false;
  base::UtcTime now = kTime;
  std::map<std::string, std::string> objects{};
  std::size_t page = 1000;

  net::Response answer(const net::HttpRequest& request, const net::ClientOptions&) override {
    const auto parts = parts_of(request.url);
    if (const auto refused = check_signature(request, parts); !refused.empty()) return error(403, refused);
    if (request.headers.find("x-amz-acl")) return error(403, "AccessDenied");
    const auto root = "/" + bucket;
    if (parts.path != root && !parts.path.starts_with(root + "/")) return error(404, "NoSuchBucket");
    const auto key =
        base::percent_decode(std::string_view{parts.path}.substr(std::min(root.size() + 1, parts.path.size()))).value();
    if (request.method == net::Method::get && key.empty()) return list(parts);
    if (request.method == net::Method::get) {
      const auto found = objects.find(key);
      return found == objects.end() ? error(404, "NoSuchKey") : plain(200, found->second);
    }
    if (request.method == net::Method::put) {
      objects[key] = request.body;
      return plain(200);
    }
    return error(405, "MethodNotAllowed");
  }

 private:
  static net::Response error(int status, const std::string& code) {
    return plain(status, "<?xml version=\"1.0\"?><Error><Code>" + code + "</Code><Message>no</Message></Error>");
  }

  net::Response list(const Parts& parts) const {
    if (parts.query.count("list-type") == 0) return error(501, "NotImplemented");
    const auto& query = parts.query;
    const auto prefix = query.count("prefix") != 0 ? query.at("prefix") : "";
    const auto after = query.count("continuation-token") != 0 ? query.at("continuation-token") : "";
    std::string out = "<ListBucketResult><Name>" + bucket + "</Name>";
    std::size_t count = 0;
    std::string last;
    bool more = false;
    for (const auto& [key, value] : objects) {
      if (!key.starts_with(prefix) || key <= after) continue;
      if (query.count("delimiter") != 0 && key.find('/', prefix.size()) != std::string::npos) continue;
      if (count++ == page) {
        more = true;
        break;
      }
      out += "<Contents><Key>" + key + "</Key></Contents>";
      last = key;
    }
    out += std::string{"<IsTruncated>"} + (more ? "true" : "false") + "</IsTruncated>";
    if (more) out += "<NextContinuationToken>" + last + "</NextContinuationToken>";
    return plain(200, out + "</ListBucketResult>");
  }

  static std::string field(const std::string& text, const std::string& name) {
    const auto at = text.find(name + "=");
    if (at == std::string::npos) return {};
    const auto begin = at + name.size() + 1;
    return text.substr(begin, std::min(text.find(',', begin), text.size()) - begin);
  }

  /// Empty, or S3's error code.
  std::string check_signature(const net::HttpRequest& request, const Parts& parts) const {
    const std::string header{request.headers.get("authorization")};
    if (header.empty()) return public_read && request.method == net::Method::get ? "" : "AccessDenied";
    const auto credential = field(header, "Credential");
    const auto slash = credential.find('/');
    const auto access = credential.substr(0, slash);
    const auto scope = slash == std::string::npos ? "" : credential.substr(slash + 1);
    const auto secret = keys.find(access);
    if (secret == keys.end()) return "InvalidAccessKeyId";
    if (request.headers.get("x-amz-security-token") != session_token) return "InvalidToken";
    const std::string date{request.headers.get("x-amz-date")};
    if (scope != date.substr(0, 8) + "/" + region + "/s3/aws4_request") return "AuthorizationHeaderMalformed";
    if (skew(date) > 15 * 60) return "RequestTimeTooSkewed";
    const std::string body_hash{request.headers.get("x-amz-content-sha256")};
    const auto real_hash = base::hex(crypto::sha256(base::as_bytes(request.body)));
    if (body_hash != real_hash) return "XAmzContentSHA256Mismatch";
    const auto text =
        "AWS4-HMAC-SHA256\n" + date + "\n" + scope + "\n" +
        base::hex(crypto::sha256(base::as_bytes(canonical(request, parts, field(header, "SignedHeaders")))));
    auto key = crypto::hmac_sha256(base::as_bytes("AWS4" + secret->second), base::as_bytes(date.substr(0, 8)));
    for (const std::string& step : {region, std::string{"s3"}, std::string{"aws4_request"}}) {
      key = crypto::hmac_sha256(key, base::as_bytes(step));
    }
    const auto expected = base::hex(crypto::hmac_sha256(key, base::as_bytes(text)));
    return field(header, "Signature") == expected ? "" : "SignatureDoesNotMatch";
  }

  std::string canonical(const net::HttpRequest& request, const Parts& parts, const std::string& names) const {
    std::string query;
    for (const auto& [name, value] : parts.query) {
      query += (query.empty() ? "" : "&") + net::percent_encode(name) + "=" + net::percent_encode(value);
    }
    std::string out = std::string{net::to_text(request.method)} + "\n" + parts.path + "\n" + query + "\n";
    for (std::size_t at = 0; at < names.size();) {
      const auto end = std::min(names.find(';', at), names.size());
      const auto name = names.substr(at, end - at);
      at = end + 1;
      // What the client says is not believed for the host: the server knows where it was reached.
      const std::string value = name == "host" ? parts.host : std::string{request.headers.get(name)};
      out += name + ":" + value + "\n";
    }
    return out + "\n" + names + "\n" + std::string{request.headers.get("x-amz-content-sha256")};
  }

  std::int64_t skew(const std::string& date) const {
    if (date.size() != 16) return 1 << 20;
    const auto sent =
        base::parse_rfc3339(date.substr(0, 4) + "-" + date.substr(4, 2) + "-" + date.substr(6, 2) + "T" +
                            date.substr(9, 2) + ":" + date.substr(11, 2) + ":" + date.substr(13, 2) + "Z");
    if (!sent) return 1 << 20;
    return std::max(sent->seconds - now.seconds, now.seconds - sent->seconds);
  }
};

}  // namespace attestry::blobs::testing
