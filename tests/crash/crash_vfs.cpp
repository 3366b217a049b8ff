// A SQLite VFS over the default one. Databases, journals and logs live in memory images that all connections of the
// process share; locks and the shared-memory index stay the default VFS's. What xSync has not been asked for dies with
// the process.
#include "crash_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace attestry::crash {
namespace {

struct Pending {
  sqlite3_int64 offset;
  std::vector<char> bytes;
  bool truncate;
};

/// One file as this process sees it.
struct Image {
  std::string path;
  std::vector<char> bytes;
  std::vector<Pending> pending;  ///< not on the disk yet, in order
  int users = 0;
};

std::mutex& images_mutex() {
  static std::mutex mutex;
  return mutex;
}
std::map<std::string, std::shared_ptr<Image>>& images() {
  static std::map<std::string, std::shared_ptr<Image>> out;
  return out;
}

sqlite3_vfs* real_vfs = nullptr;

/// What SQLite holds; the default VFS's own file follows it in the same allocation.
struct ShimFile {
  sqlite3_file base;
  sqlite3_file* real;
  std::shared_ptr<Image>* image;  ///< null for temporary files, which pass through
};
ShimFile* shim(sqlite3_file* file) { return reinterpret_cast<ShimFile*>(file); }
sqlite3_file* real(sqlite3_file* file) { return shim(file)->real; }

int apply(sqlite3_file* to, const Pending& p) {
  if (p.truncate) return to->pMethods->xTruncate(to, p.offset);
  return to->pMethods->xWrite(to, p.bytes.data(), static_cast<int>(p.bytes.size()), p.offset);
}

int write_back(sqlite3_file* to, Image& image) {
  for (const Pending& p : image.pending) {
    if (const int rc = apply(to, p); rc != SQLITE_OK) return rc;
  }
  image.pending.clear();
  return SQLITE_OK;
}

int x_close(sqlite3_file* file) {
  ShimFile* s = shim(file);
  if (s->image != nullptr) {
    const std::lock_guard lock(images_mutex());
    Image& image = **s->image;
    if (--image.users == 0) {
      write_back(s->real, image);
      const auto found = images().find(image.path);
      if (found != images().end() && found->second == *s->image) images().erase(found);
    }
    delete s->image;
    s->image = nullptr;
  }
  return s->real->pMethods == nullptr ? SQLITE_OK : s->real->pMethods->xClose(s->real);
}

int x_read(sqlite3_file* file, void* out, int amount, sqlite3_int64 offset) {
  if (shim(file)->image == nullptr) return real(file)->pMethods->xRead(real(file), out, amount, offset);
  const std::lock_guard lock(images_mutex());
  const auto& bytes = (*shim(file)->image)->bytes;
  const auto begin = std::min(static_cast<std::size_t>(offset), bytes.size());
  const auto count = std::min(static_cast<std::size_t>(amount), bytes.size() - begin);
  if (count > 0) std::memcpy(out, bytes.data() + begin, count);
  if (count == static_cast<std::size_t>(amount)) return SQLITE_OK;
  std::memset(static_cast<char*>(out) + count, 0, static_cast<std::size_t>(amount) - count);
  return SQLITE_IOERR_SHORT_READ;
}

int x_write(sqlite3_file* file, const void* data, int amount, sqlite3_int64 offset) {
  if (shim(file)->image == nullptr) return real(file)->pMethods->xWrite(real(file), data, amount, offset);
  const std::lock_guard lock(images_mutex());
  Image& image = **shim(file)->image;
  const auto* from = static_cast<const char*>(data);
  const auto begin = static_cast<std::size_t>(offset), count = static_cast<std::size_t>(amount);
  if (image.bytes.size() < begin + count) image.bytes.resize(begin + count);
  std::memcpy(image.bytes.data() + begin, from, count);
  image.pending.push_back({offset, {from, from + count}, false});
  // Written now and once more in its order at the sync: the same bytes, only earlier.
  return leaks() ? apply(real(file), image.pending.back()) : SQLITE_OK;
}

int x_truncate(sqlite3_file* file, sqlite3_int64 size) {
  if (shim(file)->image == nullptr) return real(file)->pMethods->xTruncate(real(file), size);
  const std::lock_guard lock(images_mutex());
  Image& image = **shim(file)->image;
  if (image.bytes.size() > static_cast<std::size_t>(size)) image.bytes.resize(static_cast<std::size_t>(size));
  image.pending.push_back({size, {}, true});
  return SQLITE_OK;
}

int x_sync(sqlite3_file* file, int) {
  ++counters().database_syncs;
  slow_down();
  if (shim(file)->image == nullptr || current_options().omit_database_sync) return SQLITE_OK;
  // Into the system's cache is far enough: it outlives the kill that these tests are about.
  const std::lock_guard lock(images_mutex());
  return write_back(real(file), **shim(file)->image);
}

int x_file_size(sqlite3_file* file, sqlite3_int64* out) {
  if (shim(file)->image == nullptr) return real(file)->pMethods->xFileSize(real(file), out);
  const std::lock_guard lock(images_mutex());
  *out = static_cast<sqlite3_int64>((*shim(file)->image)->bytes.size());
  return SQLITE_OK;
}

int x_file_control(sqlite3_file* file, int op, void* arg) {
  // These would touch the real file's size or map it behind the image's back.
  if (op == SQLITE_FCNTL_SIZE_HINT || op == SQLITE_FCNTL_CHUNK_SIZE || op == SQLITE_FCNTL_MMAP_SIZE)
    return SQLITE_NOTFOUND;
  return real(file)->pMethods->xFileControl(real(file), op, arg);
}

int x_lock(sqlite3_file* f, int level) { return real(f)->pMethods->xLock(real(f), level); }
int x_unlock(sqlite3_file* f, int level) { return real(f)->pMethods->xUnlock(real(f), level); }
int x_check_lock(sqlite3_file* f, int* out) { return real(f)->pMethods->xCheckReservedLock(real(f), out); }
int x_sector_size(sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); }
int x_characteristics(sqlite3_file* f) { return real(f)->pMethods->xDeviceCharacteristics(real(f)); }
int x_shm_map(sqlite3_file* f, int page, int size, int extend, void volatile** out) {
  return real(f)->pMethods->xShmMap(real(f), page, size, extend, out);
}
int x_shm_lock(sqlite3_file* f, int offset, int n, int flags) {
  return real(f)->pMethods->xShmLock(real(f), offset, n, flags);
}
void x_shm_barrier(sqlite3_file* f) { real(f)->pMethods->xShmBarrier(real(f)); }
int x_shm_unmap(sqlite3_file* f, int remove) { return real(f)->pMethods->xShmUnmap(real(f), remove); }

