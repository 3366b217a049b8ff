// Receipts: signing, verifying one by one, and together (the original's benchmark_receipts).
#include <array>
#include <cstdint>
#include <span>

#include "app/tracker_bench.h"
#include "crypto/hash.h"
#include "curves/bls_signature.h"
#include "tracker/receipt_batch.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

namespace bls = curves::bls;

constexpr std::uint64_t kWhen = 1'700'000'000;
constexpr std::uint32_t kPieceBytes = 256U << 10U;

base::Digest32 piece_hash(std::uint32_t index) {
  const std::array<std::uint8_t, 4> bytes{static_cast<std::uint8_t>(index >> 24U),
                                          static_cast<std::uint8_t>(index >> 16U),
                                          static_cast<std::uint8_t>(index >> 8U), static_cast<std::uint8_t>(index)};
  return crypto::sha256(bytes);
}

/// Receipts for one sender of as many receivers, whose hashes no earlier batch had.
struct Batch {
  std::vector<tracker::Receipt> receipts;
  std::vector<tracker::ReceiptCheck> checks;

  Batch(const BenchMember& sender, std::span<const BenchMember> receivers, std::uint32_t first) {
    receipts.reserve(receivers.size());
    checks.reserve(receivers.size());
    for (std::size_t i = 0; i < receivers.size(); ++i) {
      const auto index = first + static_cast<std::uint32_t>(i);
      receipts.push_back(receivers[i].receipt(sender, index, kPieceBytes, piece_hash(index), kWhen));
      checks.push_back({.receipt = receipts.back(), .receiver = receivers[i].public_key()});
    }
  }
};

Status expect(bool holds, const char* what) {
  if (holds) return base::done();
  return Error{Code::internal, what};
}

struct BatchTimes {
  std::vector<double> one_by_one, together, with_a_bad_one, aggregation;
};

Status measure(const BenchMember& sender, std::span<const BenchMember> receivers, std::uint32_t first,
               BatchTimes& times) {
  Batch batch{sender, receivers, first};
  bool all = true;
  BenchWatch single;
  for (const auto& check : batch.checks) {
    all = all && bls::verify(check.receiver, tracker::signed_message(check.receipt, {}), check.receipt.signature);
  }
  times.one_by_one.push_back(single.ms());
  TRY_OK(expect(all, "a receipt does not verify by itself"));

  BenchWatch together;
  const auto verdicts = tracker::verify_receipts(batch.checks, {});
  times.together.push_back(together.ms());
  for (const bool good : verdicts) all = all && good;
  TRY_OK(expect(all, "receipts do not verify together"));

  std::vector<bls::Signature> signatures;
  signatures.reserve(batch.receipts.size());
  for (const auto& receipt : batch.receipts) signatures.push_back(receipt.signature);
  BenchWatch aggregating;
  TRY_OK(bls::aggregate(signatures));
  times.aggregation.push_back(aggregating.ms());

  if (batch.receipts.size() < 2) return base::done();
  batch.receipts.front().signature = batch.receipts.back().signature;
  BenchWatch searching;
  const auto mixed = tracker::verify_receipts(batch.checks, {});
  times.with_a_bad_one.push_back(searching.ms());
  return expect(!mixed.front() && mixed.back(), "a wrong receipt was not found");
}

}  // namespace

Result<BenchOutcome> bench_receipts(BenchRun& run) {
  const auto& said = run.options().receipts;
  BenchOutcome out;
  const BenchMember sender{"sender"};
  std::size_t most = 1;
  for (const unsigned size : said.batch_sizes) most = std::max<std::size_t>(most, size);
  std::vector<BenchMember> receivers;
  receivers.reserve(most);
  for (std::size_t i = 0; i < most; ++i) receivers.emplace_back("receiver " + std::to_string(i));

  run.progress("  signing and verifying single receipts");
  std::vector<double> signing;
  BatchTimes single;
  std::uint32_t next = 0;
  for (unsigned i = 0; i < said.iterations; ++i) {
    BenchWatch watch;
    const auto receipt = receivers.front().receipt(sender, next, kPieceBytes, piece_hash(next), kWhen);
    signing.push_back(watch.ms());
    TRY_OK(expect(receipt.piece_index == next, "a receipt is of another piece"));
    TRY_OK(measure(sender, std::span{receivers}.first(1), next++, single));
  }
  const auto generation = BenchTimes::of(signing);
  const auto verification = BenchTimes::of(single.one_by_one);

  base::JsonOutArray batches;
  Table table{.columns = {"receipts", "one by one", "together", "times faster", "with a bad one"}, .rows = {}};
  Plot plot{.kind = Plot::Kind::bars,
            .title = "Verifying receipts",
            .note = "One sender, as many receivers as receipts, one core",
            .x_label = "receipts",
            .y_label = "milliseconds",
            .places = {},
            .series = {{"one by one", {}}, {"together", {}}, {"together, one bad among them", {}}}};
  for (const unsigned size : said.batch_sizes) {
    run.progress("  verifying " + std::to_string(size) + " receipts, " + std::to_string(said.iterations) + " times");
    BatchTimes times;
    for (unsigned i = 0; i < said.iterations; ++i) {
      TRY_OK(measure(sender, std::span{receivers}.first(size), next, times));
      next += size;
    }
    const auto individual = BenchTimes::of(times.one_by_one);
    const auto aggregate = BenchTimes::of(times.together);
    const auto mixed = BenchTimes::of(times.with_a_bad_one);
    const double speedup = individual.median / aggregate.median;
    batches.emplace_back(base::JsonOutObject{{"batch_size", size},
                                             {"individual_verification", individual.json()},
                                             {"aggregate_verification", aggregate.json()},
                                             {"aggregation", BenchTimes::of(times.aggregation).json()},
                                             {"aggregate_with_one_bad", mixed.json()},
                                             {"speedup", speedup}});
    table.rows.push_back({std::to_string(size), short_number(individual.median) + " ms",
                          short_number(aggregate.median) + " ms", short_number(speedup),
                          size < 2 ? "-" : short_number(mixed.median) + " ms"});
    if (size > 1) {
      out.claims.push_back({std::to_string(size) + " receipts together against one by one", "2.5 x faster (paper)",
                            short_number(speedup) + " x faster"});
    }
    plot.places.push_back(std::to_string(size));
    plot.series[0].values.push_back(individual.median);
    plot.series[1].values.push_back(aggregate.median);
    plot.series[2].values.push_back(size < 2 ? std::numeric_limits<double>::quiet_NaN() : mixed.median);
  }
  out.json = {{"iterations", said.iterations},
              {"receipt_generation", generation.json()},
              {"receipt_verification", verification.json()},
              {"batches", std::move(batches)}};
  out.notes.push_back("one receipt: signed in " + short_number(generation.median) + " ms, verified in " +
                      short_number(verification.median) + " ms");
  out.tables.emplace_back("Receipts, medians of one core", std::move(table));
  out.plots.emplace_back("receipts", std::move(plot));
  return out;
}

}  // namespace attestry::app
