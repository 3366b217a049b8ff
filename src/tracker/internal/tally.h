// How many entries each of very many owners has: a table without pointers, ten bytes for each place. Private to
// tracker.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/mutex.h"

namespace attestry::tracker::internal {

/// Of what strangers choose, for tables: without the key nobody can aim at one place. No MAC.
std::uint64_t keyed_hash(base::ByteView bytes, const std::array<std::uint64_t, 2>& key) noexcept;

/// Counts by owner, 0 for who is not there. Owners whose keyed hashes are equal count together: one in 2^64.
/// Thread-safe.
class Tally {
 public:
  explicit Tally(const std::array<std::uint64_t, 2>& key) : key_(key) {}

  /// False, and nothing is counted, when the owner has `most` already. `most` 0: no limit, and nothing is kept.
  bool add(std::uint64_t owner, std::uint16_t most);
  /// Of what was added; nothing happens for an owner that has none.
  void remove(std::uint64_t owner);
  std::uint16_t count(std::uint64_t owner) const;

 private:
  static constexpr std::size_t kParts = 16;
  struct Part {
    mutable base::Mutex mutex;
    std::vector<std::uint64_t> owners ATTESTRY_GUARDED_BY(mutex);  ///< hashes; where the count is 0: nobody
    std::vector<std::uint16_t> counts ATTESTRY_GUARDED_BY(mutex);
    std::size_t taken ATTESTRY_GUARDED_BY(mutex) = 0;

    std::size_t place(std::uint64_t hash) const ATTESTRY_REQUIRES(mutex);
    void resize(std::size_t size) ATTESTRY_REQUIRES(mutex);
  };
  std::uint64_t hash(std::uint64_t owner) const noexcept;
  static std::size_t part(std::uint64_t hash) noexcept { return hash >> 60; }

  const std::array<std::uint64_t, 2> key_;
  std::array<Part, kParts> parts_;
};

}  // namespace attestry::tracker::internal
