// What NEAR's transactions, contracts and RPC name things by: amounts, accounts, keys, signatures.
#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/ec.h"
#include "crypto/mldsa.h"

namespace attestry::chain::near {

/// An unsigned number of 128 bits: amounts in yoctoNEAR (10^-24 NEAR), units of tokens.
struct U128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  /// Decimal digits only, no sign, no leading zeros.
  static base::Result<U128> parse(std::string_view text);
  std::string text() const;
  friend auto operator<=>(const U128&, const U128&) = default;
};

/// A name that NEAR accepts as an account's (nomicon, "Account ID"): 2 to 64 characters, parts of lower-case letters
/// and digits, one of '-', '_' and '.' between two of them. Whether there is such an account is another question.
class AccountId {
 public:
  static base::Result<AccountId> parse(std::string_view text);
  const std::string& text() const noexcept { return text_; }
  friend auto operator<=>(const AccountId&, const AccountId&) = default;

 private:
  explicit AccountId(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

/// In the order of their numbers in borsh. `ml_dsa_65` is NEP-645: of protocol version 85 and later.
enum class KeyKind : std::uint8_t { ed25519, secp256k1, ml_dsa_65 };
std::string_view to_text(KeyKind kind) noexcept;
/// Bytes of a public key: 32, 64 (x ‖ y), 1952.
std::size_t public_key_size(KeyKind kind) noexcept;
/// Bytes of a signature: 64, 65 (r ‖ s ‖ v), 3309.
std::size_t signature_size(KeyKind kind) noexcept;

/// Of the right size for its kind; whether the bytes are a point is seen when it is used.
class PublicKey {
 public:
  /// "ed25519:<base58>", "secp256k1:<base58>" or "ml-dsa-65:<base58>"; the kind in lower case and never left out.
  static base::Result<PublicKey> parse(std::string_view text);
  /// Error `malformed` for another size.
  static base::Result<PublicKey> from_bytes(KeyKind kind, base::ByteView bytes);
  KeyKind kind() const noexcept { return kind_; }
  const base::Bytes& bytes() const noexcept { return bytes_; }
  std::string text() const;
  friend auto operator<=>(const PublicKey&, const PublicKey&) = default;

 private:
  PublicKey(KeyKind kind, base::Bytes bytes) : kind_(kind), bytes_(std::move(bytes)) {}
  KeyKind kind_;
  base::Bytes bytes_;
};

class Signature {
 public:
  /// The same text forms as public keys.
  static base::Result<Signature> parse(std::string_view text);
  static base::Result<Signature> from_bytes(KeyKind kind, base::ByteView bytes);
  KeyKind kind() const noexcept { return kind_; }
  const base::Bytes& bytes() const noexcept { return bytes_; }
  std::string text() const;
  friend bool operator==(const Signature&, const Signature&) = default;

 private:
  Signature(KeyKind kind, base::Bytes bytes) : kind_(kind), bytes_(std::move(bytes)) {}
  KeyKind kind_;
  base::Bytes bytes_;
};

/// Ed25519 (RFC 8032) and ML-DSA-65 (FIPS 204, empty context). Errors: `unauthenticated` when the signature is not of
/// this key over these bytes, `usage` for other kinds of keys: nothing can be said about their signatures here.
base::Status verify(const PublicKey& key, base::ByteView message, const Signature& signature);

/// A key that signs, Ed25519 or ML-DSA-65. Move-only, thread-safe.
class SecretKey {
 public:
  /// "ed25519:" and the base58 of seed ‖ public key. Both halves must belong together; errors (`malformed`) never show
  /// the text.
  static base::Result<SecretKey> parse(std::string_view text);
  /// 32 bytes. `usage` for a kind that signs nothing here (secp256k1).
  static base::Result<SecretKey> from_seed(base::ByteView seed, KeyKind kind = KeyKind::ed25519);
  const PublicKey& public_key() const noexcept { return public_; }
  Signature sign(base::ByteView message) const;

 private:
  using Key = std::variant<crypto::Ed25519PrivateKey, crypto::Mldsa65PrivateKey>;
  SecretKey(Key key, PublicKey pub) : key_(std::move(key)), public_(std::move(pub)) {}
  Key key_;
  PublicKey public_;
};

/// The base58 of 32 bytes: hashes of blocks, transactions and code.
base::Result<base::Digest32> parse_hash(std::string_view text, std::string_view field);

}  // namespace attestry::chain::near
