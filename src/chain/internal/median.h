// What several endpoints say of one number, so that one of them alone decides nothing.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace attestry::chain::internal {

/// Of at least one value. The lower one of two: whoever of them lies can make a transaction slow and not dear.
inline std::uint64_t median(std::vector<std::uint64_t> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

}  // namespace attestry::chain::internal
