// Any bytes are a bundle or a list of problems, and what was read is written and read back to the same collateral.
#include <algorithm>

#include "base/bytes.h"
#include "collateral/bundle.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  const collateral::Bundle bundle = collateral::read_bundle({data, size}, "input");
  for (const auto& item : bundle.items) {
    REQUIRE(std::ranges::count(bundle.items, item.kind, &attestation::CollateralItem::kind) == 1);
    REQUIRE(std::ranges::count(bundle.problems, item.kind, &attestation::CollateralProblem::kind) == 0);
  }
  if (!bundle.problems.empty()) return 0;
  const auto first = bundle.collateral();
  const auto again = collateral::read_bundle(base::as_bytes(collateral::write_bundle(*first)), "written");
  REQUIRE(again.problems.empty());
  REQUIRE(again.collateral()->digest() == first->digest());
  return 0;
}
