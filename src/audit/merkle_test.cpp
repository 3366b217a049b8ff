#include "audit/merkle.h"

#include <gtest/gtest.h>

#include <map>

#include "base/encoding.h"

namespace attestry::audit {
namespace {

constexpr std::uint64_t kMost = 130;

Hash hash_of(std::string_view hex) {
  Hash out{};
  EXPECT_TRUE(base::hex_decode_into(hex, out).ok());
  return out;
}

/// A tree built leaf by leaf, its complete subtrees kept as the store keeps them.
struct Tree {
  void add(base::ByteView leaf) {
    leaves.push_back(leaf_hash(leaf));
    frontier.append(leaves.back(), [this](NodeId id, const Hash& hash) {
      EXPECT_TRUE(nodes.emplace(id, hash).second) << "a complete subtree was made twice";
    });
  }
  NodeSource source() const {
    return [this](NodeId id) -> base::Result<Hash> {
      const auto found = nodes.find(id);
      if (found == nodes.end()) return base::Error{base::Code::corrupt, "no such node"};
      return found->second;
    };
  }
  std::vector<Hash> leaves;
  std::map<NodeId, Hash> nodes;
  Frontier frontier;
};

Tree numbered(std::uint64_t size) {
  Tree out;
  for (std::uint64_t i = 0; i < size; ++i) out.add(base::as_bytes("leaf " + std::to_string(i)));
  return out;
}

/// MTH by the recursive definition of RFC 9162 §2.1.1, to compare with.
Hash by_definition(std::span<const Hash> leaves) {
  if (leaves.empty()) return empty_root();
  if (leaves.size() == 1) return leaves[0];
  std::size_t k = 1;
  while (k * 2 < leaves.size()) k *= 2;
  return node_hash(by_definition(leaves.first(k)), by_definition(leaves.subspan(k)));
}

// The eight leaves that the implementations of RFC 6962 test with, and the roots of the trees of their first n.
TEST(Merkle, KnownAnswers) {
  const std::vector<std::string_view> leaves = {
      "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
  const std::vector<std::string_view> roots = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                                               "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                                               "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                                               "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                                               "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                                               "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                                               "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                                               "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                                               "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
  Tree tree;
  EXPECT_EQ(tree.frontier.root(), hash_of(roots[0]));
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    tree.add(*base::hex_decode(leaves[i]));
    EXPECT_EQ(tree.frontier.root(), hash_of(roots[i + 1])) << i + 1;
  }
  // The audit path and the consistency proof that those tests give for this tree.
  const auto path = inclusion_proof(5, 8, tree.source());
  ASSERT_TRUE(path.ok());
  ASSERT_EQ(path->size(), 3u);
  EXPECT_EQ((*path)[0], hash_of("bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"));
  EXPECT_EQ((*path)[1], hash_of("ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"));
  EXPECT_EQ((*path)[2], hash_of("d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"));
  const auto proof = consistency_proof(6, 8, tree.source());
  ASSERT_TRUE(proof.ok());
  ASSERT_EQ(proof->size(), 3u);
  EXPECT_EQ((*proof)[0], hash_of("0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"));
  EXPECT_EQ((*proof)[1], hash_of("ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"));
  EXPECT_EQ((*proof)[2], hash_of("d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"));
}

TEST(Merkle, EveryPrefixHasTheRootOfTheDefinition) {
  const Tree tree = numbered(kMost);
  for (std::uint64_t size = 0; size <= kMost; ++size) {
    const auto root = root_at(size, tree.source());
    ASSERT_TRUE(root.ok());
    EXPECT_EQ(*root, by_definition(std::span(tree.leaves).first(size))) << size;
    EXPECT_EQ(*root, numbered(size).frontier.root()) << size;
  }
}

TEST(Merkle, EveryInclusionProofVerifiesAndNoOtherDoes) {
  const Tree tree = numbered(kMost);
  for (std::uint64_t size = 1; size <= kMost; ++size) {
    const TreeHead head{size, *root_at(size, tree.source())};
    for (std::uint64_t index = 0; index < size; ++index) {
      auto proof = inclusion_proof(index, size, tree.source());
      ASSERT_TRUE(proof.ok());
      ASSERT_TRUE(verify_inclusion(tree.leaves[index], index, head, *proof)) << index << " of " << size;
      EXPECT_FALSE(verify_inclusion(tree.leaves[(index + 1) % kMost], index, head, *proof));
      EXPECT_FALSE(verify_inclusion(tree.leaves[index], index, {size, empty_root()}, *proof));
      if (size > 1) {
        EXPECT_FALSE(verify_inclusion(tree.leaves[index], (index + 1) % size, head, *proof));
        EXPECT_FALSE(verify_inclusion(tree.leaves[index], index, head, std::span(*proof).first(proof->size() - 1)));
      }
      proof->push_back(head.root);
      EXPECT_FALSE(verify_inclusion(tree.leaves[index], index, head, *proof));
    }
    EXPECT_FALSE(inclusion_proof(size, size, tree.source()).ok());
    EXPECT_FALSE(verify_inclusion(tree.leaves[0], size, head, {}));
  }
}

TEST(Merkle, EveryConsistencyProofVerifiesAndNoOtherDoes) {
  const Tree tree = numbered(kMost);
  for (std::uint64_t second = 0; second <= kMost; ++second) {
    const TreeHead newer{second, *root_at(second, tree.source())};
    for (std::uint64_t first = 0; first <= second; ++first) {
      const TreeHead older{first, *root_at(first, tree.source())};
      auto proof = consistency_proof(first, second, tree.source());
      ASSERT_TRUE(proof.ok());
      ASSERT_TRUE(verify_consistency(older, newer, *proof)) << first << " to " << second;
      const TreeHead forged{first, leaf_hash(base::as_bytes("forged"))};
      EXPECT_FALSE(verify_consistency(forged, newer, *proof));
      // Everything grows from the empty tree; any other proof pins the newer root.
      if (first > 0) {
        EXPECT_FALSE(verify_consistency(older, {second, forged.root}, *proof));
      }
      if (!proof->empty()) {
        EXPECT_FALSE(verify_consistency(older, newer, std::span(*proof).first(proof->size() - 1)));
        (*proof)[proof->size() / 2][0] ^= 1;
        EXPECT_FALSE(verify_consistency(older, newer, *proof));
        (*proof)[proof->size() / 2][0] ^= 1;
      }
      proof->push_back(newer.root);
      EXPECT_FALSE(verify_consistency(older, newer, *proof));
    }
    EXPECT_FALSE(consistency_proof(second + 1, second, tree.source()).ok());
    EXPECT_FALSE(verify_consistency({second + 1, newer.root}, newer, {}));
  }
}

TEST(Merkle, AFrontierThatDoesNotFitItsSizeIsCorrupt) {
  const Tree tree = numbered(13);
  EXPECT_EQ(tree.frontier.hashes().size(), 3u);
  EXPECT_TRUE(Frontier::from(13, tree.frontier.hashes()).ok());
  EXPECT_EQ(Frontier::from(12, tree.frontier.hashes()).error().code, base::Code::corrupt);
  auto again = Frontier::from(13, tree.frontier.hashes());
  EXPECT_EQ(again->head(), tree.frontier.head());
}

TEST(Merkle, ALostNodeIsAnErrorNotAWrongProof) {
  Tree tree = numbered(9);
  tree.nodes.erase(NodeId{2, 1});
  EXPECT_FALSE(inclusion_proof(0, 9, tree.source()).ok());
  EXPECT_FALSE(root_at(8, [](NodeId) -> base::Result<Hash> { return base::Error{base::Code::corrupt, "x"}; }).ok());
}

}  // namespace
}  // namespace attestry::audit
