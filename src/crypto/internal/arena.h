// Memory for secrets: pages that are locked in RAM and left out of core dumps, cut into slots so that many small
// secrets share one page (the lock limit of an ordinary process is a few megabytes). Thread-safe.
#pragma once
#include <cstddef>
#include <cstdint>

namespace attestry::crypto::internal {

/// `size` > 0 zeroed bytes. Never null: ends the process when memory is gone.
std::uint8_t* arena_take(std::size_t size);
/// Wipes and takes back what arena_take(size) gave.
void arena_give(std::uint8_t* data, std::size_t size) noexcept;

struct ArenaUse {
  std::size_t live = 0;   ///< secrets handed out
  std::size_t pages = 0;  ///< bytes of shared pages held
  bool locked = false;    ///< every page so far could be locked
};
ArenaUse arena_use();

}  // namespace attestry::crypto::internal
