#include "api/keystore_wire.h"

#include <algorithm>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

namespace attestry::api {

using base::JsonOut;

namespace {

constexpr std::string_view kTarget = "Failed to deserialize the JSON body into the target type: ";

net::Response rejection(int status, std::string text) {
  auto response = net::text_response(status, std::move(text));
  response.content_type = "text/plain; charset=utf-8";
  return response;
}

/// As the framework has it: application/json, or a type with the suffix of JSON.
bool is_json(std::string_view type) {
  return type == "application/json" || (type.starts_with("application/") && type.ends_with("+json"));
}

/// Every entry is looked at, whichever is the right one.
bool stands_in(const std::vector<std::string>& list, std::string_view hash) {
  unsigned found = 0;
  for (const std::string& entry : list) {
    found |= static_cast<unsigned>(crypto::equal_constant_time(base::as_bytes(entry), base::as_bytes(hash)));
  }
  return found != 0;
}

}  // namespace

net::Response keystore_error(int status, std::string_view text) {
  auto response = net::json_response(status, JsonOut{base::JsonOutObject{{"error", text}}}.compact());
  response.headers.set("Cache-Control", "no-store");
  if (status == 503) response.headers.set("Retry-After", "1");
  return response;
}

net::Response keystore_json(base::JsonOutObject body) {
  auto response = net::json_response(200, JsonOut{std::move(body)}.compact());
  response.headers.set("Cache-Control", "no-store");
  return response;
}

KeystoreAnswer<crypto::Secret> keystore_secret_base64(const crypto::Secret& text) {
  auto bytes = base::base64_decode(base::as_text(text.reveal()));
  if (!bytes) return std::unexpected(keystore_error(400, "Invalid base64: " + bytes.error().what));
  return crypto::Secret::absorb(*bytes);
}

KeystoreAnswer<std::shared_ptr<const base::JsonDocument>> keystore_body(net::Request& request, bool secret) {
  if (!is_json(request.media_type()))
    return std::unexpected(rejection(415, "Expected request with `Content-Type: application/json`"));
  if (request.body.size() > kKeystoreBody)
    return std::unexpected(rejection(413, "Failed to buffer the request body: length limit exceeded"));
  auto parsed = net::json_body(request, {.max_bytes = kKeystoreBody, .wipe = secret});
  if (!parsed) {
    return std::unexpected(rejection(400, "Failed to parse the request body as JSON: " + base::reason(parsed.error())));
  }
  return *std::move(parsed);
}

void KeystoreFields::fail(std::string text) {
  if (failed_.empty()) failed_ = std::move(text);
}

void KeystoreFields::expect(bool right, std::string_view what) {
  if (!right) fail("invalid type: expected " + std::string{what});
}

std::optional<base::JsonValue> KeystoreFields::optional_value(std::string_view name) const {
  auto found = object_.find(name);
  return found && !found->is_null() ? found : std::nullopt;
}

std::optional<base::JsonValue> KeystoreFields::value(std::string_view name) {
  auto found = object_.find(name);
  if (!found) fail("missing field `" + std::string{name} + "`");
  return found;
}

std::string KeystoreFields::text(std::string_view name) {
  const auto found = value(name);
  if (!found) return {};
  auto out = found->string(name);
  if (out) return *std::move(out);
  fail(std::string{name} + ": invalid type: expected a string");
  return {};
}

crypto::Secret KeystoreFields::secret(std::string_view name) {
  std::string given = text(name);
  return crypto::Secret::absorb({reinterpret_cast<std::uint8_t*>(given.data()), given.size()});
}

std::optional<std::string> KeystoreFields::optional_text(std::string_view name) {
  if (!optional_value(name)) return std::nullopt;
  return text(name);
}

std::uint64_t KeystoreFields::number(std::string_view name) {
  const auto found = value(name);
  if (!found) return 0;
  const auto out = found->integer(name, 0, INT64_MAX);
  if (out) return static_cast<std::uint64_t>(*out);
  // The wire's type has 64 bits, and a time that far away is refused for what it is.
  const std::string_view digits = found->source();
  if (found->kind() == base::JsonKind::number &&
      std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; }))
    return UINT64_MAX;
  fail(std::string{name} + ": invalid type: expected u64");
  return 0;
}

net::Response KeystoreFields::refusal() const { return rejection(422, std::string{kTarget} + failed_); }

KeystoreAnswer<KeystorePrincipal> keystore_principal(const KeystoreTokens& tokens, const net::Request& request,
                                                     KeystoreCaller caller, bool v0_words) {
  constexpr std::string_view kScheme = "Bearer ";
  const auto refuse = [](std::string_view text) { return std::unexpected(keystore_error(401, text)); };
  const auto header = request.headers.find("Authorization");
  if (!header) return refuse("Missing Authorization header");
  if (!header->starts_with(kScheme) || request.headers.count("Authorization") != 1)
    return refuse(v0_words ? "Invalid Authorization header format" : "Invalid Authorization format");
  KeystorePrincipal out{.hash = base::hex(crypto::sha256(base::as_bytes(header->substr(kScheme.size()))))};
  out.worker = stands_in(tokens.workers, out.hash);
  out.coordinator = stands_in(tokens.coordinators, out.hash);
  switch (caller) {
    case KeystoreCaller::worker:
      if (!out.worker) return refuse(v0_words ? "Invalid token" : "Invalid worker token");
      break;
    case KeystoreCaller::coordinator:
      if (!out.coordinator) return refuse("Invalid coordinator token");
      break;
    case KeystoreCaller::either:
      if (!out.worker && !out.coordinator) return refuse("Invalid token");
      break;
  }
  return out;
}

}  // namespace attestry::api
