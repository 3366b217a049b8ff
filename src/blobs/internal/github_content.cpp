#include "blobs/internal/github_content.h"

#include "base/encoding.h"
#include "base/json.h"
#include "crypto/hash.h"

namespace attestry::blobs {
namespace {

using base::Code;
using base::Error;

constexpr std::size_t kMaxListing = 8u << 20;

}  // namespace

base::Result<base::Bytes> github_content(std::string body, std::string_view content_type, const base::Digest32& id) {
  auto bytes = base::to_bytes(body);
  if (content_type.find("json") == std::string_view::npos || base::equal(crypto::sha256(bytes), id)) return bytes;
  const auto size = body.size();
  const auto document = base::JsonDocument::parse(std::move(body), {.max_bytes = size + 1});
  if (!document) return bytes;
  const auto encoding = (*document)->root().find("encoding");
  const auto content = (*document)->root().find("content");
  if (!encoding || !content || !content->is_string()) return bytes;
  if (encoding->plain_string() != "base64") {
    return Error{Code::unavailable, "the contents API leaves the content out", "encoding base64",
                 std::string{encoding->source().substr(0, 40)}};
  }
  TRY(auto text, content->string("content"));
  std::erase_if(text, [](char c) { return c == '\n' || c == '\r'; });
  auto decoded = base::base64_decode(text);
  return decoded ? *std::move(decoded) : bytes;
}

base::Result<std::vector<std::string>> github_names(std::string body) {
  const auto document = base::JsonDocument::parse(std::move(body), {.max_bytes = kMaxListing});
  if (!document || !(*document)->root().is_array()) {
    return Error{Code::unavailable, "the contents API's listing of a folder is none", "a JSON array"};
  }
  std::vector<std::string> out;
  for (auto entry = (*document)->root().first(); entry; entry = entry->next()) {
    const auto type = entry->find("type");
    const auto name = entry->find("name");
    if (!type || !name || type->plain_string() != "file") continue;
    TRY(auto text, name->string("name"), "listing");
    out.push_back(std::move(text));
  }
  return out;
}

}  // namespace attestry::blobs
