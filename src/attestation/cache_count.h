// What a cache did, for metrics.
#pragma once
#include <cstddef>
#include <cstdint>

namespace attestry::attestation {

/// Since the cache was made.
struct CacheCount {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::size_t entries = 0;  ///< now
  CacheCount& operator+=(const CacheCount& other) noexcept {
    hits += other.hits;
    misses += other.misses;
    entries += other.entries;
    return *this;
  }
};

}  // namespace attestry::attestation
