#include "crypto/internal/arena.h"

#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>

#include "base/mutex.h"
#include "crypto/internal/awslc.h"

#ifndef __wasm__
#include <sys/mman.h>
#endif

namespace attestry::crypto::internal {
namespace {

constexpr std::size_t kChunk = 64 * 1024;  // one mapping, cut into slots of one size
constexpr std::size_t kSmallest = 32;
constexpr std::size_t kLargest = 4096;  // larger secrets get a mapping of their own
constexpr std::size_t kClasses = 8;     // 32, 64, ... 4096
constexpr std::size_t kPage = 4096;

struct FreeSlot {
  FreeSlot* next;
};

constexpr std::size_t class_of(std::size_t size) noexcept {
  const std::size_t slot = size <= kSmallest ? kSmallest : std::bit_ceil(size);
  return static_cast<std::size_t>(std::countr_zero(slot) - std::countr_zero(kSmallest));
}
static_assert(class_of(1) == 0 && class_of(33) == 1 && class_of(kLargest) == kClasses - 1);

constexpr std::size_t round_to_page(std::size_t size) noexcept { return (size + kPage - 1) / kPage * kPage; }

struct Mapping {
  std::uint8_t* data;
  bool locked;
};

Mapping map(std::size_t size) noexcept {
#ifdef __wasm__
  // One address space of one program without swap or core dumps: there is nothing to lock.
  auto* plain = static_cast<std::uint8_t*>(std::calloc(1, size));
  require(plain != nullptr, "no memory for a secret");
  return {plain, false};
#else
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(at != MAP_FAILED, "no memory for a secret");
  // Both are protection in depth: a process without the right to lock memory still works, and still wipes.
  const bool locked = ::mlock(at, size) == 0;
#ifdef MADV_DONTDUMP
  (void)::madvise(at, size, MADV_DONTDUMP);
#endif
  return {static_cast<std::uint8_t*>(at), locked};
#endif
}

void unmap(std::uint8_t* data, std::size_t size) noexcept {
#ifdef __wasm__
  (void)size;
  std::free(data);
#else
  (void)::munlock(data, size);
  (void)::munmap(data, size);
#endif
}

class Arena {
 public:
  std::uint8_t* take(std::size_t size) {
    const base::MutexLock lock(mutex_);
    ++use_.live;
    if (size > kLargest) {
      const Mapping own = map(round_to_page(size));
      note(own);
      return own.data;
    }
    FreeSlot*& head = free_[class_of(size)];
    if (head == nullptr) head = cut(kSmallest << class_of(size));
    FreeSlot* slot = head;
    head = slot->next;
    slot->next = nullptr;
    return reinterpret_cast<std::uint8_t*>(slot);
  }

  void give(std::uint8_t* data, std::size_t size) noexcept {
    // Wiped as a whole slot and before the lock: a free slot holds nothing but its link.
    const bool own = size > kLargest;
    OPENSSL_cleanse(data, own ? size : kSmallest << class_of(size));
    const base::MutexLock lock(mutex_);
    --use_.live;
    if (own) {
      unmap(data, round_to_page(size));
      return;
    }
    auto* slot = new (data) FreeSlot{free_[class_of(size)]};
    free_[class_of(size)] = slot;
  }

  ArenaUse use() {
    const base::MutexLock lock(mutex_);
    return use_;
  }

 private:
  void note(const Mapping& mapping) ATTESTRY_REQUIRES(mutex_) {
    use_.locked = mapping.locked && (use_.locked || !mapped_);
    mapped_ = true;
  }

  FreeSlot* cut(std::size_t slot_size) ATTESTRY_REQUIRES(mutex_) {
    const Mapping chunk = map(kChunk);
    note(chunk);
    use_.pages += kChunk;
    FreeSlot* head = nullptr;
    for (std::size_t at = kChunk; at > 0; at -= slot_size) head = new (chunk.data + at - slot_size) FreeSlot{head};
    return head;
  }

  base::Mutex mutex_;
  std::array<FreeSlot*, kClasses> free_ ATTESTRY_GUARDED_BY(mutex_){};
  ArenaUse use_ ATTESTRY_GUARDED_BY(mutex_);
  bool mapped_ ATTESTRY_GUARDED_BY(mutex_) = false;
};

// Never destroyed: secrets in static objects may die after it would have.
Arena& arena() {
  alignas(Arena) static std::uint8_t place[sizeof(Arena)];
  static Arena* made = new (place) Arena;
  return *made;
}

}  // namespace

std::uint8_t* arena_take(std::size_t size) { return arena().take(size); }
void arena_give(std::uint8_t* data, std::size_t size) noexcept { arena().give(data, size); }
ArenaUse arena_use() { return arena().use(); }

}  // namespace attestry::crypto::internal
