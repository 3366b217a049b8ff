// github://owner/repo[/folder]?ref=: files in a repository, read through the contents API.
#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "blobs/internal/checked.h"
#include "blobs/internal/github_content.h"

namespace attestry::blobs {
namespace {

using base::Code;
using base::Error;

constexpr std::size_t kOverhead = 1u << 20;

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 100 && text != "." && text != ".." &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
                  c == '_';
         });
}

std::string text_member(const std::string& body, std::string_view key) {
  const auto document = base::JsonDocument::parse(body);
  const auto value = document ? (*document)->root().find(key) : std::nullopt;
  return value && value->is_string() ? value->string(key).value_or("") : "";
}

class GithubStore final : public NamedStore {
 public:
  GithubStore(Uri uri, const StoreContext& context, std::string repository, std::string folder,
              std::shared_ptr<net::HttpTransport> http)
      : NamedStore(std::move(uri), context, SeedLayout::typed),
        repository_(std::move(repository)),
        folder_(std::move(folder)),
        api_(context.github_api),
        token_(context.github_token.clone()),
        http_(std::move(http)) {
    while (api_.ends_with('/')) api_.pop_back();
  }

  std::string name() const override { return "github-" + repository_; }

  base::Status check(base::Deadline deadline) override {
    TRY(const auto answer, call("", "application/vnd.github+json", deadline));
    if (answer.status == 404) {
      return refusal(name(), "the repository", 404, "not there, or not visible to this token");
    }
    if (answer.status != 200) return failure("the repository", answer);
    return base::done();
  }

 protected:
  base::Result<base::Bytes> read(const std::string& name, const base::Digest32& id, base::Deadline deadline) override {
    // The raw media type has no size limit below 100 MB; the JSON one stops at 1 MB.
    TRY(auto answer, call("/contents/" + folder_ + name, "application/vnd.github.raw+json", deadline));
    // Without the branch nothing is known of what would be on it.
    const bool no_branch = answer.status == 404 && answer.body.find("No commit found") != std::string::npos;
    if (answer.status == 404 && !no_branch) return absent(this->name(), id);
    if (answer.status != 200) return failure("a read", answer);
    return github_content(std::move(answer.body), answer.content_type, id);
  }

  base::Status write(const std::string&, base::ByteView, base::Deadline) override {
    return Error{Code::usage, name() + " is read-only", {}, uri()};
  }
  bool can_write() const override { return false; }

  base::Result<std::vector<std::string>> names_in(const std::string& folder, base::Deadline deadline) override {
    TRY(auto answer, call("/contents/" + folder_ + folder, "application/vnd.github+json", deadline));
    if (answer.status == 404) return std::vector<std::string>{};
    if (answer.status != 200) return failure("a list", answer);
    return github_names(std::move(answer.body));
  }

 private:
  base::Result<net::Response> call(const std::string& path, std::string_view accept, base::Deadline deadline) {
    auto url = api_ + "/repos/" + repository_ + path;
    if (const auto ref = location().parameter("ref")) url.append("?ref=").append(net::percent_encode(*ref));
    net::HttpRequest request{.url = std::move(url),
                             .headers = {{"Accept", accept}, {"X-GitHub-Api-Version", "2022-11-28"}},
                             .deadline = deadline,
                             .max_bytes = 2 * max_bytes() + kOverhead};
    if (!token_.empty()) {
      request.headers.add("Authorization", "Bearer " + std::string{base::as_text(token_.reveal())});
    }
    return http_->send(request);
  }

  Error failure(std::string_view step, const net::Response& answer) const {
    if (answer.status == 404) {
      return refusal(name(), step, 404, text_member(answer.body, "message"), "Check the URI's ref=BRANCH.");
    }
    const bool limited = answer.status == 429 ||
                         (answer.status == 403 &&
                          (answer.headers.get("x-ratelimit-remaining") == "0" || answer.headers.find("retry-after")));
    if (limited) {
      return refusal(name(), step, answer.status, "rate limit",
                     "Wait until the limit is renewed, or give a token: with one it is eighty times higher.");
    }
    return refusal(name(), step, answer.status, text_member(answer.body, "message"),
                   answer.status == 401 || answer.status == 403 ? "Check the token and what it may read." : "");
  }

  const std::string repository_;  ///< "owner/repo"
  const std::string folder_;      ///< empty, or ends with a slash
  std::string api_;
  const crypto::Secret token_;
  const std::shared_ptr<net::HttpTransport> http_;
};

}  // namespace

Opened open_github(Uri uri, const StoreContext& context) {
  std::vector<std::string> segments;
  std::string_view rest = uri.path;
  while (!rest.empty()) {
    const auto end = std::min(rest.find('/'), rest.size());
    if (end > 0) segments.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (!is_name(uri.host) || segments.empty() || !std::all_of(segments.begin(), segments.end(), is_name)) {
    return Error{Code::malformed, "invalid GitHub URI format", "github://owner/repo", uri.shown()};
  }
  std::string folder;
  for (std::size_t i = 1; i < segments.size(); ++i) folder.append(segments[i]).append("/");
  const auto repository = uri.host + "/" + segments.front();
  TRY(auto http, connect(context, {}));
  return std::unique_ptr<BlobStore>{
      std::make_unique<GithubStore>(std::move(uri), context, repository, std::move(folder), std::move(http))};
}

}  // namespace attestry::blobs
