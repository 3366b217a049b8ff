#include "chain/internal/cache.h"

#include <algorithm>

namespace attestry::chain::internal {

namespace {

constexpr std::size_t kMaxBlocks = 8;
constexpr std::size_t kOverhead = 160;  // of one entry, beside its bytes

Address address_of(const std::string& key) {
  Address out{};
  std::copy_n(base::as_bytes(key).begin(), out.size(), out.begin());
  return out;
}

}  // namespace

std::string ResultCache::key_of(const Call& call) {
  std::string key{base::as_text(call.to)};
  key += base::as_text(call.data);
  return key;
}

std::size_t ResultCache::size_of(const std::string& key, const Entry& entry) {
  // What is carried shares its bytes with the block before; they are counted twice and not too seldom.
  return key.size() + entry.outcome->data.size() + entry.outcome->reason.size() + kOverhead;
}

const ResultCache::Block* ResultCache::block(const base::Digest32& hash) const {
  const auto found = std::ranges::find(blocks_, hash, &Block::hash);
  return found == blocks_.end() ? nullptr : &*found;
}

ResultCache::Block& ResultCache::block_for(const base::Digest32& hash) {
  const auto found = std::ranges::find(blocks_, hash, &Block::hash);
  if (found != blocks_.end()) return *found;
  if (blocks_.size() == kMaxBlocks) drop_oldest();
  return blocks_.emplace_back(Block{.hash = hash});
}

ResultCache::Outcome ResultCache::find(const base::Digest32& hash, const std::string& key) const {
  const Block* at = block(hash);
  if (at == nullptr) return nullptr;
  const auto found = at->entries.find(key);
  return found == at->entries.end() ? nullptr : found->second.outcome;
}

void ResultCache::insert(Block& block, const std::string& key, Entry entry) {
  const std::size_t size = size_of(key, entry);
  if (!block.entries.try_emplace(key, std::move(entry)).second) return;
  bytes_ += size;
}

void ResultCache::put(const BlockRef& at, const std::string& key, Outcome outcome, std::uint64_t asked_at) {
  insert(block_for(at.hash), key, {std::move(outcome), asked_at});
  shrink();
}

std::set<Address> ResultCache::addresses(const base::Digest32& hash) const {
  std::set<Address> out;
  if (const Block* at = block(hash)) {
    for (const auto& [key, entry] : at->entries) out.insert(address_of(key));
  }
  return out;
}

std::size_t ResultCache::carry(const base::Digest32& from, const BlockRef& to, const std::set<Address>& untouched,
                               std::uint64_t oldest) {
  if (block(from) == nullptr || from == to.hash) return 0;
  Block& target = block_for(to.hash);
  const Block* source = block(from);  // again: making room may have taken it
  if (source == nullptr) return 0;
  std::size_t carried = 0;
  for (const auto& [key, entry] : source->entries) {
    if (entry.asked_at < oldest || !untouched.contains(address_of(key))) continue;
    insert(target, key, entry);
    ++carried;
  }
  shrink();
  return carried;
}

void ResultCache::drop_oldest() {
  for (const auto& [key, entry] : blocks_.front().entries) bytes_ -= size_of(key, entry);
  blocks_.pop_front();
}

void ResultCache::shrink() {
  while (bytes_ > max_bytes_ && blocks_.size() > 1) drop_oldest();
  auto& entries = blocks_.back().entries;
  while (bytes_ > max_bytes_ && !entries.empty()) {
    bytes_ -= size_of(entries.begin()->first, entries.begin()->second);
    entries.erase(entries.begin());
  }
}

}  // namespace attestry::chain::internal
