#include "audit/merkle.h"

#include <bit>

#include "crypto/hash.h"

namespace attestry::audit {
namespace {

/// The largest power of two smaller than `size` (RFC 9162 §2.1.1); size > 1.
std::uint64_t split(std::uint64_t size) { return std::bit_floor(size - 1); }

bool has_bit(std::uint64_t value, unsigned bit) { return ((value >> bit) & 1u) != 0; }

/// MTH(D[first : first + size]), `first` a multiple of the next power of two from `size` on, as it is in every call
/// from here.
base::Result<Hash> range_hash(std::uint64_t first, std::uint64_t size, const NodeSource& nodes) {
  if (size == 0) return empty_root();
  std::vector<Hash> parts;
  // Complete subtrees from the left, the largest first; then fold from the right.
  for (int level = 63; level >= 0; --level) {
    const auto bit = static_cast<unsigned>(level);
    if (!has_bit(size, bit)) continue;
    TRY(const Hash part, nodes(NodeId{bit, first >> bit}));
    parts.push_back(part);
    first += std::uint64_t{1} << bit;
  }
  Hash out = parts.back();
  for (std::size_t i = parts.size() - 1; i-- > 0;) out = node_hash(parts[i], out);
  return out;
}

}  // namespace

Hash leaf_hash(base::ByteView leaf) {
  constexpr std::uint8_t kLeaf[] = {0x00};
  return crypto::sha256({kLeaf, leaf});
}

Hash node_hash(const Hash& left, const Hash& right) {
  constexpr std::uint8_t kNode[] = {0x01};
  return crypto::sha256({kNode, left, right});
}

Hash empty_root() { return crypto::sha256(base::ByteView{}); }

base::Result<Frontier> Frontier::from(std::uint64_t size, std::vector<Hash> hashes) {
  if (hashes.size() != static_cast<std::size_t>(std::popcount(size))) {
    return base::Error{base::Code::corrupt, "the right edge of the log does not fit its size",
                       std::to_string(std::popcount(size)) + " hashes", std::to_string(hashes.size())};
  }
  Frontier out;
  out.size_ = size;
  out.hashes_ = std::move(hashes);
  return out;
}

void Frontier::append(const Hash& leaf, const std::function<void(NodeId, const Hash&)>& made) {
  Hash hash = leaf;
  NodeId node{0, size_};
  if (made) made(node, hash);
  // Every trailing one bit of the size is a complete subtree as large as the new one: they merge.
  for (std::uint64_t rest = size_; (rest & 1u) != 0; rest >>= 1u) {
    hash = node_hash(hashes_.back(), hash);
    hashes_.pop_back();
    node = {node.level + 1, node.index >> 1u};
    if (made) made(node, hash);
  }
  hashes_.push_back(hash);
  ++size_;
}

Hash Frontier::root() const {
  if (hashes_.empty()) return empty_root();
  Hash out = hashes_.back();
  for (std::size_t i = hashes_.size() - 1; i-- > 0;) out = node_hash(hashes_[i], out);
  return out;
}

base::Result<Hash> root_at(std::uint64_t size, const NodeSource& nodes) { return range_hash(0, size, nodes); }

base::Result<std::vector<Hash>> inclusion_proof(std::uint64_t index, std::uint64_t size, const NodeSource& nodes) {
  if (index >= size) {
    return base::Error{base::Code::not_found, "the log has no such leaf", "below " + std::to_string(size),
                       std::to_string(index)};
  }
  // From the root down; the proof is written from the leaf up.
  std::vector<Hash> down;
  std::uint64_t first = 0;
  while (size > 1) {
    const std::uint64_t k = split(size);
    const bool left = index - first < k;
    auto sibling = left ? range_hash(first + k, size - k, nodes) : range_hash(first, k, nodes);
    TRY(const Hash hash, std::move(sibling));
    down.push_back(hash);
    if (!left) first += k;
    size = left ? k : size - k;
  }
  return std::vector<Hash>(down.rbegin(), down.rend());
}

base::Result<std::vector<Hash>> consistency_proof(std::uint64_t first, std::uint64_t second, const NodeSource& nodes) {
  if (first > second) {
    return base::Error{base::Code::malformed, "the first size is above the second", "at most " + std::to_string(second),
                       std::to_string(first)};
  }
  std::vector<Hash> down;
  if (first == 0 || first == second) return down;
  // SUBPROOF(m, D[begin : begin + size], whole) of RFC 9162 §2.1.4.1.
  std::uint64_t begin = 0, m = first, size = second;
  bool whole = true;
  while (m != size) {
    const std::uint64_t k = split(size);
    const bool left = m <= k;
    auto sibling = left ? range_hash(begin + k, size - k, nodes) : range_hash(begin, k, nodes);
    TRY(const Hash hash, std::move(sibling));
    down.push_back(hash);
    if (!left) {
      begin += k;
      m -= k;
      whole = false;
    }
    size = left ? k : size - k;
  }
  if (!whole) {
    TRY(const Hash hash, range_hash(begin, size, nodes));
    down.push_back(hash);
  }
  return std::vector<Hash>(down.rbegin(), down.rend());
}

bool verify_inclusion(const Hash& leaf, std::uint64_t index, const TreeHead& head, std::span<const Hash> proof) {
  if (index >= head.size) return false;
  std::uint64_t fn = index, sn = head.size - 1;
  Hash r = leaf;
  for (const Hash& p : proof) {
    if (sn == 0) return false;
    if ((fn & 1u) != 0 || fn == sn) {
      r = node_hash(p, r);
      while ((fn & 1u) == 0 && fn != 0) {
        fn >>= 1u;
        sn >>= 1u;
      }
    } else {
      r = node_hash(r, p);
    }
    fn >>= 1u;
    sn >>= 1u;
  }
  return sn == 0 && r == head.root;
}

bool verify_consistency(const TreeHead& first, const TreeHead& second, std::span<const Hash> proof) {
  if (first.size > second.size) return false;
  if (first.size == second.size) return proof.empty() && first.root == second.root;
  if (first.size == 0) return proof.empty() && first.root == empty_root();
  if (proof.empty()) return false;
  // A complete first tree is itself the proof's first node, and is left out of it.
  const bool complete = std::has_single_bit(first.size);
  std::uint64_t fn = first.size - 1, sn = second.size - 1;
  while ((fn & 1u) != 0) {
    fn >>= 1u;
    sn >>= 1u;
  }
  Hash fr = complete ? first.root : proof.front();
  Hash sr = fr;
  for (const Hash& c : proof.subspan(complete ? 0 : 1)) {
    if (sn == 0) return false;
    if ((fn & 1u) != 0 || fn == sn) {
      fr = node_hash(c, fr);
      sr = node_hash(c, sr);
      while ((fn & 1u) == 0 && fn != 0) {
        fn >>= 1u;
        sn >>= 1u;
      }
    } else {
      sr = node_hash(sr, c);
    }
    fn >>= 1u;
    sn >>= 1u;
  }
  return sn == 0 && fr == first.root && sr == second.root;
}

}  // namespace attestry::audit
