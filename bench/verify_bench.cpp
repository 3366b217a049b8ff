// Verification of DCAP quotes: verdicts in memory, over 1,000 distinct forged quotes of 1,000 platforms in rotation.
// tools/bench.sh divides by P, one P-256 verification of OpenSSL in the same run (docs/performance.md).
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "attestation/dcap/quote.h"
#include "attestation/eventlog/facts.h"
#include "attestation/eventlog/judge.h"
#include "attestation/eventlog/replay.h"
#include "attestation/policy.h"
#include "attestation/verifier.h"
#include "forge/event_log.h"
#include "forge/scenario.h"

namespace {

using namespace attestry;

constexpr std::uint32_t kQuotes = 1000;
constexpr base::UtcTime kAt{1'780'000'000};

template <class T>
T must(base::Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "benchmark set-up: %s\n", result.error().text().c_str());
    std::exit(2);
  }
  return std::move(*result);
}

/// Made once: the forge signs three things per platform.
struct Fixture {
  forge::ForgePki pki = must(forge::ForgePki::make(base::as_bytes("bench")));
  std::shared_ptr<const attestation::Collateral> collateral;
  std::vector<attestation::Evidence> evidence;

  Fixture() {
    for (std::uint32_t i = 0; i < kQuotes; ++i) {
      auto made = must(forge::make_case(
          pki, {.quote = forge::default_quote(pki, forge::QuoteKind::tdx_v4), .platform = {.index = i}, .at = kAt}));
      if (!collateral) collateral = made.collateral.collateral();
      evidence.push_back(made.evidence());
    }
  }
  attestation::Verifier verifier(attestation::VerifierLimits limits) const {
    std::vector<attestation::TestRoot> roots{must(attestation::TestRoot::from_certificate(pki.root().der))};
    return attestation::Verifier{attestation::TrustAnchors::simulated(std::move(roots)), limits};
  }
};

const Fixture& fixture() {
  static const Fixture made;
  return made;
}

void rotate(benchmark::State& state, const attestation::Verifier& verifier, bool warm_platforms) {
  const auto& f = fixture();
  const auto judge = [&](std::size_t i) {
    auto verdict = verifier.verify(f.evidence[i % kQuotes], *f.collateral, kAt);
    if (!verdict || verdict->evidence != attestation::Genuineness::genuine) std::abort();
    benchmark::DoNotOptimize(verdict);
  };
  judge(0);  // the collateral is known from here on, if the verifier keeps any
  if (warm_platforms) {
    for (std::size_t i = 0; i < kQuotes; ++i) judge(i);
  }
  std::size_t next = 1;
  for (auto _ : state) judge(next++);
}

void BM_ColdVerification(benchmark::State& state) {
  rotate(state, fixture().verifier({.cached_platforms = 0, .cached_collateral = 0}), false);
}
/// Fewer places than platforms in rotation: every platform is one that was not seen before.
void BM_WarmCollateralNewPlatform(benchmark::State& state) {
  rotate(state, fixture().verifier({.cached_platforms = 64}), false);
}
void BM_WarmCollateralSeenPlatform(benchmark::State& state) { rotate(state, fixture().verifier({}), true); }

void BM_ParseQuote(benchmark::State& state) {
  const auto& f = fixture();
  std::size_t next = 0;
  for (auto _ : state) {
    auto quote = attestation::dcap::parse_quote(f.evidence[next++ % kQuotes].bytes);
    benchmark::DoNotOptimize(quote);
  }
}

void BM_VerdictJson(benchmark::State& state) {
  const auto& f = fixture();
  const auto verifier = f.verifier({});
  auto verdict = must(verifier.verify(f.evidence[0], *f.collateral, kAt));
  attestation::evaluate(attestation::Policy::standard(), verdict);
  for (auto _ : state) {
    auto json = attestation::to_json(verdict);
    benchmark::DoNotOptimize(json);
  }
}

/// Everything that a verdict does with a log of 120 events: read, digests, separators, registers, facts.
void BM_EventLog120(benchmark::State& state) {
  namespace eventlog = attestation::eventlog;
  const std::size_t others =
      must(eventlog::parse_tcg(forge::make_event_logs({.grub_commands = 0}).ccel, eventlog::Registers::ccel))
          .events.size();
  const auto logs = forge::make_event_logs({.grub_commands = 120 - others});
  for (auto _ : state) {
    const auto log = must(eventlog::parse_tcg(logs.ccel, eventlog::Registers::ccel));
    const std::size_t bank = log.bank(eventlog::Hash::sha384);
    const auto matches = eventlog::match_digests(log, bank);
    if (log.events.size() != 120 || eventlog::find_digest_fault(log, bank, matches) ||
        eventlog::find_separator_fault(log, bank)) {
      std::abort();
    }
    auto registers = must(eventlog::replay(log, bank));
    auto facts = eventlog::facts_of(log, bank, matches);
    benchmark::DoNotOptimize(registers);
    benchmark::DoNotOptimize(facts);
  }
}

BENCHMARK(BM_ColdVerification)->Unit(benchmark::kMicrosecond)->MinTime(2);
BENCHMARK(BM_WarmCollateralNewPlatform)->Unit(benchmark::kMicrosecond)->MinTime(2);
BENCHMARK(BM_WarmCollateralSeenPlatform)->Unit(benchmark::kMicrosecond)->MinTime(2);
BENCHMARK(BM_ParseQuote)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_VerdictJson)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_EventLog120)->Unit(benchmark::kMicrosecond);

}  // namespace
