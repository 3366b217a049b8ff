#include "app/storage_credentials.h"

#include <vector>

#include "app/typed_text.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;

namespace {

std::vector<std::string_view> words_of(std::string_view line) {
  constexpr std::string_view kBlank = " \t\r";
  std::vector<std::string_view> out;
  for (auto at = line.find_first_not_of(kBlank); at != std::string_view::npos;
       at = line.find_first_not_of(kBlank, at)) {
    const auto end = std::min(line.find_first_of(kBlank, at), line.size());
    out.push_back(line.substr(at, end - at));
    at = end;
  }
  return out;
}

}  // namespace

Result<StorageCredentials> StorageCredentials::parse(const crypto::Secret& text) {
  StorageCredentials out;
  std::string_view rest = base::as_text(text.reveal());
  for (std::size_t number = 1; !rest.empty(); ++number) {
    const auto end = std::min(rest.find('\n'), rest.size());
    const auto words = words_of(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (words.empty() || words.front().starts_with('#')) continue;
    const auto wrong = [&](std::string expected) {
      return Error{Code::malformed, "line " + std::to_string(number), std::move(expected), {}};
    };
    if (words.size() < 3) return wrong("a contract, a URI, and credentials behind them");
    const auto contract = typed_address(words[0]);
    if (!contract) return Error{contract.error()}.at("line " + std::to_string(number));
    const bool s3 = words[1].starts_with("s3://");
    if (!s3 && !words[1].starts_with("github://")) return wrong("a URI of s3 or github");
    // A URI with credentials of its own, or with anonymous=true, would not use these.
    const auto host = words[1].substr(0, words[1].find('/', words[1].find("://") + 3));
    if (host.contains('@') || words[1].contains("anonymous=")) return wrong("a URI without credentials of its own");
    if (words.size() != (s3 ? 4u : 3u)) return wrong(s3 ? "an access key and a secret key" : "one token");
    Credentials one;
    if (s3) one.access_key = std::string{words[2]};
    one.secret = crypto::Secret::copy_of(base::as_bytes(words.back()));
    if (!out.of_.try_emplace({*contract, std::string{words[1]}}, std::move(one)).second)
      return wrong("a contract and URI that no line before has");
  }
  return out;
}

void StorageCredentials::give(const curves::Address& contract, std::string_view uri,
                              blobs::StoreContext& context) const {
  context.s3.reset();
  context.github_token = {};
  const auto found = of_.find({contract, std::string{uri}});
  if (found == of_.end()) return;
  const Credentials& mine = found->second;
  if (uri.starts_with("s3://")) {
    context.s3.emplace(blobs::S3Credentials{.access_key = mine.access_key, .secret_key = mine.secret.clone()});
  } else {
    context.github_token = mine.secret.clone();
  }
}

}  // namespace attestry::app
