// Blobs that were read once, on disk by their hash: bounded, sealed, checked at every read, written atomically.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "blobs/store.h"

namespace attestry::blobs {

struct CacheOptions {
  std::string folder;  ///< made with mode 0700; holds nothing but the cache
  std::uint64_t max_bytes = 256u << 20;
  std::uint64_t memory_bytes = 32u << 20;  ///< of these, as plain bytes in memory; 0: none
  Sealer* sealer = nullptr;                ///< required: a copy of the disk shows no configuration
};

/// Thread-safe. Entries belong to a place: what one app has read is no answer for another.
class BlobCache {
 public:
  /// Reads which entries there are; the least recently used go first when it is full. Errors: `io`.
  static base::Result<std::shared_ptr<BlobCache>> open(CacheOptions options);
  virtual ~BlobCache() = default;
  /// Null when it is not there, or was and is damaged: then it is removed.
  virtual std::shared_ptr<const base::Bytes> find(const Place& place, const base::Digest32& id) = 0;
  /// `bytes` have the hash `id`. A failure to write is logged and otherwise means nothing.
  virtual void keep(const Place& place, const base::Digest32& id, base::ByteView bytes) = 0;
  virtual std::uint64_t bytes() const = 0;  ///< on disk
};

}  // namespace attestry::blobs
