// The contracts that this program deploys, as their code stands on a chain.
#include "app/registry_contracts.h"

#include <gtest/gtest.h>

namespace attestry::app {
namespace {

enum Instruction : std::uint8_t {
  kPush1 = 0x60,
  kPush32 = 0x7f,
  kCallCode = 0xf2,
  kDelegateCall = 0xf4,
  kSelfDestruct = 0xff,
};

/// What such a contract said is carried from block to block by its events, and its code is proved by its hash: both
/// hold because nothing takes that code away, or runs another one's in its storage.
TEST(RegistryContracts, TheirCodeStaysAndRunsNobodyElses) {
  for (const auto kind : {ContractKind::registry, ContractKind::kms}) {
    const auto contract = contract_code(kind);
    ASSERT_TRUE(contract.ok()) << contract.error().text();
    ASSERT_FALSE(contract->deployed.empty());
    for (std::size_t at = 0; at < contract->deployed.size(); ++at) {
      const std::uint8_t instruction = contract->deployed[at];
      EXPECT_NE(instruction, kSelfDestruct) << to_text(kind) << " at " << at;
      EXPECT_NE(instruction, kDelegateCall) << to_text(kind) << " at " << at;
      EXPECT_NE(instruction, kCallCode) << to_text(kind) << " at " << at;
      if (instruction >= kPush1 && instruction <= kPush32) at += instruction - kPush1 + 1u;
    }
  }
}

}  // namespace
}  // namespace attestry::app
