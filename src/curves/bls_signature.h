// BLS signatures with short keys: keys in G1 (48 bytes), signatures in G2 (96 bytes), compressed, of the ciphersuite
// BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_. draft-irtf-cfrg-bls-signature sections 2, 3.3 and 4.2.3
//
// Aggregates are safe only among keys whose owners have proven that they possess them: a key made of another's key
// would sign for both otherwise. Pure; everything here is thread-safe. What depends on a signing key takes the same
// time for every key.
#pragma once
#include <compare>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "curves/bls12_381.h"

namespace attestry::curves::bls {

inline constexpr std::string_view kSignatureSuite = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
inline constexpr std::string_view kPossessionSuite = "BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// A point of G1 that is not the identity. Immutable, copyable.
class PublicKey {
 public:
  using Encoded = G1::Encoded;
  /// KeyValidate: 48 bytes, canonical, on the curve, of the subgroup, not the identity. Error: `malformed`.
  static base::Result<PublicKey> decode(base::ByteView bytes);
  const Encoded& encoded() const noexcept { return encoded_; }
  const G1& point() const noexcept { return point_; }
  friend bool operator==(const PublicKey& a, const PublicKey& b) noexcept { return a.encoded_ == b.encoded_; }

 private:
  friend class SigningKey;
  PublicKey(const G1& point, const Encoded& encoded) : point_(point), encoded_(encoded) {}
  G1 point_;
  Encoded encoded_;
};

/// 96 bytes of a point of G2. What is received as one is checked where it is verified.
using Signature = G2::Encoded;

/// An integer in [1, q-1]. Movable.
class SigningKey {
 public:
  /// 32 bytes, big-endian, in [1, q-1]. Error: `malformed`.
  static base::Result<SigningKey> from_big_endian(base::ByteView bytes);
  /// 32 bytes as a number modulo q, which is what PBTS makes of a TEE's key. Error: `malformed` for another length, and
  /// for what is zero then.
  static base::Result<SigningKey> reduce(base::ByteView bytes);
  /// Uniform.
  static SigningKey random(crypto::Random& random);

  crypto::Secret big_endian() const { return scalar_.big_endian(); }
  PublicKey public_key() const;
  Signature sign(base::ByteView message) const;
  /// Of its own public key, under a tag of its own.
  Signature prove_possession() const;

 private:
  explicit SigningKey(Scalar scalar) : scalar_(std::move(scalar)) {}
  Scalar scalar_;
};

/// False for whatever is no signature of that message, also when it is no point.
bool verify(const PublicKey& key, base::ByteView message, base::ByteView signature);
bool verify_possession(const PublicKey& key, base::ByteView proof);

/// The sum of signatures, each of them a point of the subgroup. Error: `malformed`, naming the first that is none, and
/// for an empty list.
base::Result<Signature> aggregate(std::span<const Signature> signatures);

/// One key over one message. Views the message, which outlives it.
struct Signed {
  PublicKey key;
  base::ByteView message;
};
/// Whether `signature` is the sum of one signature for each of `what`; a key, a message, and a pair of them may come
/// more than once. False for an empty list.
bool aggregate_verify(std::span<const Signed> what, base::ByteView signature);

/// A key, a message and the signature that is said to be of both, hashed and decoded: what is costly, and can be done
/// for each on a thread of its own. Copyable.
class Claim {
 public:
  /// Error `malformed` for what is no point of the curve, or the identity, which is never a signature. Whether it is a
  /// point of the subgroup is seen when claims are checked.
  static base::Result<Claim> create(const PublicKey& key, base::ByteView message, base::ByteView signature);

 private:
  friend class ClaimTree;
  friend bool all_signed(std::span<const Claim> claims);
  Claim(const PublicKey& key, const G2& hash, const G2& signature) : key_(key), hash_(hash), signature_(signature) {}
  PublicKey key_;
  G2 hash_, signature_;
};

/// Whether every key has signed its message, by one check of the aggregate, in which equal keys cost one pairing. What
/// it says is about keys and messages: two signatures may be wrong by amounts that cancel out. The keys' possession is
/// proven. True for an empty list.
bool all_signed(std::span<const Claim> claims);
/// The same for each; halves what is wrong until it is found, so that a few wrong ones among many cost little more than
/// one.
std::vector<bool> which_signed(std::span<const Claim> claims);

}  // namespace attestry::curves::bls
