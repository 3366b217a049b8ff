// Answers of contracts by block: what was asked at a block once is true of it for ever.
#pragma once
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "chain/rpc.h"

namespace attestry::chain::internal {

/// Not thread-safe: its owner locks.
class ResultCache {
 public:
  using Outcome = std::shared_ptr<const CallOutcome>;

  explicit ResultCache(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  static std::string key_of(const Call& call);
  Outcome find(const base::Digest32& block, const std::string& key) const;
  /// `asked_at`: the number of the block that the contract was really asked at.
  void put(const BlockRef& at, const std::string& key, Outcome outcome, std::uint64_t asked_at);

  /// Addresses with an answer at `block`.
  std::set<Address> addresses(const base::Digest32& block) const;
  /// Copies the answers of these addresses to the next block, as far as they were asked for at `oldest` or later; how
  /// many.
  std::size_t carry(const base::Digest32& from, const BlockRef& to, const std::set<Address>& untouched,
                    std::uint64_t oldest);
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  struct Entry {
    Outcome outcome;
    std::uint64_t asked_at;
  };
  struct Block {
    base::Digest32 hash;
    std::unordered_map<std::string, Entry> entries{};
  };
  static std::size_t size_of(const std::string& key, const Entry& entry);
  const Block* block(const base::Digest32& hash) const;
  Block& block_for(const base::Digest32& hash);
  void insert(Block& block, const std::string& key, Entry entry);
  void drop_oldest();
  void shrink();

  const std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  std::list<Block> blocks_;  ///< oldest first
};

}  // namespace attestry::chain::internal
