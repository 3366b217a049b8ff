// Shares combine exactly when they can be of one split, in any order to the same; a split of what comes out comes back.
// Input: length of a share, then the shares one after another.
#include <algorithm>
#include <set>
#include <vector>

#include "curves/shamir.h"
#include "require.h"

using namespace attestry;

namespace {

bool possible(const std::vector<crypto::Secret>& shares) {
  std::set<std::uint8_t> xs;
  for (const crypto::Secret& share : shares) {
    if (share.size() < 2 || share.size() != shares[0].size() || share.reveal().back() == 0) return false;
    xs.insert(share.reveal().back());
  }
  return shares.size() >= 2 && shares.size() <= 255 && xs.size() == shares.size();
}

void splits(const crypto::Secret& secret, unsigned threshold) {
  crypto::SeededRandom random(secret.reveal());
  auto shares = curves::shamir_split(secret, threshold, threshold + 1, random);
  REQUIRE(shares.ok() && shares->size() == threshold + 1);
  REQUIRE(possible(*shares));
  shares->erase(shares->begin());
  const auto again = curves::shamir_combine(*shares);
  REQUIRE(again.ok() && base::equal(again->reveal(), secret.reveal()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || data[0] == 0 || size > 4096) return 0;
  const std::size_t length = data[0];
  std::vector<crypto::Secret> shares;
  for (std::size_t at = 1; at < size; at += length) {
    shares.push_back(crypto::Secret::copy_of({data + at, std::min(length, size - at)}));
  }
  const auto combined = curves::shamir_combine(shares);
  REQUIRE(combined.ok() == possible(shares));
  if (!combined) return 0;
  REQUIRE(combined->size() + 1 == shares[0].size());
  std::reverse(shares.begin(), shares.end());
  const auto reversed = curves::shamir_combine(shares);
  REQUIRE(reversed.ok() && base::equal(reversed->reveal(), combined->reveal()));
  splits(*combined, 2 + data[1] % 6);
  return 0;
}
