// GitHub's contents API, in the shapes that it answers with: raw and JSON media types, listings, 404 for what a token
// may not see, primary and secondary rate limits.
#pragma once
#include "blobs/testing/support.h"

namespace attestry::blobs::testing {

class GithubStandIn final : public StandIn {
 public:
  std::string repository = "owner/repo";
  std::map<std::string, std::string> files{};  ///< by path
  std::string token{};                         ///< of a private repository; empty: public
  bool limited = false;
  std::string base{};      ///< "/api/v3" where the server is GitHub Enterprise
  bool json_only = false;  ///< an older server that does not know the raw media type

  net::Response answer(const net::HttpRequest& request, const net::ClientOptions&) override {
    const auto parts = parts_of(request.url);
    if (request.method != net::Method::get) return message(405, "Method not allowed");
    const std::string given{request.headers.get("authorization")};
    if (!given.empty() && given != "Bearer " + token) return message(401, "Bad credentials");
    if (limited) {
      auto out = message(403, "API rate limit exceeded for 203.0.113.7.");
      out.headers.add("x-ratelimit-remaining", "0");
      return out;
    }
    const auto root = base + "/repos/" + repository;
    if (!parts.path.starts_with(root) || (!token.empty() && given.empty())) return message(404, "Not Found");
    const auto rest = parts.path.substr(root.size());
    if (rest.empty()) return json(R"({"full_name":")" + repository + R"("})");
    if (!rest.starts_with("/contents/")) return message(404, "Not Found");
    const auto path = rest.substr(10);
    if (const auto found = files.find(path); found != files.end()) return file(request, path, found->second);
    return listing(path);
  }

 private:
  static net::Response json(std::string body, int status = 200) {
    return {
        .status = status, .content_type = "application/json; charset=utf-8", .body = std::move(body), .headers = {}};
  }
  static net::Response message(int status, const std::string& text) {
    return json(R"({"message":")" + text + R"(","documentation_url":"https://docs.github.com/rest"})", status);
  }

  net::Response file(const net::HttpRequest& request, const std::string& path, const std::string& content) const {
    if (!json_only && request.headers.get("accept") == "application/vnd.github.raw+json") {
      return {.status = 200,
              .content_type = "application/vnd.github.raw+json; charset=utf-8",
              .body = content,
              .headers = {}};
    }
    auto encoded = base::base64(base::as_bytes(content));
    std::string lines;
    for (std::size_t at = 0; at < encoded.size(); at += 60) lines += encoded.substr(at, 60) + "\n";
    const bool large = content.size() > (1u << 20);
    return json(base::JsonOut{base::JsonOutObject{{"type", "file"},
                                                  {"encoding", large ? "none" : "base64"},
                                                  {"size", static_cast<std::int64_t>(content.size())},
                                                  {"path", path},
                                                  {"content", large ? "" : lines}}}
                    .compact());
  }

  net::Response listing(const std::string& folder) const {
    base::JsonOutArray out;
    for (const auto& [path, content] : files) {
      if (!path.starts_with(folder + "/")) continue;
      const auto name = path.substr(folder.size() + 1);
      if (name.find('/') == std::string::npos) out.push_back(base::JsonOutObject{{"type", "file"}, {"name", name}});
    }
    return out.empty() ? message(404, "Not Found") : json(base::JsonOut{std::move(out)}.compact());
  }
};

}  // namespace attestry::blobs::testing
