// BLS12-381 on blst: scalars, the groups G1 and G2, hashing to both and the pairing. Encodings are those of ZCash and
// of the IETF's drafts (48 and 96 bytes, compressed). draft-irtf-cfrg-pairing-friendly-curves, RFC 9380
//
// What depends on a Scalar takes the same time for every value; what takes points only does not: points are public
// here.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/random.h"
#include "crypto/secret.h"

namespace attestry::curves::bls {

/// An integer modulo the order q of the groups. Immutable, thread-safe, in locked memory, wiped at the end.
class Scalar {
 public:
  /// 32 bytes, big- or little-endian, less than q: `malformed` for anything else. Zero is allowed.
  static base::Result<Scalar> from_big_endian(base::ByteView bytes);
  static base::Result<Scalar> from_little_endian(base::ByteView bytes);
  /// OS2IP(bytes) modulo q, for 48 or more uniform bytes.
  static Scalar from_wide(base::ByteView bytes);
  static Scalar from_u32(std::uint32_t value);
  /// Uniform, never zero.
  static Scalar random(crypto::Random& random);

  Scalar clone() const;
  crypto::Secret big_endian() const;
  /// The same in ordinary memory: for what is no secret, such as a proof's challenge and answers.
  base::FixedBytes<32> public_bytes() const;
  bool is_zero() const noexcept;
  Scalar operator+(const Scalar& other) const;
  Scalar operator-(const Scalar& other) const;
  Scalar operator*(const Scalar& other) const;
  /// Of zero: zero.
  Scalar inverse() const;
  /// Constant time.
  bool operator==(const Scalar& other) const noexcept;

 private:
  friend struct Raw;
  Scalar();
  crypto::Secret value_;  ///< 32 bytes little-endian, as blst takes them
};

/// A point of the subgroup of order q, or of the curve where `unchecked` says so. Immutable after construction,
/// copyable.
class G1 {
 public:
  using Encoded = base::FixedBytes<48>;

  /// The identity.
  G1();
  static const G1& generator();
  /// Exactly 48 bytes, compressed, canonical, on the curve, of order q, and not the identity unless it is `allowed`.
  enum class Identity : std::uint8_t { refused, allowed };
  static base::Result<G1> decode(base::ByteView bytes, Identity identity = Identity::refused);
  /// As above without the look at the order: for summands whose sum is checked with `in_subgroup`.
  static base::Result<G1> decode_unchecked(base::ByteView bytes);
  /// BLS12381G1_XMD:SHA-256_SSWU_RO_ with `tag` as its domain separation tag (RFC 9380 section 8.8.1).
  static G1 hash(base::ByteView message, std::string_view tag);
  /// scalar * generator, by a table: less than half of the time of operator*.
  static G1 times_generator(const Scalar& scalar);

  Encoded encode() const;
  /// Two encodings for one inversion.
  static std::array<Encoded, 2> encode(const G1& a, const G1& b);
  bool is_identity() const noexcept;
  bool in_subgroup() const noexcept;
  G1 operator+(const G1& other) const;
  G1 operator-(const G1& other) const;
  G1 operator*(const Scalar& scalar) const;
  /// p * a + q * b in three quarters of the time. Both points of the subgroup.
  static G1 sum_of_products(const G1& p, const Scalar& a, const G1& q, const Scalar& b);
  bool operator==(const G1& other) const noexcept;
  /// Makes it the identity in a way that the compiler keeps: for the few points that are secrets.
  void wipe() noexcept;

 private:
  friend struct Raw;
  std::array<std::uint64_t, 18> words_;
};

class G2 {
 public:
  using Encoded = base::FixedBytes<96>;

  G2();
  static const G2& generator();
  static base::Result<G2> decode(base::ByteView bytes, G1::Identity identity = G1::Identity::refused);
  /// As above without the look at the order: for summands whose sum is checked with `in_subgroup`.
  static base::Result<G2> decode_unchecked(base::ByteView bytes);
  /// BLS12381G2_XMD:SHA-256_SSWU_RO_ with `tag` as its domain separation tag (RFC 9380 section 8.8.2).
  static G2 hash(base::ByteView message, std::string_view tag);
  static G2 times_generator(const Scalar& scalar);

  Encoded encode() const;
  bool is_identity() const noexcept;
  bool in_subgroup() const noexcept;
  G2 operator+(const G2& other) const;
  G2 operator-(const G2& other) const;
  G2 operator*(const Scalar& scalar) const;
  /// By a small public number, in a fraction of the time.
  G2 times(std::uint32_t factor) const;
  bool operator==(const G2& other) const noexcept;

 private:
  friend struct Raw;
  std::array<std::uint64_t, 36> words_;
};

/// A point with all that a pairing computes of it alone: for keys that are paired with often. 20 KB. Movable,
/// thread-safe.
class PreparedG2 {
 public:
  explicit PreparedG2(const G2& point);
  PreparedG2(PreparedG2&&) noexcept;
  PreparedG2& operator=(PreparedG2&&) noexcept;
  ~PreparedG2();
  static const PreparedG2& generator();
  const G2& point() const noexcept { return point_; }

 private:
  friend struct Raw;
  struct Lines;
  G2 point_;
  std::unique_ptr<Lines> lines_;
};
/// e(a, p) == e(b, q).
bool pairings_equal(const G1& a, const PreparedG2& p, const G1& b, const PreparedG2& q);

/// Views; both outlive it.
struct Pair {
  const G1& g1;
  const G2& g2;
};
/// e(left) == the product of e(right…), with one final exponentiation. The identity pairs to one. At most 8 on the
/// right.
bool pairings_equal(const Pair& left, std::initializer_list<Pair> right);

/// A product of pairings before its final exponentiation, so that the parts of a long list are computed once and tested
/// in many ways. All points of the subgroups. 576 bytes, copyable; of public points only.
class PairingProduct {
 public:
  /// One, the product of nothing.
  PairingProduct();
  /// Of all `pairs`, which share the loop's squarings. The identity pairs to one.
  static PairingProduct of(std::span<const Pair> pairs);
  PairingProduct& operator*=(const PairingProduct& other);
  /// Whether it is e(pair).
  bool equals(const Pair& pair) const;

 private:
  friend struct Raw;
  std::array<std::uint64_t, 72> words_;
};

}  // namespace attestry::curves::bls
