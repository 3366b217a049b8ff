#include "blobs/cache.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <list>
#include <unordered_map>
#include <vector>

#include "base/encoding.h"
#include "base/log.h"
#include "base/mutex.h"
#include "blobs/internal/disk.h"
#include "blobs/internal/layout.h"
#include "crypto/hash.h"

namespace attestry::blobs {
namespace {

using base::Code;
using base::Error;
namespace fs = std::filesystem;

constexpr std::size_t kNameDigits = 64;
constexpr std::size_t kMaxEntry = 64u << 20;

/// Names in order of use, with their sizes and what is kept for them.
template <class Value>
class Recent {
 public:
  struct Entry {
    std::string name;
    std::uint64_t size = 0;
    Value value{};
  };
  const Entry* touch(const std::string& name) {
    const auto found = index_.find(name);
    if (found == index_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return &order_.front();
  }
  void add(Entry entry) {
    remove(entry.name);
    total_ += entry.size;
    order_.push_front(std::move(entry));
    index_.emplace(order_.front().name, order_.begin());
  }
  void remove(const std::string& name) {
    const auto found = index_.find(name);
    if (found == index_.end()) return;
    const auto position = found->second;
    total_ -= position->size;
    index_.erase(found);
    order_.erase(position);
  }
  /// Names of what goes so that at most `limit` stays, the least recently used first.
  std::vector<std::string> shrink(std::uint64_t limit) {
    std::vector<std::string> gone;
    while (total_ > limit && !order_.empty()) {
      gone.push_back(order_.back().name);
      remove(gone.back());
    }
    return gone;
  }
  std::uint64_t total() const noexcept { return total_; }

 private:
  std::list<Entry> order_;
  std::unordered_map<std::string, typename std::list<Entry>::iterator> index_;
  std::uint64_t total_ = 0;
};

struct Nothing {};
using Shared = std::shared_ptr<const base::Bytes>;

bool is_name(const std::string& text) {
  return text.size() == kNameDigits && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

class DiskCache final : public BlobCache {
 public:
  explicit DiskCache(CacheOptions options) : options_(std::move(options)) {}

  base::Status scan() {
    struct Found {
      fs::file_time_type when;
      std::string name;
      std::uint64_t size = 0;
    };
    std::vector<Found> found;
    std::error_code error;
    for (fs::directory_iterator it{options_.folder, error}, end; !error && it != end; it.increment(error)) {
      const auto name = it->path().filename().string();
      std::error_code ignored;
      if (name.starts_with(".new-")) fs::remove(it->path(), ignored);  // of a process that was killed
      if (!is_name(name) || !it->is_regular_file(ignored)) continue;
      found.push_back({it->last_write_time(ignored), name, it->file_size(ignored)});
    }
    if (error) return Error{Code::io, "cache: cannot read " + options_.folder + ": " + error.message()};
    std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.when < b.when; });
    const base::MutexLock lock{mutex_};
    for (auto& entry : found) disk_.add({std::move(entry.name), entry.size, {}});
    shrink_disk();
    return base::done();
  }

  Shared find(const Place& place, const base::Digest32& id) override {
    const auto record = record_of(place, id);
    const auto name = base::hex(crypto::sha256(record));
    {
      const base::MutexLock lock{mutex_};
      if (const auto* entry = memory_.touch(name)) return entry->value;
      if (disk_.touch(name) == nullptr) return nullptr;
    }
    const auto sealed = read_file(path(name), kMaxEntry);
    if (!sealed || !*sealed) return dropped(name, sealed ? "not there" : sealed.error().what);
    const auto plain = options_.sealer->open(place.tenant, record, **sealed);
    if (!plain) return dropped(name, plain.error().what);
    auto bytes = std::make_shared<const base::Bytes>(base::to_bytes(plain->reveal()));
    if (!base::equal(crypto::sha256(*bytes), id)) return dropped(name, "its hash is another");
    remember(name, bytes);
    return bytes;
  }

  void keep(const Place& place, const base::Digest32& id, base::ByteView bytes) override {
    const auto record = record_of(place, id);
    const auto name = base::hex(crypto::sha256(record));
    if (bytes.size() > kMaxEntry / 2 || bytes.size() > options_.max_bytes / 2) return;
    remember(name, std::make_shared<const base::Bytes>(base::to_bytes(bytes)));
    const auto sealed = options_.sealer->seal(place.tenant, record, bytes);
    const auto written = sealed ? write_file(path(name), *sealed, Durable::no) : base::Status{sealed.error()};
    if (!written) {
      base::log(base::LogLevel::warning, "blob cache: not written", {{"error", written.error().text()}});
      return;
    }
    const base::MutexLock lock{mutex_};
    disk_.add({name, sealed->size(), {}});
    shrink_disk();
  }

  std::uint64_t bytes() const override {
    const base::MutexLock lock{mutex_};
    return disk_.total();
  }

 private:
  std::string path(const std::string& name) const { return options_.folder + "/" + name; }

  Shared dropped(const std::string& name, const std::string& why) {
    base::log(base::LogLevel::warning, "blob cache: entry dropped", {{"entry", name}, {"why", why}});
    ::unlink(path(name).c_str());
    const base::MutexLock lock{mutex_};
    disk_.remove(name);
    return nullptr;
  }

  void remember(const std::string& name, const Shared& bytes) {
    if (bytes->size() > options_.memory_bytes / 4) return;
    const base::MutexLock lock{mutex_};
    memory_.add({name, bytes->size(), bytes});
    memory_.shrink(options_.memory_bytes);
  }

  void shrink_disk() ATTESTRY_REQUIRES(mutex_) {
    for (const auto& name : disk_.shrink(options_.max_bytes)) ::unlink(path(name).c_str());
  }

  const CacheOptions options_;
  mutable base::Mutex mutex_;
  Recent<Nothing> disk_ ATTESTRY_GUARDED_BY(mutex_);
  Recent<Shared> memory_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace

base::Result<std::shared_ptr<BlobCache>> BlobCache::open(CacheOptions options) {
  if (options.folder.empty() || options.sealer == nullptr) {
    return Error{Code::configuration, "blob cache: it needs a folder and the keys that seal it"};
  }
  TRY_OK(make_folders(options.folder), "blob cache");
  auto cache = std::make_shared<DiskCache>(std::move(options));
  TRY_OK(cache->scan());
  return std::shared_ptr<BlobCache>{std::move(cache)};
}

}  // namespace attestry::blobs
