// Finds secrets that are left behind on the heap: looks into every block that `delete` gives back. Replaces the
// program's operator new and delete, so one file of a test program includes it, and no other.
#pragma once
#include <malloc.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>

namespace attestry::base::testing {

/// Counts, while it lives, the blocks given back that still hold `needle` (at most 64 bytes). One at a time.
class FreedMemory {
 public:
  explicit FreedMemory(std::string_view needle) {
    std::memcpy(needle_.data(), needle.data(), needle.size());
    found_ = 0;
    size_ = needle.size();
  }
  FreedMemory(const FreedMemory&) = delete;
  FreedMemory& operator=(const FreedMemory&) = delete;
  ~FreedMemory() { size_ = 0; }
  int found() const { return found_; }

  static void inspect(void* block) noexcept {
    const std::size_t size = size_;
    if (block == nullptr || size == 0) return;
    if (::memmem(block, ::malloc_usable_size(block), needle_.data(), size) != nullptr) ++found_;
  }

 private:
  static inline std::array<char, 64> needle_{};
  static inline std::atomic<std::size_t> size_{0};
  static inline std::atomic<int> found_{0};
};

}  // namespace attestry::base::testing

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if __has_feature(thread_sanitizer)
// The thread sanitizer has operators of its own, and calls this before it gives a block back.
extern "C" void __sanitizer_free_hook(const volatile void* block) {  // NOLINT: the name is the sanitizer's
  attestry::base::testing::FreedMemory::inspect(
      const_cast<void*>(block));  // NOLINT(cppcoreguidelines-pro-type-const-cast)
}
#else
// Replacing the operators of one test program is what this header is for: it is included in one file of it.
// NOLINTBEGIN(misc-definitions-in-headers,clang-analyzer-cplusplus.NewDelete)
void* operator new(std::size_t size) {
  if (void* block = std::malloc(size == 0 ? 1 : size)) return block;
  std::abort();
}
void operator delete(void* block) noexcept {
  attestry::base::testing::FreedMemory::inspect(block);
  std::free(block);
}
void operator delete(void* block, std::size_t) noexcept { operator delete(block); }
// NOLINTEND(misc-definitions-in-headers,clang-analyzer-cplusplus.NewDelete)
#endif
