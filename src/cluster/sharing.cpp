#include "cluster/sharing.h"

#include "keys/ckd.h"

namespace attestry::cluster {

using base::Code;
using base::Error;
using base::Result;
using curves::bls::G2;
using curves::bls::Scalar;

Result<Commitments> Commitments::read(base::Reader& reader, std::size_t most) {
  TRY(const std::uint16_t count, reader.u16be("number of commitments"));
  if (count == 0 || count > most) {
    return Error{Code::malformed, "number of commitments", "1 to " + std::to_string(most), std::to_string(count)};
  }
  std::vector<G2> points;
  points.reserve(count);
  for (std::uint16_t i = 0; i < count; ++i) {
    TRY(const base::ByteView bytes, reader.take(96, "commitment"));
    // A coefficient of zero would be a polynomial of lower degree: the chance for it is nil.
    TRY(points.emplace_back(), G2::decode(bytes), "commitment");
  }
  return Commitments{std::move(points)};
}

base::Bytes Commitments::bytes() const {
  base::LpWriter out;
  out.u16(static_cast<std::uint16_t>(points_.size()));
  for (const G2& point : points_) out.raw(point.encode());
  return std::move(out).take();
}

G2 Commitments::at(std::uint32_t id) const {
  G2 out = points_.back();
  for (std::size_t i = points_.size() - 1; i-- > 0;) out = out.times(id + 1) + points_[i];
  return out;
}

bool Commitments::holds(std::uint32_t id, const Scalar& share) const { return G2::times_generator(share) == at(id); }

Polynomial Polynomial::random(Scalar secret, unsigned threshold, crypto::Random& random) {
  std::vector<Scalar> coefficients;
  coefficients.reserve(threshold);
  coefficients.push_back(std::move(secret));
  while (coefficients.size() < threshold) coefficients.push_back(Scalar::random(random));
  return Polynomial{std::move(coefficients)};
}

Scalar Polynomial::at(std::uint32_t id) const {
  const Scalar x = Scalar::from_u32(id + 1);
  Scalar out = coefficients_.back().clone();
  for (std::size_t i = coefficients_.size() - 1; i-- > 0;) out = out * x + coefficients_[i];
  return out;
}

Commitments Polynomial::commitments() const {
  std::vector<G2> points;
  points.reserve(coefficients_.size());
  for (const Scalar& coefficient : coefficients_) points.push_back(G2::times_generator(coefficient));
  return Commitments{std::move(points)};
}

Result<std::vector<Scalar>> weights(std::span<const std::uint32_t> ids) {
  if (ids.empty()) return Error{Code::malformed, "interpolation", "shares", "none"};
  std::vector<Scalar> out;
  out.reserve(ids.size());
  for (const std::uint32_t id : ids) {
    TRY(out.emplace_back(Scalar::from_u32(0)), keys::ckd::lagrange(ids, id), "interpolation");
  }
  return out;
}

}  // namespace attestry::cluster
