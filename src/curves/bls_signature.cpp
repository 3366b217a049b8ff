#include "curves/bls_signature.h"

#include <algorithm>
#include <map>

namespace attestry::curves::bls {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;

namespace {

Error bad_key(std::string found) {
  return Error{Code::malformed, "BLS signing key", "32 bytes, a number in [1, q-1]", std::move(found)};
}

bool verify_with(std::string_view suite, const PublicKey& key, ByteView message, ByteView signature) {
  const auto point = G2::decode(signature);
  if (!point) return false;
  return pairings_equal({G1::generator(), *point}, {{key.point(), G2::hash(message, suite)}});
}

/// Whether the product of e(key, hash) is e(generator, sum), for a sum that may lie outside of the subgroup.
bool holds(const PairingProduct& product, const G2& sum) {
  return sum.in_subgroup() && product.equals({G1::generator(), sum});
}

/// For each key the sum of what it signed: e(k, a) e(k, b) = e(k, a + b).
class ByKey {
 public:
  void add(const PublicKey& key, const G2& hash) {
    const auto [place, fresh] = sums_.try_emplace(key.encoded(), key.point(), hash);
    if (!fresh) place->second.second = place->second.second + hash;
  }
  PairingProduct product() const {
    std::vector<Pair> pairs;
    pairs.reserve(sums_.size());
    for (const auto& [encoded, both] : sums_) pairs.push_back({both.first, both.second});
    return PairingProduct::of(pairs);
  }

 private:
  std::map<PublicKey::Encoded, std::pair<G1, G2>> sums_;
};

}  // namespace

Result<PublicKey> PublicKey::decode(ByteView bytes) {
  TRY(const G1 point, G1::decode(bytes), "BLS public key");
  Encoded encoded{};
  std::ranges::copy(bytes, encoded.begin());
  return PublicKey{point, encoded};
}

Result<SigningKey> SigningKey::from_big_endian(ByteView bytes) {
  auto scalar = Scalar::from_big_endian(bytes);
  if (!scalar)
    return bad_key(bytes.size() == 32 ? "a number that is too large" : std::to_string(bytes.size()) + " bytes");
  if (scalar->is_zero()) return bad_key("zero");
  return SigningKey{*std::move(scalar)};
}

Result<SigningKey> SigningKey::reduce(ByteView bytes) {
  if (bytes.size() != 32) return bad_key(std::to_string(bytes.size()) + " bytes");
  Scalar scalar = Scalar::from_wide(bytes);
  if (scalar.is_zero()) return bad_key("a multiple of q");
  return SigningKey{std::move(scalar)};
}

SigningKey SigningKey::random(crypto::Random& random) { return SigningKey{Scalar::random(random)}; }

PublicKey SigningKey::public_key() const {
  const G1 point = G1::times_generator(scalar_);
  return PublicKey{point, point.encode()};
}

Signature SigningKey::sign(ByteView message) const { return (G2::hash(message, kSignatureSuite) * scalar_).encode(); }

Signature SigningKey::prove_possession() const {
  return (G2::hash(public_key().encoded(), kPossessionSuite) * scalar_).encode();
}

bool verify(const PublicKey& key, ByteView message, ByteView signature) {
  return verify_with(kSignatureSuite, key, message, signature);
}

bool verify_possession(const PublicKey& key, ByteView proof) {
  return verify_with(kPossessionSuite, key, key.encoded(), proof);
}

Result<Signature> aggregate(std::span<const Signature> signatures) {
  if (signatures.empty())
    return Error{Code::malformed, "Cannot aggregate empty signature list", "one signature or more"};
  G2 sum;
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    TRY(const G2 point, G2::decode(signatures[i]), "signature " + std::to_string(i));
    sum = sum + point;
  }
  return sum.encode();
}

bool aggregate_verify(std::span<const Signed> what, ByteView signature) {
  if (what.empty()) return false;
  // A sum of signatures may be the identity, though no signature is.
  const auto sum = G2::decode(signature, G1::Identity::allowed);
  if (!sum) return false;
  ByKey sums;
  for (const Signed& one : what) sums.add(one.key, G2::hash(one.message, kSignatureSuite));
  return holds(sums.product(), *sum);
}

Result<Claim> Claim::create(const PublicKey& key, ByteView message, ByteView signature) {
  TRY(const G2 point, G2::decode_unchecked(signature), "signature");
  if (point.is_identity()) return Error{Code::malformed, "signature", "a point of G2", "the identity"};
  return Claim{key, G2::hash(message, kSignatureSuite), point};
}

bool all_signed(std::span<const Claim> claims) {
  ByKey sums;
  G2 sum;
  for (const Claim& claim : claims) {
    sums.add(claim.key_, claim.hash_);
    sum = sum + claim.signature_;
  }
  return holds(sums.product(), sum);
}

/// Looks for what is wrong among claims that do not hold together. The pairing of each is computed once.
class ClaimTree {
 public:
  explicit ClaimTree(std::span<const Claim> claims) : claims_(claims), verdicts_(claims.size(), true) {
    products_.reserve(claims.size());
    for (const Claim& claim : claims) {
      const Pair pair{claim.key_.point(), claim.hash_};
      products_.push_back(PairingProduct::of({&pair, 1}));
    }
  }
  /// [begin, end) does not hold; nor did both halves of the last `dense` parts that it lies in.
  void search(std::size_t begin, std::size_t end, std::size_t dense = 0) {
    if (end - begin == 1) {
      verdicts_[begin] = false;
      return;
    }
    // Where much is wrong, halving asks twice as often as asking for each.
    if (dense >= kDense) {
      for (std::size_t i = begin; i < end; ++i) verdicts_[i] = part_holds(i, i + 1);
      return;
    }
    const std::size_t middle = begin + (end - begin) / 2;
    // When one half holds, it is the other that does not.
    if (part_holds(begin, middle)) return search(middle, end);
    if (part_holds(middle, end)) return search(begin, middle);
    search(begin, middle, dense + 1);
    search(middle, end, dense + 1);
  }
  std::vector<bool> verdicts() && { return std::move(verdicts_); }

 private:
  static constexpr std::size_t kDense = 3;
  bool part_holds(std::size_t begin, std::size_t end) const {
    PairingProduct product;
    G2 sum;
    for (std::size_t i = begin; i < end; ++i) {
      product *= products_[i];
      sum = sum + claims_[i].signature_;
    }
    return holds(product, sum);
  }
  std::span<const Claim> claims_;
  std::vector<PairingProduct> products_;
  std::vector<bool> verdicts_;
};

std::vector<bool> which_signed(std::span<const Claim> claims) {
  if (all_signed(claims)) return std::vector<bool>(claims.size(), true);
  ClaimTree tree{claims};
  tree.search(0, claims.size());
  return std::move(tree).verdicts();
}

}  // namespace attestry::curves::bls
