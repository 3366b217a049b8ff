#include "attestation/maa/jwt.h"

#include <array>

#include "base/encoding.h"

namespace attestry::attestation::maa {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMaxHeaderBytes = 16u << 10;

Error malformed(std::string what, std::string expected, std::string found) {
  return {.code = Code::malformed, .what = std::move(what), .expected = std::move(expected), .found = std::move(found)};
}

Result<std::optional<std::string>> optional_string(const base::JsonValue& object, std::string_view key) {
  const auto member = object.find(key);
  if (!member) return std::optional<std::string>{};
  TRY(std::string text, member->string(key));
  return std::optional<std::string>{std::move(text)};
}

}  // namespace

Result<Jws> parse_jws(std::string_view text) {
  if (text.size() > kMaxTokenBytes) {
    return malformed("the token is too long", "at most " + std::to_string(kMaxTokenBytes) + " characters",
                     std::to_string(text.size()));
  }
  constexpr std::array<std::string_view, 3> kNames{"header", "payload", "signature"};
  std::array<base::Bytes, 3> parts;
  std::size_t begin = 0;
  std::size_t signed_size = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::size_t dot = text.find('.', begin);
    const bool last = i + 1 == parts.size();
    if (last != (dot == std::string_view::npos)) {
      return malformed("the token has not three parts", "header.payload.signature",
                       last ? "more than three parts" : std::to_string(i + 1) + " part(s)");
    }
    const std::string_view part = text.substr(begin, last ? dot : dot - begin);
    if (part.empty()) return malformed(std::string{kNames[i]} + " is empty", "base64url text", "nothing");
    TRY(parts[i], base::base64url_decode(part), kNames[i]);
    if (!last) begin = dot + 1;
    if (i == 1) signed_size = dot;
  }
  return Jws{text.substr(0, signed_size), std::move(parts[0]), std::move(parts[1]), std::move(parts[2])};
}

Result<JwsHeader> parse_jws_header(base::ByteView json) {
  TRY(const auto document, base::JsonDocument::parse(std::string{base::as_text(json)}, {.max_bytes = kMaxHeaderBytes}));
  const base::JsonValue root = document->root();
  if (!root.is_object()) return malformed("the header is no JSON object", "{...}", "another value");
  JwsHeader header;
  TRY(header.alg, optional_string(root, "alg"));
  TRY(header.typ, optional_string(root, "typ"));
  TRY(header.kid, optional_string(root, "kid"));
  TRY(header.jku, optional_string(root, "jku"));
  header.has_crit = root.find("crit").has_value();
  header.brings_key = root.find("jwk") || root.find("x5c") || root.find("x5u");
  return header;
}

Result<std::shared_ptr<const base::JsonDocument>> parse_claims(base::ByteView json) {
  TRY(auto document, base::JsonDocument::parse(std::string{base::as_text(json)}, {.max_bytes = kMaxTokenBytes}));
  if (!document->root().is_object()) return malformed("the payload is no JSON object", "{...}", "another value");
  return document;
}

}  // namespace attestry::attestation::maa
