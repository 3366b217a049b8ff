#include "audit/internal/records.h"

#include "base/reader.h"

namespace attestry::audit {
namespace {

constexpr std::uint8_t kVersion = 1;

}  // namespace

base::Result<Frontier> read_head(const state::ReadView& view) {
  TRY(const auto stored, view.get(state::Key(state::Space::audit_head)));
  if (!stored) return Frontier{};
  TRY(base::Reader reader, state::open_value(*stored, kVersion, "head of the log"));
  TRY(const std::uint64_t size, reader.u64be("size"));
  std::vector<Hash> hashes;
  while (reader.remaining() > 0) {
    TRY(const Hash hash, reader.take_array<32>("hash"));
    hashes.push_back(hash);
  }
  return Frontier::from(size, std::move(hashes));
}

base::Status write_head(state::WriteTxn& txn, const Frontier& head) {
  base::LpWriter out = state::value(kVersion);
  out.u64(head.size());
  for (const Hash& hash : head.hashes()) out.raw(hash);
  return txn.put(state::Key(state::Space::audit_head), out.bytes());
}

base::Result<base::ByteView> leaf_in(base::ByteView stored) {
  TRY(const base::Reader reader, state::open_value(stored, kVersion, "leaf"));
  return reader.rest();
}

base::Result<std::optional<base::Bytes>> read_leaf(const state::ReadView& view, std::uint64_t index) {
  TRY(const auto stored, view.get(leaf_key(index)));
  if (!stored) return std::optional<base::Bytes>{};
  TRY(const base::ByteView leaf, leaf_in(*stored));
  return std::optional<base::Bytes>(base::to_bytes(leaf));
}

base::Result<Hash> read_node(const state::ReadView& view, NodeId id) {
  TRY(const auto stored, view.get(node_key(id)));
  if (!stored) {
    return base::Error{base::Code::corrupt, "the log has lost a hash: level " + std::to_string(id.level) + ", index " +
                                                std::to_string(id.index)};
  }
  TRY(base::Reader reader, state::open_value(*stored, kVersion, "hash of the log"));
  TRY(const Hash hash, reader.take_array<32>("hash"));
  TRY_OK(reader.finish("hash of the log"));
  return hash;
}

}  // namespace attestry::audit
