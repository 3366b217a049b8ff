// Receipts of the tracker: one by one, together, and together with bad ones among them. tools/bench.py shows the ratios
// to one P-256 verification of OpenSSL.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "base/bytes.h"
#include "crypto/hash.h"
#include "curves/bls_signature.h"
#include "tracker/receipt.h"
#include "tracker/receipt_batch.h"

namespace {

namespace bls = attestry::curves::bls;
namespace tracker = attestry::tracker;

bls::SigningKey key_of(const std::string& name) {
  return bls::SigningKey::reduce(attestry::crypto::sha256(attestry::base::as_bytes(name))).value();
}

/// As many receipts as said, of as many receivers in turn; `bad` of them are signed by others.
struct Batch {
  std::vector<tracker::Receipt> receipts;
  std::vector<bls::PublicKey> keys;

  Batch(std::size_t count, std::size_t receivers, std::size_t bad) {
    const auto sender = key_of("sender").public_key().encoded();
    std::vector<bls::SigningKey> all;
    for (std::size_t i = 0; i < receivers; ++i) all.push_back(key_of("receiver " + std::to_string(i)));
    for (std::size_t i = 0; i < count; ++i) {
      const bls::SigningKey& key = all[i % receivers];
      tracker::Receipt receipt;
      receipt.sender = sender;
      receipt.receiver = key.public_key().encoded();
      receipt.piece_index = static_cast<std::uint32_t>(i);
      receipt.time = 1'700'000'000;
      const auto message = tracker::signed_message(receipt, {});
      receipt.signature = i * bad / count == (i + 1) * bad / count ? key.sign(message) : key_of("forger").sign(message);
      keys.push_back(key.public_key());
      receipts.push_back(receipt);
    }
  }
  std::vector<tracker::ReceiptCheck> checks() const {
    std::vector<tracker::ReceiptCheck> out;
    for (std::size_t i = 0; i < receipts.size(); ++i) out.push_back({receipts[i], keys[i]});
    return out;
  }
};

/// Arguments: receipts, receivers, bad ones.
void BM_ReceiptsTogether(benchmark::State& state) {
  const Batch batch{static_cast<std::size_t>(state.range(0)), static_cast<std::size_t>(state.range(1)),
                    static_cast<std::size_t>(state.range(2))};
  const auto checks = batch.checks();
  for (auto _ : state) benchmark::DoNotOptimize(tracker::verify_receipts(checks, {}));
}
BENCHMARK(BM_ReceiptsTogether)
    ->Args({1, 1, 0})
    ->Args({10, 10, 0})
    ->Args({100, 100, 0})
    ->Args({100, 10, 0})
    ->Args({100, 100, 1})
    ->Args({100, 100, 10})
    ->Args({100, 100, 100})
    ->Unit(benchmark::kMicrosecond);

void BM_ReceiptsOneByOne(benchmark::State& state) {
  const Batch batch{static_cast<std::size_t>(state.range(0)), static_cast<std::size_t>(state.range(0)), 0};
  for (auto _ : state) {
    for (std::size_t i = 0; i < batch.receipts.size(); ++i) {
      const tracker::Receipt& receipt = batch.receipts[i];
      benchmark::DoNotOptimize(bls::verify(batch.keys[i], tracker::signed_message(receipt, {}), receipt.signature));
    }
  }
}
BENCHMARK(BM_ReceiptsOneByOne)->Arg(1)->Arg(10)->Arg(100)->Unit(benchmark::kMicrosecond);

void BM_ReceiptSigned(benchmark::State& state) {
  const Batch batch{1, 1, 0};
  const bls::SigningKey key = key_of("receiver 0");
  for (auto _ : state) benchmark::DoNotOptimize(key.sign(tracker::signed_message(batch.receipts[0], {})));
}
BENCHMARK(BM_ReceiptSigned)->Unit(benchmark::kMicrosecond);

}  // namespace
