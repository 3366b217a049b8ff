// The log's records in the store: head, leaves, hashes of complete subtrees.
#pragma once
#include <optional>

#include "audit/merkle.h"
#include "state/keys.h"
#include "state/store.h"

namespace attestry::audit {

inline state::Key leaf_prefix() { return state::Key(state::Space::audit_leaves); }
inline state::Key leaf_key(std::uint64_t index) { return leaf_prefix().u64(index); }
inline state::Key node_key(NodeId id) {
  return state::Key(state::Space::audit_nodes).u8(static_cast<std::uint8_t>(id.level)).u64(id.index);
}

/// The frontier of the stored log; that of an empty tree when there is none.
base::Result<Frontier> read_head(const state::ReadView& view);
base::Status write_head(state::WriteTxn& txn, const Frontier& head);

/// nullopt when there is no such leaf.
base::Result<std::optional<base::Bytes>> read_leaf(const state::ReadView& view, std::uint64_t index);
/// The leaf's bytes in a stored value.
base::Result<base::ByteView> leaf_in(base::ByteView stored);

/// Error `corrupt` when the store does not hold the subtree.
base::Result<Hash> read_node(const state::ReadView& view, NodeId id);

}  // namespace attestry::audit
