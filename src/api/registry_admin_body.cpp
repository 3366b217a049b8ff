#include "api/registry_admin_body.h"

#include "base/encoding.h"
#include "base/json.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::Result;

namespace {

/// A member's text, which is a secret, into bytes that are wiped.
std::optional<crypto::Secret> decode_secret(const base::JsonValue& object, std::string_view key) {
  const auto value = object.find(key);
  if (!value || !value->is_string()) return std::nullopt;
  auto text = value->string(key);
  if (!text) return std::nullopt;
  auto bytes = base::base64_decode(*text);
  crypto::wipe({reinterpret_cast<std::uint8_t*>(text->data()), text->size()});
  if (!bytes) return std::nullopt;
  return crypto::Secret::absorb(*bytes);
}

}  // namespace

Result<AdminNumbers> admin_numbers(const std::string& body) {
  AdminNumbers out;
  if (body.empty()) return out;
  TRY(const auto document, base::JsonDocument::parse(body));
  const auto root = document->root();
  if (!root.is_object()) return Error{Code::malformed, "no object"};
  constexpr std::int64_t kMost = 1'000'000;
  if (const auto value = root.find("threshold")) {
    TRY(out.threshold, value->integer("threshold", -kMost, kMost));
  }
  if (const auto value = root.find("total_shares")) {
    TRY(out.total, value->integer("total_shares", -kMost, kMost));
  }
  return out;
}

Result<AdminSubmission> admin_submission(std::string body) {
  const auto malformed = [](const char* what) { return Error{Code::usage, what}; };
  const auto document = base::JsonDocument::parse(std::move(body), base::JsonLimits{.wipe = true});
  if (!document || !(*document)->root().is_object()) return malformed("Invalid request body");
  const auto root = (*document)->root();
  AdminSubmission out;
  const auto index = root.find("share_index");
  if (!index) return malformed("Invalid request body");
  const auto number = index->integer("share_index", -1'000'000, 1'000'000);
  if (!number) return malformed("Invalid request body");
  out.index = *number;
  if (const auto sealed = root.find("sealed_share")) {
    const auto text = sealed->string("sealed_share");
    const auto bytes = text ? base::base64_decode(*text) : Result<base::Bytes>{text.error()};
    if (!bytes) return malformed("Invalid share encoding");
    out.sealed = *bytes;
    return out;
  }
  auto share = decode_secret(root, "share");
  if (!share) return malformed("Invalid share encoding");
  out.share = *std::move(share);
  const auto signature = root.find("signature");
  const auto text = signature ? signature->string("signature") : Result<std::string>{malformed("absent")};
  const auto bytes = text ? base::base64_decode(*text) : Result<base::Bytes>{text.error()};
  if (!bytes) return malformed("Invalid signature encoding");
  out.signature = *bytes;
  return out;
}

}  // namespace attestry::api
