#include "blobs/internal/vault_secret.h"

#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/utf8.h"

namespace attestry::blobs {
namespace {

using base::Code;
using base::Error;
using base::JsonValue;

constexpr std::size_t kMaxBody = 64u << 20;
constexpr long long kMaxLease = 10ll * 365 * 86'400;

}  // namespace

std::string vault_document(base::ByteView bytes) {
  base::JsonOutObject data{{"content_base64", base::base64(bytes)}};
  if (base::is_utf8(base::as_text(bytes))) data.emplace_back("content", base::as_text(bytes));
  return base::JsonOut{base::JsonOutObject{{"data", std::move(data)}}}.compact();
}

base::Result<base::Bytes> vault_content(std::string body) {
  const Error bad{Code::corrupt, "the stored document holds no content",
                  "data.data.content_base64 or data.data.content"};
  const auto document = base::JsonDocument::parse(std::move(body), {.max_bytes = kMaxBody, .wipe = true});
  if (!document) return bad;
  const auto outer = (*document)->root().find("data");
  const auto data = outer ? outer->find("data") : std::nullopt;
  if (!data || !data->is_object()) return bad;
  if (const auto encoded = data->find("content_base64"); encoded && encoded->is_string()) {
    TRY(const auto text, encoded->string("content_base64"));
    auto bytes = base::base64_decode(text);
    if (bytes) return bytes;
  }
  const auto content = data->find("content");
  if (!content || !content->is_string()) return bad;
  TRY(const auto text, content->string("content"));
  return base::to_bytes(text);
}

base::Result<VaultLogin> vault_login(std::string body) {
  const Error bad{Code::unavailable, "the answer to the login holds no token", "auth.client_token"};
  const auto document = base::JsonDocument::parse(std::move(body), {.wipe = true});
  if (!document) return bad;
  const auto auth = (*document)->root().find("auth");
  const auto token = auth ? auth->find("client_token") : std::nullopt;
  if (!token || !token->is_string()) return bad;
  VaultLogin out;
  TRY(out.token, token->string("client_token"));
  if (out.token.empty()) return bad;
  if (const auto lease = auth->find("lease_duration")) {
    TRY(out.lease_seconds, lease->integer("lease_duration", 0, kMaxLease), "login");
  }
  return out;
}

base::Result<std::vector<std::string>> vault_names(std::string body) {
  const Error bad{Code::unavailable, "the answer to a list holds no keys", "data.keys"};
  const auto document = base::JsonDocument::parse(std::move(body), {.max_bytes = kMaxBody});
  if (!document) return bad;
  const auto data = (*document)->root().find("data");
  const auto keys = data ? data->find("keys") : std::nullopt;
  if (!keys || !keys->is_array()) return bad;
  std::vector<std::string> out;
  for (auto key = keys->first(); key; key = key->next()) {
    TRY(auto text, key->string("key"), "list");
    out.push_back(std::move(text));
  }
  return out;
}

std::string vault_error(std::string_view body) {
  const auto document = base::JsonDocument::parse(std::string{body});
  if (!document) return {};
  const auto errors = (*document)->root().find("errors");
  const auto first = errors ? errors->first() : std::nullopt;
  return first && first->is_string() ? first->string("error").value_or("") : std::string{};
}

}  // namespace attestry::blobs
