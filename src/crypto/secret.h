// Secret bytes: locked in memory, left out of core dumps, wiped at the end, never printable or copyable.
#pragma once
#include <cstddef>
#include <functional>
#include <span>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::crypto {

/// Move-only. Comparable only by equal_constant_time. On systems that refuse to lock memory the bytes are still wiped.
class Secret {
 public:
  Secret() noexcept = default;
  explicit Secret(std::size_t size);
  /// Copies `bytes` in and wipes the source: for bytes that arrive in ordinary memory.
  static Secret absorb(std::span<std::uint8_t> bytes);
  static Secret copy_of(base::ByteView bytes);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret();

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  /// Hands the bytes out. Every call is a place for a reviewer to look at: grep for `reveal(`.
  base::ByteView reveal() const noexcept { return {data_, size_}; }
  /// To fill a secret that this code has just made.
  std::span<std::uint8_t> writable() noexcept { return {data_, size_}; }
  /// A second copy, asked for by name.
  Secret clone() const;

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Constant time in the contents; the sizes are public.
bool equal_constant_time(base::ByteView a, base::ByteView b) noexcept;
/// Wipes memory in a way that the compiler keeps.
void wipe(std::span<std::uint8_t> bytes) noexcept;

}  // namespace attestry::crypto
