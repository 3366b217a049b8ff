#include "attestation/maa/jwks.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "crypto/x509.h"

namespace attestry::attestation::maa {

using base::Bytes;
using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;
using crypto::RsaPublicKey;

namespace {

constexpr std::size_t kMaxKeys = 256;

Error malformed(std::string what, std::string expected = {}, std::string found = {}) {
  return {.code = Code::malformed, .what = std::move(what), .expected = std::move(expected), .found = std::move(found)};
}

Result<std::string> string_or_empty(const JsonValue& object, std::string_view key) {
  const auto member = object.find(key);
  if (!member) return std::string{};
  return member->string(key);
}

/// Base64urlUInt (RFC 7518, 2): the fewest bytes that hold the number.
Result<Bytes> number_member(const JsonValue& object, std::string_view key) {
  TRY(const std::string text, string_or_empty(object, key));
  TRY(Bytes bytes, base::base64url_decode(text), key);
  if (bytes.empty() || bytes.front() == 0) return malformed(std::string{key} + " is no Base64urlUInt");
  return bytes;
}

/// The key of x5c[0]. The certificate is signed by itself and vouches for nothing: the set does, by where it came from.
Result<RsaPublicKey> key_of_x5c(const JsonValue& x5c) {
  const auto leaf = x5c.first();
  if (!x5c.is_array() || !leaf) return malformed("x5c is no list of certificates");
  TRY(const std::string text, leaf->string("x5c"));
  TRY(const Bytes der, base::base64_decode(text), "x5c");
  TRY(const crypto::Certificate certificate, crypto::Certificate::parse(der), "x5c");
  TRY(RsaPublicKey key, RsaPublicKey::from_spki(certificate.spki()), "x5c");
  return key;
}

base::Status fit_for_signatures(const JsonValue& key) {
  TRY(const std::string kty, string_or_empty(key, "kty"));
  if (kty != "RSA") return malformed("the key is no RSA key", "kty RSA", kty);
  TRY(const std::string use, string_or_empty(key, "use"));
  if (!use.empty() && use != "sig") return malformed("the key is for another use", "use sig", use);
  TRY(const std::string alg, string_or_empty(key, "alg"));
  if (!alg.empty() && alg != "RS256") return malformed("the key is for another algorithm", "alg RS256", alg);
  const auto operations = key.find("key_ops");
  if (!operations) return base::done();
  for (auto one = operations->first(); one; one = one->next()) {
    if (one->plain_string() == "verify") return base::done();
  }
  return malformed("the key is for other operations", "key_ops verify", std::string{operations->source()});
}

/// RFC 7518, 3.3: keys of 2048 bits or more, which RsaPublicKey sees to.
Result<RsaPublicKey> rsa_key(const JsonValue& key) {
  TRY_OK(fit_for_signatures(key));
  const auto x5c = key.find("x5c");
  const bool numbers = key.find("n") || key.find("e");
  if (!x5c && !numbers) return malformed("the key has neither x5c nor n and e");
  if (!numbers) return key_of_x5c(*x5c);
  TRY(const Bytes n, number_member(key, "n"));
  TRY(const Bytes e, number_member(key, "e"));
  TRY(RsaPublicKey by_numbers, RsaPublicKey::from_numbers(n, e), "n, e");
  if (!x5c) return by_numbers;
  TRY(const RsaPublicKey by_certificate, key_of_x5c(*x5c));
  if (by_numbers.spki() != by_certificate.spki()) {
    return malformed("the key's certificate and its numbers are two keys", "x5c[0] with n and e", "other numbers");
  }
  return by_numbers;
}

Jwk read_key(const JsonValue& value, std::string kid) {
  Jwk out{.kid = std::move(kid), .key = {}, .problem = {}};
  auto key = rsa_key(value);
  if (key.ok()) {
    out.key = *std::move(key);
  } else {
    out.problem = key.error().text();
  }
  return out;
}

}  // namespace

bool KeySet::usable() const {
  return std::ranges::any_of(keys, [](const Jwk& key) { return key.key.has_value(); });
}

Result<KeySet> parse_jwks(std::string_view json) {
  TRY(const auto document, base::JsonDocument::parse(std::string{json}, {.max_bytes = kMaxSetBytes}));
  const auto keys = document->root().find("keys");
  if (!keys || !keys->is_array()) return malformed("the document is no key set", R"({"keys": [...]})");
  if (keys->size() > kMaxKeys) return malformed("the key set is too large", "at most 256 keys");
  KeySet set;
  for (auto key = keys->first(); key; key = key->next()) {
    if (!key->is_object()) return malformed("a key of the set is no object");
    TRY(std::string kid, string_or_empty(*key, "kid"));
    // Keys are looked up by name only: one without a name is never tried.
    if (!kid.empty()) set.keys.push_back(read_key(*key, std::move(kid)));
  }
  return set;
}

}  // namespace attestry::attestation::maa
