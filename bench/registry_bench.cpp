// The registry's decision alone: the identity of a TD's registers, and whether its contract allows it, with the answers
// of the block in the cache (docs/performance.md). Three endpoints of which two must agree; the stand-in in place of
// their nodes is asked once.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>

#include "chain/quorum.h"
#include "chain/registry_abi.h"
#include "chain/testing/stand_in.h"
#include "governance/chain_authority.h"
#include "provision/registry_measurements.h"

namespace {

using namespace attestry;
namespace abi = chain::registry;

const curves::Address kContract{0xc0, 0xff, 0xee};
const curves::Address kOperator{0x0a};

template <class T>
T must(base::Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "benchmark set-up: %s\n", result.error().text().c_str());
    std::exit(2);
  }
  return std::move(*result);
}

provision::RegistryMeasurements registers() {
  provision::RegistryMeasurements out{};
  for (std::size_t i = 0; i < out.rtmr.size(); ++i) out.rtmr[i].fill(static_cast<std::uint8_t>(i + 1));
  return out;
}

chain::CallOutcome answer(const chain::Call& call, const base::Digest32& identity) {
  const auto is = [&](const chain::Call& known) { return known.data == call.data; };
  if (is(abi::kIdentityAllowed.at(kContract, identity, kOperator)))
    return {.data = abi::kIdentityAllowed.encode_result(true)};
  if (is(abi::kConfigForIdentity.at(kContract, identity, kOperator))) {
    return {.data = abi::kConfigForIdentity.encode_result(base::Digest32{7})};
  }
  if (is(abi::kStorageBackends.at(kContract))) {
    return {.data = abi::kStorageBackends.encode_result({"file://./store/", "ipfs://127.0.0.1:5001/"})};
  }
  return {.reverted = true};
}

void identity_and_decision(benchmark::State& state) {
  const auto measured = registers();
  const auto identity = measured.identity(kContract);
  chain::testing::Nodes nodes{3};
  nodes.each([&](chain::testing::Node& node) {
    node.contract = [&](const chain::Call& call, std::uint64_t) { return answer(call, identity); };
  });
  auto options = nodes.options();
  options.quorum = 2;
  const chain::testing::TestClock clock{chain::testing::Branch::time(100)};
  options.clock = &clock;
  const auto reader = must(chain::QuorumReader::make(nodes, std::move(options)));
  governance::ChainAuthority authority{*reader, {.chain_id = chain::testing::kChainId}};
  for (auto _ : state) {
    const governance::ContractQuestion question{.tenant = base::Tenant::standard(),
                                                .contract = kContract,
                                                .identity = measured.identity(kContract),
                                                .operator_address = kOperator};
    auto approval = authority.decide(question, clock.steady() + std::chrono::seconds{10});
    if (!approval) {
      state.SkipWithError(approval.error().text().c_str());
      break;
    }
    benchmark::DoNotOptimize(approval);
  }
}
BENCHMARK(identity_and_decision)->Unit(benchmark::kMicrosecond);

}  // namespace