// Version 2: no memory-mapped reads, which would pass the image by.
const sqlite3_io_methods kMethods = {
    2,           x_close,      x_read,         x_write,       x_truncate,        x_sync,    x_file_size, x_lock,
    x_unlock,    x_check_lock, x_file_control, x_sector_size, x_characteristics, x_shm_map, x_shm_lock,  x_shm_barrier,
    x_shm_unmap, nullptr,      nullptr};

int load(sqlite3_file* from, Image& image) {
  sqlite3_int64 size = 0;
  if (const int rc = from->pMethods->xFileSize(from, &size); rc != SQLITE_OK) return rc;
  image.bytes.resize(static_cast<std::size_t>(size));
  if (size == 0) return SQLITE_OK;
  return from->pMethods->xRead(from, image.bytes.data(), static_cast<int>(size), 0);
}

int x_open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  ShimFile* s = shim(file);
  *s = ShimFile{{&kMethods}, reinterpret_cast<sqlite3_file*>(s + 1), nullptr};
  s->real->pMethods = nullptr;
  int rc = real_vfs->xOpen(real_vfs, name, s->real, flags, out_flags);
  if (rc != SQLITE_OK) {
    file->pMethods = nullptr;
    return rc;
  }
  constexpr int kImaged = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL;
  if (name == nullptr || (flags & kImaged) == 0) return SQLITE_OK;
  const std::lock_guard lock(images_mutex());
  auto& slot = images()[name];
  if (!slot) {
    slot = std::make_shared<Image>();
    slot->path = name;
    rc = load(s->real, *slot);
  }
  ++slot->users;
  s->image = new std::shared_ptr<Image>(slot);
  return rc;
}

int x_delete(sqlite3_vfs*, const char* name, int sync_folder) {
  {
    const std::lock_guard lock(images_mutex());
    images().erase(name);
  }
  return real_vfs->xDelete(real_vfs, name, sync_folder);
}

}  // namespace

void register_vfs() {
  static sqlite3_vfs vfs;
  if (real_vfs != nullptr) return;
  real_vfs = sqlite3_vfs_find(nullptr);
  vfs = *real_vfs;
  vfs.zName = "attestry-crash";
  vfs.szOsFile = static_cast<int>(sizeof(ShimFile)) + real_vfs->szOsFile;
  vfs.xOpen = x_open;
  vfs.xDelete = x_delete;
  sqlite3_vfs_register(&vfs, 1);
}

}  // namespace attestry::crash
