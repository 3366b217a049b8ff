// Reading a JSON Web Token in JWS compact form (RFC 7515 section 7.1, RFC 7519): strict, once, and without believing
// anything. Signatures are over the received text, which is therefore kept.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"

namespace attestry::attestation::maa {

/// Real tokens have 4 to 12 KiB; a tenant's policy can add claims.
inline constexpr std::size_t kMaxTokenBytes = 128u << 10;

/// The three parts, decoded. Views live as long as the token's text.
struct Jws {
  std::string_view signed_text;  ///< "header.payload" exactly as received (RFC 7515, 5.2 step 8)
  base::Bytes header;            ///< JSON text, not looked at
  base::Bytes payload;
  base::Bytes signature;
};

/// Three parts of base64url without padding, none empty, nothing around them. Error `malformed` names the part.
base::Result<Jws> parse_jws(std::string_view text);

/// The protected header. What a token brings to verify itself with (`jwk`, `x5c`, `x5u`) is not even read.
struct JwsHeader {
  std::optional<std::string> alg;
  std::optional<std::string> typ;
  std::optional<std::string> kid;
  std::optional<std::string> jku;
  bool brings_key = false;  ///< jwk, x5c or x5u: for messages only
  bool has_crit = false;
};
/// A JSON object whose members above are strings where they are there (RFC 7515, 4.1).
base::Result<JwsHeader> parse_jws_header(base::ByteView json);

/// The claims set: a JSON object (RFC 7519, 7.2 step 10), strict as base::JsonDocument is: no member twice.
base::Result<std::shared_ptr<const base::JsonDocument>> parse_claims(base::ByteView json);

}  // namespace attestry::attestation::maa
