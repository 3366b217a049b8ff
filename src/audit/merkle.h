// The Merkle tree of RFC 9162 §2.1 with SHA-256: hashing, growing, proving, verifying. Pure.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::audit {

using Hash = base::Digest32;

/// MTH of one leaf: SHA-256(0x00 ‖ leaf).
Hash leaf_hash(base::ByteView leaf);
/// SHA-256(0x01 ‖ left ‖ right).
Hash node_hash(const Hash& left, const Hash& right);
/// MTH of no leaves: SHA-256 of nothing.
Hash empty_root();

struct TreeHead {
  std::uint64_t size = 0;
  Hash root = empty_root();
  friend bool operator==(const TreeHead&, const TreeHead&) = default;
};

/// A complete subtree: the 2^level leaves from index * 2^level on.
struct NodeId {
  unsigned level = 0;
  std::uint64_t index = 0;
  friend auto operator<=>(const NodeId&, const NodeId&) = default;
};

/// The right edge of a growing tree: the hashes of its complete subtrees, largest first. append() is O(log n).
class Frontier {
 public:
  Frontier() = default;
  /// Error `corrupt` unless `hashes` holds one hash per set bit of `size`.
  static base::Result<Frontier> from(std::uint64_t size, std::vector<Hash> hashes);
  /// Adds a leaf and tells every complete subtree that this made, the leaf itself first.
  void append(const Hash& leaf, const std::function<void(NodeId, const Hash&)>& made = {});
  std::uint64_t size() const noexcept { return size_; }
  const std::vector<Hash>& hashes() const noexcept { return hashes_; }
  Hash root() const;
  TreeHead head() const { return {size_, root()}; }

 private:
  std::uint64_t size_ = 0;
  std::vector<Hash> hashes_;
};

/// Gives the hash of a complete subtree of the tree.
using NodeSource = std::function<base::Result<Hash>(NodeId)>;

/// Root of the first `size` leaves.
base::Result<Hash> root_at(std::uint64_t size, const NodeSource& nodes);
/// PATH(index, D[size]), the leaf's sibling first (RFC 9162 §2.1.3.1). index < size.
base::Result<std::vector<Hash>> inclusion_proof(std::uint64_t index, std::uint64_t size, const NodeSource& nodes);
/// PROOF(first, D[second]) (RFC 9162 §2.1.4.1); empty when first is 0 or equals second. first <= second.
base::Result<std::vector<Hash>> consistency_proof(std::uint64_t first, std::uint64_t second, const NodeSource& nodes);

/// RFC 9162 §2.1.3.2. Total: false for any proof that is not exactly right.
bool verify_inclusion(const Hash& leaf, std::uint64_t index, const TreeHead& head, std::span<const Hash> proof);
/// RFC 9162 §2.1.4.2; an empty first tree is consistent with everything and has an empty proof.
bool verify_consistency(const TreeHead& first, const TreeHead& second, std::span<const Hash> proof);

}  // namespace attestry::audit
