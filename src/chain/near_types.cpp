#include "chain/near_types.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/base58.h"
#include "crypto/mldsa.h"

namespace attestry::chain::near {
namespace {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::Error;
using base::Result;

constexpr std::size_t kMinAccount = 2;
constexpr std::size_t kMaxAccount = 64;
constexpr std::array kKinds{KeyKind::ed25519, KeyKind::secp256k1, KeyKind::ml_dsa_65};

/// The number as four digits of 32 bits, the lowest first.
using Limbs = std::array<std::uint32_t, 4>;

bool multiply_add(Limbs& limbs, std::uint32_t factor, std::uint32_t summand) {
  std::uint64_t carry = summand;
  for (std::uint32_t& limb : limbs) {
    carry += std::uint64_t{limb} * factor;
    limb = static_cast<std::uint32_t>(carry);
    carry >>= 32;
  }
  return carry == 0;
}

std::uint32_t divide(Limbs& limbs, std::uint32_t divisor) {
  std::uint64_t rest = 0;
  for (std::size_t i = limbs.size(); i > 0; --i) {
    rest = rest << 32 | limbs[i - 1];
    limbs[i - 1] = static_cast<std::uint32_t>(rest / divisor);
    rest %= divisor;
  }
  return static_cast<std::uint32_t>(rest);
}

struct TextForm {
  KeyKind kind;
  Bytes bytes;
};

/// "kind:base58" of exactly the size that belongs to the kind. `what` names it in errors; it is never a secret.
Result<TextForm> parse_text(std::string_view text, std::string_view what, std::size_t (*size)(KeyKind) noexcept) {
  const auto colon = text.find(':');
  const std::string_view name = text.substr(0, std::min(colon, text.size()));
  const auto kind = std::ranges::find_if(kKinds, [&](KeyKind k) { return to_text(k) == name; });
  if (colon == std::string_view::npos || kind == kKinds.end()) {
    return Error{Code::malformed, std::string{what} + ": not of a known kind",
                 "ed25519:, secp256k1: or ml-dsa-65: and base58", std::string{text.substr(0, 20)}};
  }
  TextForm out{*kind, Bytes(size(*kind))};
  TRY_OK(base::base58_decode_into(text.substr(colon + 1), out.bytes), what);
  return out;
}

Error wrong_size(std::string_view what, std::size_t expected, std::size_t found) {
  return {Code::malformed, std::string{what} + ": another length", std::to_string(expected) + " bytes",
          std::to_string(found)};
}

std::string text_of(KeyKind kind, ByteView bytes) { return std::string{to_text(kind)} + ":" + base::base58(bytes); }

}  // namespace

// -- amounts

Result<U128> U128::parse(std::string_view text) {
  const auto refused = [&](std::string_view why) {
    return Error{Code::malformed, "amount: " + std::string{why}, "a decimal number below 2^128",
                 std::string{text.substr(0, 48)}};
  };
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return refused("not digits");
  if (text.size() > 1 && text[0] == '0') return refused("leading zeros");
  Limbs limbs{};
  for (const char digit : text) {
    if (!multiply_add(limbs, 10, static_cast<std::uint32_t>(digit - '0'))) return refused("too large");
  }
  return U128{.high = std::uint64_t{limbs[3]} << 32 | limbs[2], .low = std::uint64_t{limbs[1]} << 32 | limbs[0]};
}

std::string U128::text() const {
  Limbs limbs{static_cast<std::uint32_t>(low), static_cast<std::uint32_t>(low >> 32), static_cast<std::uint32_t>(high),
              static_cast<std::uint32_t>(high >> 32)};
  std::string out;
  do {
    out += static_cast<char>('0' + divide(limbs, 10));
  } while (limbs != Limbs{});
  std::ranges::reverse(out);
  return out;
}

// -- accounts

Result<AccountId> AccountId::parse(std::string_view text) {
  const auto refused = [&](std::string_view why) {
    return Error{Code::malformed, "NEAR account: " + std::string{why},
                 "2 to 64 characters, a-z and 0-9 with single '-', '_' or '.' between them",
                 std::string{text.substr(0, kMaxAccount)}};
  };
  if (text.size() < kMinAccount) return refused("too short");
  if (text.size() > kMaxAccount) return refused("too long");
  bool after_separator = true;  // of the beginning: a separator must not be first
  for (const char c : text) {
    const bool separator = c == '-' || c == '_' || c == '.';
    if (!separator && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9')) return refused("a character that none has");
    if (separator && after_separator) return refused("a separator where none may stand");
    after_separator = separator;
  }
  if (after_separator) return refused("a separator at the end");
  return AccountId{std::string{text}};
}

// -- keys and signatures

std::string_view to_text(KeyKind kind) noexcept {
  switch (kind) {
    case KeyKind::ed25519:
      return "ed25519";
    case KeyKind::secp256k1:
      return "secp256k1";
    case KeyKind::ml_dsa_65:
      return "ml-dsa-65";
  }
  return {};
}

std::size_t public_key_size(KeyKind kind) noexcept {
  switch (kind) {
    case KeyKind::ed25519:
      return 32;
    case KeyKind::secp256k1:
      return 64;
    case KeyKind::ml_dsa_65:
      return 1952;  // FIPS 204, table 2
  }
  return 0;
}

std::size_t signature_size(KeyKind kind) noexcept {
  switch (kind) {
    case KeyKind::ed25519:
      return 64;
    case KeyKind::secp256k1:
      return 65;
    case KeyKind::ml_dsa_65:
      return 3309;  // FIPS 204, table 2
  }
  return 0;
}

Result<PublicKey> PublicKey::parse(std::string_view text) {
  TRY(auto parsed, parse_text(text, "public key", public_key_size));
  return PublicKey{parsed.kind, std::move(parsed.bytes)};
}

Result<PublicKey> PublicKey::from_bytes(KeyKind kind, ByteView bytes) {
  if (bytes.size() != public_key_size(kind)) return wrong_size("public key", public_key_size(kind), bytes.size());
  return PublicKey{kind, base::to_bytes(bytes)};
}

std::string PublicKey::text() const { return text_of(kind_, bytes_); }

Result<Signature> Signature::parse(std::string_view text) {
  TRY(auto parsed, parse_text(text, "signature", signature_size));
  return Signature{parsed.kind, std::move(parsed.bytes)};
}

Result<Signature> Signature::from_bytes(KeyKind kind, ByteView bytes) {
  if (bytes.size() != signature_size(kind)) return wrong_size("signature", signature_size(kind), bytes.size());
  return Signature{kind, base::to_bytes(bytes)};
}

std::string Signature::text() const { return text_of(kind_, bytes_); }

base::Status verify(const PublicKey& key, ByteView message, const Signature& signature) {
  if (key.kind() == KeyKind::secp256k1) {
    return Error{.code = Code::usage,
                 .what = "signatures of this kind of key are not verified",
                 .expected = "ed25519 or ml-dsa-65",
                 .found = std::string{to_text(key.kind())},
                 .remedy = "Use an Ed25519 key."};
  }
  const auto verifies = key.kind() == KeyKind::ed25519 ? crypto::ed25519_verify : crypto::mldsa65_verify;
  const bool good = signature.kind() == key.kind() && verifies(key.bytes(), message, signature.bytes());
  if (!good) return Error{Code::unauthenticated, "the signature is not one of " + key.text() + " over this message"};
  return base::done();
}

Result<SecretKey> SecretKey::parse(std::string_view text) {
  constexpr std::string_view kPrefix = "ed25519:";
  constexpr std::size_t kHalf = 32;
  // The words of NEAR's keystore worker, which its operators look for.
  if (!text.starts_with(kPrefix)) return Error{Code::malformed, "Private key must start with 'ed25519:'"};
  text.remove_prefix(kPrefix.size());
  if (!base::is_base58(text)) return Error{Code::malformed, "Invalid base58 encoding"};
  crypto::Secret both{2 * kHalf};
  if (const auto decoded = base::base58_decode_into(text, both.writable()); !decoded.ok()) {
    return Error{Code::malformed, "Invalid private key length: expected 64 bytes, got " + decoded.error().found};
  }
  TRY(SecretKey key, from_seed(both.reveal().first(kHalf)));
  if (!base::equal(key.public_.bytes(), both.reveal().last(kHalf))) {
    return Error{Code::malformed, "private key: its second half is not the public key of the first", key.public_.text(),
                 "another key", "Copy the whole text anew; a part of it may be damaged."};
  }
  return key;
}

Result<SecretKey> SecretKey::from_seed(ByteView seed, KeyKind kind) {
  if (kind == KeyKind::ed25519) {
    TRY(auto key, crypto::Ed25519PrivateKey::from_seed(seed), "private key");
    TRY(PublicKey pub, PublicKey::from_bytes(kind, key.public_key()));
    return SecretKey{std::move(key), std::move(pub)};
  }
  if (kind == KeyKind::ml_dsa_65) {
    TRY(auto key, crypto::Mldsa65PrivateKey::from_seed(seed), "private key");
    TRY(PublicKey pub, PublicKey::from_bytes(kind, key.public_key()));
    return SecretKey{std::move(key), std::move(pub)};
  }
  return Error{Code::usage, "nothing is signed with this kind of key", "ed25519 or ml-dsa-65",
               std::string{to_text(kind)}};
}

Signature SecretKey::sign(ByteView message) const {
  return std::visit([&](const auto& key) { return *Signature::from_bytes(public_.kind(), key.sign(message)); }, key_);
}

Result<base::Digest32> parse_hash(std::string_view text, std::string_view field) {
  base::Digest32 out{};
  TRY_OK(base::base58_decode_into(text, out), field);
  return out;
}

}  // namespace attestry::chain::near
