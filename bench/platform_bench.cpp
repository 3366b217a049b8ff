// Verification of SEV-SNP reports, Nitro documents and Azure Attestation tokens: verdicts in memory, forged evidence in
// rotation, with key sizes of the real vendors. tools/bench.py divides by P (docs/performance.md).
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#include "attestation/verifier.h"
#include "forge/maa.h"
#include "forge/nitro.h"
#include "forge/snp.h"

namespace {

using namespace attestry;

constexpr std::uint32_t kChips = 100;
constexpr std::uint32_t kDocuments = 100;
constexpr unsigned kAmdKeyBits = 4096;
constexpr base::UtcTime kAt{1'780'000'000};

template <class T>
T must(base::Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "benchmark set-up: %s\n", result.error().text().c_str());
    std::exit(2);
  }
  return std::move(*result);
}

/// Evidence with the collateral that it needs, and whom to trust.
struct Fleet {
  struct Item {
    attestation::Evidence evidence;
    std::shared_ptr<const attestation::Collateral> collateral;
  };
  std::vector<Item> items;
  std::function<attestation::TrustAnchors()> anchors;
};

attestation::TrustAnchors under(const std::string& root_pem) {
  std::vector<attestation::TestRoot> roots{must(attestation::TestRoot::from_certificate(base::as_bytes(root_pem)))};
  return attestation::TrustAnchors::simulated(std::move(roots));
}

/// Genoa, report version 3, a revocation list beside it.
Fleet make_snp_fleet() {
  const auto pki = must(forge::SnpPki::make(base::as_bytes("bench"), attestation::snp::Product::genoa, kAmdKeyBits));
  Fleet out;
  for (std::uint32_t chip = 0; chip < kChips; ++chip) {
    auto made = must(forge::make_snp_case(pki, {.at = kAt, .chip = chip}));
    using enum attestation::CollateralKind;
    std::vector<attestation::CollateralItem> items{
        {vek, made.vek}, {amd_chain, base::to_bytes(made.chain)}, {amd_crl, made.crl}};
    out.items.push_back(
        {{attestation::EvidenceFormat::snp_report, made.report}, attestation::Collateral::make(std::move(items))});
    if (chip == 0) out.anchors = [root = made.root_pem] { return under(root); };
  }
  return out;
}

/// One enclave, many documents: the same path of certificates, as an instance has it for hours.
Fleet make_nitro_fleet() {
  Fleet out;
  for (std::uint32_t i = 0; i < kDocuments; ++i) {
    forge::NitroSpec spec;
    spec.at = kAt;
    spec.user_data = base::to_bytes("document " + std::to_string(i));
    const auto made = must(forge::make_nitro_case(base::as_bytes("bench"), spec));
    out.items.push_back({.evidence = made.evidence(), .collateral = attestation::Collateral::none()});
    if (i == 0) out.anchors = [root = made.root_pem] { return under(root); };
  }
  return out;
}

Fleet make_maa_fleet() {
  const forge::MaaService service(base::as_bytes("bench"));
  Fleet out;
  for (std::uint32_t i = 0; i < kDocuments; ++i) {
    const auto made =
        service.make({.kind = forge::MaaKind::azurevm_snp, .at = kAt, .nonce = "nonce " + std::to_string(i)});
    std::vector<attestation::CollateralItem> items{{attestation::CollateralKind::jwks, base::to_bytes(made.jwks)}};
    out.items.push_back(
        {.evidence = {.format = attestation::EvidenceFormat::maa_token, .bytes = base::to_bytes(made.token)},
         .collateral = attestation::Collateral::make(std::move(items))});
  }
  out.anchors = [] {
    return must(attestation::TrustAnchors::simulated({}).with_token_issuers({std::string{forge::kForgeIssuer}}));
  };
  return out;
}

const Fleet& snp() {
  static const Fleet made = make_snp_fleet();
  return made;
}
const Fleet& nitro() {
  static const Fleet made = make_nitro_fleet();
  return made;
}
const Fleet& maa() {
  static const Fleet made = make_maa_fleet();
  return made;
}

void rotate(benchmark::State& state, const Fleet& fleet, attestation::VerifierLimits limits) {
  const attestation::Verifier verifier{fleet.anchors(), limits};
  const auto judge = [&](std::size_t i) {
    const auto& item = fleet.items[i % fleet.items.size()];
    auto verdict = verifier.verify(item.evidence, *item.collateral, kAt);
    if (!verdict || verdict->evidence != attestation::Genuineness::genuine) std::abort();
    benchmark::DoNotOptimize(verdict);
  };
  for (std::size_t i = 0; i < fleet.items.size(); ++i) judge(i);
  std::size_t next = 0;
  for (auto _ : state) judge(next++);
}

void BM_SnpSeenChip(benchmark::State& state) { rotate(state, snp(), {}); }
/// Fewer places than chips in rotation: every chip is one that was not seen before, under a known chain and list.
void BM_SnpNewChip(benchmark::State& state) { rotate(state, snp(), {.cached_platforms = 8}); }
void BM_SnpCold(benchmark::State& state) { rotate(state, snp(), {.cached_platforms = 0, .cached_collateral = 0}); }
void BM_NitroSeenChain(benchmark::State& state) { rotate(state, nitro(), {}); }
void BM_NitroCold(benchmark::State& state) { rotate(state, nitro(), {.cached_platforms = 0, .cached_collateral = 0}); }
void BM_MaaToken(benchmark::State& state) { rotate(state, maa(), {}); }

BENCHMARK(BM_SnpSeenChip)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_SnpNewChip)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_SnpCold)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_NitroSeenChain)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_NitroCold)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_MaaToken)->Unit(benchmark::kMicrosecond);

}  // namespace
