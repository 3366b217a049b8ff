#include "secrets/keystore_v0.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "base/base58.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "curves/nacl_box.h"

namespace attestry::secrets::keystore {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;
using crypto::Secret;

namespace {

constexpr std::string_view kPrefix = "ed25519:";
constexpr std::string_view kXorLabel = "keystore-encryption-v1";
constexpr std::size_t kSeed = 32;
constexpr std::size_t kKeyPair = 64;
constexpr std::size_t kMaxKeyText = 1024;

/// How many bytes a text of another length has: for the error only, so it may live in ordinary memory for a moment.
base::Status wrong_length(std::string_view digits) {
  if (!base::is_base58(digits) || digits.size() > kMaxKeyText) {
    return Error{Code::malformed, "Invalid base58 encoding", "the base58 of 64 bytes"};
  }
  auto bytes = base::base58_decode(digits, kMaxKeyText);
  if (!bytes) return Error{Code::malformed, "Invalid base58 encoding", "the base58 of 64 bytes"};
  const std::size_t size = bytes->size();
  crypto::wipe(*bytes);
  return Error{Code::malformed, "Invalid private key length: expected 64 bytes, got " + std::to_string(size)};
}

bool same_letters(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, [](char x, char y) { return (x >= 'A' && x <= 'Z' ? x + 32 : x) == y; });
}

}  // namespace

V0Key::V0Key(crypto::Ed25519PrivateKey signing, bool halves_agree)
    : signing_(std::move(signing)), halves_agree_(halves_agree) {
  sealing_.scalar = crypto::x25519_from_ed25519_seed(signing_.seed().reveal());
  sealing_.public_key = crypto::x25519_public(sealing_.scalar.reveal());
}

Result<V0Key> V0Key::parse(std::string_view text) {
  if (!text.starts_with(kPrefix)) return Error{Code::malformed, "Private key must start with 'ed25519:'"};
  text.remove_prefix(kPrefix.size());
  Secret pair(kKeyPair);
  if (!base::base58_decode_into(text, pair.writable())) {
    TRY_OK(wrong_length(text));
  }
  TRY(auto signing, crypto::Ed25519PrivateKey::from_seed(pair.reveal().first(kSeed)));
  const bool agree = base::equal(signing.public_key(), pair.reveal().last(kSeed));
  return V0Key{std::move(signing), agree};
}

Result<V0Key> V0Key::from_seed(ByteView seed) {
  TRY(auto signing, crypto::Ed25519PrivateKey::from_seed(seed));
  return V0Key{std::move(signing), true};
}

std::string V0Key::public_key_hex() const { return base::hex(public_key()); }
std::string V0Key::public_key_base58() const { return base::base58(public_key()); }

Result<Secret> V0Key::open(ByteView blob, const BrokenCiphers& allowed) const {
  auto opened = open_blob(sealing_, blob, {}, {});
  if (opened || !allowed.xor_v0 || opened.error().code == Code::too_large) return opened;
  return broken_v0_xor(public_key(), blob);
}

Result<base::FixedBytes<32>> v0_encryption_key(const base::FixedBytes<32>& ed25519_public) {
  return curves::x25519_from_ed25519(ed25519_public);
}

Result<base::FixedBytes<32>> parse_v0_public_key(std::string_view text) {
  base::FixedBytes<32> out{};
  if (text.size() == 2 * out.size() && base::hex_decode_into(text, out)) return out;
  if (text.size() > kPrefix.size() && same_letters(text.substr(0, kPrefix.size()), kPrefix)) {
    text.remove_prefix(kPrefix.size());
  }
  if (text.size() == 2 * out.size() && base::hex_decode_into(text, out)) return out;
  if (base::base58_decode_into(text, out)) return out;
  return Error{Code::malformed, "Ed25519 public key", "64 hex digits, or ed25519: and the base58 of 32 bytes",
               std::to_string(text.size()) + " characters"};
}

Result<base::Bytes> v0_seal(const base::FixedBytes<32>& ed25519_public, ByteView plaintext, crypto::Random& random) {
  TRY(const auto to, v0_encryption_key(ed25519_public));
  return ecies_v1_seal(to, plaintext, random);
}

Secret broken_v0_xor(const base::FixedBytes<32>& ed25519_public, ByteView text) {
  const auto key = crypto::sha256({ed25519_public, base::as_bytes(kXorLabel)});
  Secret out(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    out.writable()[i] = static_cast<std::uint8_t>(text[i] ^ key[i % key.size()]);
  }
  return out;
}

Result<std::vector<std::pair<std::string, Secret>>> parse_dotenv(std::string_view text) {
  std::vector<std::pair<std::string, Secret>> out;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
    ++number;
    const std::size_t equals = part.find('=');
    std::string_view name = part.substr(0, equals);
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    if (equals == std::string_view::npos || name.empty()) {
      return Error{Code::malformed,
                   "part " + std::to_string(number) + " of the secrets",
                   "NAME=value",
                   {},
                   "Values with a comma cannot be written like this: give the secrets as JSON."};
    }
    if (std::ranges::any_of(out, [&](const auto& pair) { return pair.first == name; })) {
      return Error{Code::malformed, "the name '" + std::string{name} + "' comes twice"};
    }
    out.emplace_back(std::string{name}, Secret::copy_of(base::as_bytes(part.substr(equals + 1))));
  }
  return out;
}

}  // namespace attestry::secrets::keystore
