// A bounded map from content digest to a shared immutable value, for caches of the *verification of signed things*
// (ARCHITECTURE 3.12). The least recently used entry goes first. Thread-safe.
#pragma once
#include <cstring>
#include <list>
#include <memory>
#include <unordered_map>
#include <utility>

#include "attestation/cache_count.h"
#include "base/bytes.h"
#include "base/mutex.h"

namespace attestry::attestation {

/// Keys are digests, so their first bytes are as good a hash as any.
struct DigestHash {
  std::size_t operator()(const base::Digest32& d) const noexcept {
    std::size_t out = 0;
    std::memcpy(&out, d.data(), sizeof out);
    return out;
  }
};

/// From content digest to a shared immutable value. Capacity 0: never holds anything.
template <class T>
class LruCache {
 public:
  explicit LruCache(std::size_t capacity) : capacity_(capacity) {}

  std::shared_ptr<const T> find(const base::Digest32& key) {
    const base::MutexLock lock(mutex_);
    const auto at = index_.find(key);
    ++(at == index_.end() ? count_.misses : count_.hits);
    if (at == index_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, at->second);
    return at->second->second;
  }

  void put(const base::Digest32& key, std::shared_ptr<const T> value) {
    if (capacity_ == 0) return;
    const base::MutexLock lock(mutex_);
    if (const auto at = index_.find(key); at != index_.end()) {
      at->second->second = std::move(value);
      entries_.splice(entries_.begin(), entries_, at->second);
      return;
    }
    entries_.emplace_front(key, std::move(value));
    index_.emplace(key, entries_.begin());
    if (entries_.size() <= capacity_) return;
    index_.erase(entries_.back().first);
    entries_.pop_back();
  }

  CacheCount count() const {
    const base::MutexLock lock(mutex_);
    CacheCount out = count_;
    out.entries = entries_.size();
    return out;
  }

 private:
  using Entry = std::pair<base::Digest32, std::shared_ptr<const T>>;
  const std::size_t capacity_;
  mutable base::Mutex mutex_;
  CacheCount count_ ATTESTRY_GUARDED_BY(mutex_);
  std::list<Entry> entries_ ATTESTRY_GUARDED_BY(mutex_);
  std::unordered_map<base::Digest32, typename std::list<Entry>::iterator, DigestHash> index_
      ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::attestation
