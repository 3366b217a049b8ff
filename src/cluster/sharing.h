// Shamir's sharing of a scalar modulo the order of BLS12-381, with Feldman's commitments in G2: what every node can
// check of a share without knowing the secret. docs/formats/threshold.md
//
// A node's id is its place in the cluster for ever; its share is the polynomial at id + 1, as in NEAR's network.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/reader.h"
#include "base/result.h"
#include "crypto/random.h"
#include "curves/bls12_381.h"

namespace attestry::cluster {

/// Ids are below this, so that id + 1 is a number of 16 bits.
inline constexpr std::uint32_t kMostNodes = 255;

/// The public side of a polynomial: its coefficients times the generator of G2. Immutable, thread-safe.
class Commitments {
 public:
  /// At least one point; the identity is refused where `from_bytes` reads them.
  explicit Commitments(std::vector<curves::bls::G2> points) : points_(std::move(points)) {}
  /// u16 number ‖ 96 bytes each, and no more than `most`. Error: `malformed`.
  static base::Result<Commitments> read(base::Reader& reader, std::size_t most);
  base::Bytes bytes() const;

  std::size_t threshold() const noexcept { return points_.size(); }
  const std::vector<curves::bls::G2>& points() const noexcept { return points_; }
  /// The secret's: a master public key.
  const curves::bls::G2& constant() const noexcept { return points_.front(); }
  /// The share's of node `id`.
  curves::bls::G2 at(std::uint32_t id) const;
  bool holds(std::uint32_t id, const curves::bls::Scalar& share) const;
  bool operator==(const Commitments& other) const noexcept { return points_ == other.points_; }

 private:
  std::vector<curves::bls::G2> points_;
};

/// The secret side: threshold coefficients, the shared one first. Movable.
class Polynomial {
 public:
  /// Shares `secret` so that `threshold` shares give it back and fewer say nothing of it; 1 <= threshold <= kMostNodes.
  static Polynomial random(curves::bls::Scalar secret, unsigned threshold, crypto::Random& random);
  curves::bls::Scalar at(std::uint32_t id) const;
  Commitments commitments() const;
  const curves::bls::Scalar& secret() const noexcept { return coefficients_.front(); }

 private:
  explicit Polynomial(std::vector<curves::bls::Scalar> coefficients) : coefficients_(std::move(coefficients)) {}
  std::vector<curves::bls::Scalar> coefficients_;
};

/// What each of `ids`, in their order, counts in an interpolation at zero. Error `malformed` for none and for an id
/// twice.
base::Result<std::vector<curves::bls::Scalar>> weights(std::span<const std::uint32_t> ids);

}  // namespace attestry::cluster
