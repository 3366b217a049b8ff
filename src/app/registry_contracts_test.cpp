// The contracts that this program deploys, as their code stands on a chain.
#include "app/registry_contracts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

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

/// The compiler leaves zeros where a constructor writes immutable values.
TEST(RegistryContracts, ACodeHoldsOnlyTheImmutablesThatAreExpected) {
  const std::array<base::FixedBytes<32>, 1> factory{{{7}}}, other{{{8}}};
  const auto code = contract_code(ContractKind::reputation);
  ASSERT_TRUE(code.ok());
  auto found = code->deployed;
  EXPECT_FALSE(is_code_with(*code, found, factory)) << "zeros";
  std::vector<std::size_t> holes;
  for (std::size_t at = 0; at + 32 < found.size(); ++at) {
    if (found[at] != kPush32 || std::any_of(&found[at + 1], &found[at + 33], [](auto byte) { return byte != 0; }))
      continue;
    holes.push_back(at + 1);
    std::ranges::copy(factory[0], &found[at + 1]);
    at += 32;
  }
  ASSERT_GE(holes.size(), 2U);
  EXPECT_TRUE(is_code_with(*code, found, factory));
  EXPECT_FALSE(is_code_with(*code, found, other));
  for (const std::size_t at : {holes.front(), holes.back(), std::size_t{0}, found.size() - 1}) {
    auto changed = found;
    changed[at] ^= 1;
    EXPECT_FALSE(is_code_with(*code, changed, factory)) << at;
  }
  found.push_back(0);
  EXPECT_FALSE(is_code_with(*code, found, factory));
}

}  // namespace
}  // namespace attestry::app
