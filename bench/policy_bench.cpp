// Appraisal alone: a verdict that is there already, judged by a policy of fifty conditions (docs/performance.md).
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "attestation/policy.h"
#include "attestation/verifier.h"
#include "forge/scenario.h"

namespace {

using namespace attestry;

constexpr base::UtcTime kAt{1'780'000'000};
constexpr std::size_t kConditions = 50;

template <class T>
T must(base::Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "benchmark set-up: %s\n", result.error().text().c_str());
    std::exit(2);
  }
  return std::move(*result);
}

attestation::Verdict genuine_td() {
  const auto pki = must(forge::ForgePki::make(base::as_bytes("bench")));
  auto made = must(
      forge::make_case(pki, {.quote = forge::default_quote(pki, forge::QuoteKind::tdx_v5), .platform = {}, .at = kAt}));
  std::vector<attestation::TestRoot> roots{must(attestation::TestRoot::from_certificate(pki.root().der))};
  const attestation::Verifier verifier{attestation::TrustAnchors::simulated(std::move(roots))};
  return must(verifier.verify(made.evidence(), *made.collateral.collateral(), kAt));
}

/// Each kind of condition in turn, over every claim that the evidence has: all hold, so none can be left out.
std::string condition_on(const attestation::Claim& claim, std::size_t turn) {
  const auto* known = attestation::find_claim(claim.name);
  const std::string begin = "{\"claim\":\"" + std::string{claim.name} + "\",";
  if (known->type == attestation::ClaimType::boolean) return begin + "\"equals\":" + claim.value + "}";
  if (known->type == attestation::ClaimType::number) {
    return begin + (turn % 2 == 0 ? "\"at_least\":" : "\"at_most\":") + claim.value + "}";
  }
  const bool zeros = claim.value.find_first_not_of('0') == std::string::npos;
  const std::string quoted = "\"" + claim.value + "\"";
  switch (known->type == attestation::ClaimType::bytes && !zeros ? turn % 5 : turn % 2) {
    case 1:
      return begin + "\"prefix\":\"" + claim.value.substr(0, 4) + "\"}";
    case 2:
      return begin + "\"one_of\":[" + quoted + ",\"" + std::string(claim.value.size(), '1') + "\"]}";
    case 3:
      return begin + "\"bits_set\":" + quoted + "}";
    case 4:
      return "{\"any_of\":[" + begin + "\"prefix\":\"ffff\"}," + begin + "\"equals\":" + quoted + "}]}";
    default:
      return begin + (zeros && known->identifies ? "\"prefix\":\"0\"}" : "\"equals\":" + quoted + "}");
  }
}

attestation::Policy policy_of(const attestation::Verdict& verdict) {
  std::string conditions;
  for (std::size_t i = 0; i < kConditions; ++i) {
    conditions += (i == 0 ? "" : ",") + condition_on(verdict.claims[i % verdict.claims.size()], i);
  }
  return must(attestation::Policy::parse(R"({"format":1,"name":"fifty","conditions":[)" + conditions + "]}"));
}

void BM_AppraisalFiftyConditions(benchmark::State& state) {
  auto verdict = genuine_td();
  const auto policy = policy_of(verdict);
  attestation::evaluate(policy, verdict);
  if (verdict.outcome != attestation::Outcome::accepted) {
    std::fprintf(stderr, "%s\n", attestation::to_json(verdict).c_str());
    std::exit(2);
  }
  for (auto _ : state) {
    attestation::evaluate(policy, verdict);
    if (verdict.outcome != attestation::Outcome::accepted) std::abort();
  }
  state.SetLabel(std::to_string(policy.rules().conditions.size()) + " conditions over " +
                 std::to_string(verdict.claims.size()) + " claims");
}

void BM_AppraisalDefault(benchmark::State& state) {
  auto verdict = genuine_td();
  for (auto _ : state) {
    attestation::evaluate(attestation::Policy::standard(), verdict);
    if (verdict.outcome != attestation::Outcome::accepted) std::abort();
  }
}

BENCHMARK(BM_AppraisalFiftyConditions)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_AppraisalDefault)->Unit(benchmark::kMicrosecond);

}  // namespace
