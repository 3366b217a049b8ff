// Confidential key derivation: what one node, the coordinator and the application do. tools/bench.py shows the ratios
// to one P-256 verification of OpenSSL.
#include <benchmark/benchmark.h>

#include <numeric>
#include <vector>

#include "curves/bls12_381.h"
#include "keys/ckd.h"

namespace {

namespace ckd = attestry::keys::ckd;
using attestry::curves::bls::G1;
using attestry::curves::bls::G2;
using attestry::curves::bls::Scalar;

struct Network {
  attestry::crypto::Random& random = attestry::crypto::system_random();
  Scalar master = Scalar::random(random), slope = Scalar::random(random);
  ckd::MasterPublicKey pk{G2::times_generator(master)};
  attestry::base::Digest32 id = ckd::app_id("alice.near", "");
  ckd::Blinding blinding = ckd::Blinding::random(random);
  G1::Encoded app_key = blinding.public_key().encode();
  std::vector<std::uint32_t> ids;

  explicit Network(std::size_t size) : ids(size) { std::iota(ids.begin(), ids.end(), 0U); }
  Scalar share_of(std::uint32_t node) const { return master + slope * Scalar::from_u32(node + 1); }
  /// H hashed, λ computed, y drawn.
  ckd::Share answer(std::uint32_t node, const Scalar& x, const G1& key) const {
    return ckd::share(x, *ckd::lagrange(ids, node), Scalar::random(random), ckd::hash_point(pk, id), key);
  }
  ckd::Ciphertext sum() const { return *ckd::combine(shares()); }
  std::vector<ckd::Ciphertext> shares() const {
    std::vector<ckd::Ciphertext> out;
    for (const std::uint32_t node : ids) out.push_back(answer(node, share_of(node), blinding.public_key()).encode());
    return out;
  }
};

/// One node: A decoded and checked, its share, encoded.
void BM_CkdShare(benchmark::State& state) {
  const Network network{static_cast<std::size_t>(state.range(0))};
  const Scalar x = network.share_of(3);
  for (auto _ : state) {
    const auto key = ckd::AppPublicKey::decode(network.app_key);
    benchmark::DoNotOptimize(network.answer(3, x, key->pk1).encode());
  }
}
BENCHMARK(BM_CkdShare)->Arg(7)->Arg(16)->Unit(benchmark::kMicrosecond);

/// As cluster::derive does it at a node that takes part: its own share is encoded and decoded like those of others; A
/// is there as a point.
void BM_CkdCoordinator(benchmark::State& state) {
  const Network network{static_cast<std::size_t>(state.range(0))};
  std::vector<ckd::Ciphertext> shares = network.shares();
  const Scalar x = network.share_of(0);
  const G1 key = network.blinding.public_key();
  for (auto _ : state) {
    shares.front() = network.answer(0, x, key).encode();
    benchmark::DoNotOptimize(ckd::combine(shares));
  }
}
BENCHMARK(BM_CkdCoordinator)->Arg(7)->Arg(16)->Unit(benchmark::kMicrosecond);

/// All that the application does with an answer: two points decoded and checked, unblinded, the pairings. The master
/// public key is prepared, and H hashed while the answer was on its way.
void BM_CkdOpen(benchmark::State& state) {
  const Network network{7};
  const ckd::Ciphertext sum = network.sum();
  const G1 point = ckd::hash_point(network.pk, network.id);
  for (auto _ : state) benchmark::DoNotOptimize(network.blinding.open(sum, network.pk, point));
}
BENCHMARK(BM_CkdOpen)->Unit(benchmark::kMicrosecond);

/// What near's crate calls unmasking and verification: of points that are decoded, with H hashed anew.
void BM_CkdUnblindAndVerify(benchmark::State& state) {
  const Network network{7};
  const auto answer = network.sum();
  const G1 big_y = *G1::decode(answer.big_y), big_c = *G1::decode(answer.big_c);
  const Scalar a = Scalar::random(network.random);
  for (auto _ : state) {
    const G1 opened = big_c - big_y * a;
    benchmark::DoNotOptimize(
        attestry::curves::bls::pairings_equal(opened, attestry::curves::bls::PreparedG2::generator(),
                                              ckd::hash_point(network.pk, network.id), network.pk.prepared()));
  }
}
BENCHMARK(BM_CkdUnblindAndVerify)->Unit(benchmark::kMicrosecond);

}  // namespace
