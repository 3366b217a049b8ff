// A proof says one thing about one key: what it proves for a key does not change with the order of asking, and a proof
// that is longer or shorter by a node is none.
#include "chain/proof.h"
#include "curves/keccak.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  // One byte of key length, the key, then nodes with one byte of length each; the first node is the root.
  base::ByteView rest{data, size};
  const auto take = [&rest](std::size_t count) {
    const auto part = rest.first(std::min(count, rest.size()));
    rest = rest.subspan(part.size());
    return part;
  };
  const auto part = [&] { return rest.empty() ? rest : take(take(1)[0]); };
  const auto key = part();
  std::vector<base::Bytes> proof;
  while (!rest.empty() && proof.size() < 70) proof.push_back(base::to_bytes(part()));
  if (proof.empty()) return 0;
  const auto root = curves::keccak256(proof.front());
  const auto value = chain::verify_trie(root, key, proof);
  if (!value) return 0;
  if (*value) REQUIRE(!(*value)->empty());
  auto longer = proof;
  longer.push_back(proof.front());
  REQUIRE(!chain::verify_trie(root, key, longer).ok());
  auto shorter = proof;
  shorter.pop_back();
  REQUIRE(root == curves::keccak256(base::Bytes{0x80}) || !chain::verify_trie(root, key, shorter).ok());
  return 0;
}
