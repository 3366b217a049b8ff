#include "blobs/internal/disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

namespace attestry::blobs {
namespace {

using base::Code;
using base::Error;
namespace fs = std::filesystem;

constexpr std::size_t kBlock = 64 * 1024;

class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const noexcept { return fd_; }
  bool ok() const noexcept { return fd_ >= 0; }

 private:
  int fd_;
};

base::Status sync_folder(const std::string& folder) {
  const Descriptor fd{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd.ok() || ::fsync(fd.get()) != 0) return disk_trouble("sync", folder);
  return base::done();
}

base::Status write_all(int fd, base::ByteView bytes, const std::string& path, Durable durable) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return disk_trouble("write", path);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  if (durable == Durable::yes && ::fsync(fd) != 0) return disk_trouble("sync", path);
  return base::done();
}

base::Status write_new(const std::string& path, base::ByteView bytes, Durable durable) {
  const Descriptor fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR)};
  if (!fd.ok()) return disk_trouble("create", path);
  return write_all(fd.get(), bytes, path, durable);
}

constexpr int kForReading = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

/// False when nothing has the name; directly after open().
base::Result<bool> is_there(const Descriptor& fd, const std::string& path) {
  if (!fd.ok() && (errno == ENOENT || errno == ENOTDIR)) return false;
  if (!fd.ok()) return disk_trouble("open", path);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return disk_trouble("look at", path);
  if (!S_ISREG(info.st_mode)) return Error{Code::corrupt, path + " is not a regular file"};
  return true;
}

}  // namespace

Error disk_trouble(const char* step, const std::string& path) {
  return Error{Code::unavailable,
               std::string{step} + " " + path + ": " + std::generic_category().message(errno),
               {},
               {},
               "Check the folder, its owner and the free space."};
}

base::Status make_folders(const std::string& folder) {
  const auto parent = fs::path{folder}.parent_path().string();
  if (::mkdir(folder.c_str(), S_IRWXU) != 0) {
    if (errno == EEXIST) return base::done();
    if (errno != ENOENT || parent.empty() || parent == folder) return disk_trouble("make", folder);
    TRY_OK(make_folders(parent));
    if (::mkdir(folder.c_str(), S_IRWXU) != 0 && errno != EEXIST) return disk_trouble("make", folder);
  }
  return sync_folder(parent.empty() ? "." : parent);
}

base::Result<std::optional<base::Bytes>> read_file(const std::string& path, std::size_t limit) {
  const Descriptor fd{::open(path.c_str(), kForReading)};
  TRY(const bool there, is_there(fd, path));
  if (!there) return std::optional<base::Bytes>{};
  base::Bytes out;
  for (;;) {
    const auto size = out.size();
    out.resize(size + kBlock);
    const ssize_t n = ::read(fd.get(), out.data() + size, kBlock);
    if (n < 0 && errno != EINTR) return disk_trouble("read", path);
    out.resize(size + static_cast<std::size_t>(n < 0 ? 0 : n));
    if (n == 0) return std::optional<base::Bytes>{std::move(out)};
    if (out.size() > limit) {
      return Error{Code::corrupt, path + " is larger than it may be", "at most " + std::to_string(limit) + " bytes"};
    }
  }
}

base::Result<std::optional<base::Bytes>> read_head(const std::string& path, std::size_t most) {
  const Descriptor fd{::open(path.c_str(), kForReading)};
  TRY(const bool there, is_there(fd, path));
  if (!there) return std::optional<base::Bytes>{};
  base::Bytes out(most);
  std::size_t size = 0;
  while (size < most) {
    const ssize_t n = ::read(fd.get(), out.data() + size, most - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return disk_trouble("read", path);
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  out.resize(size);
  return std::optional<base::Bytes>{std::move(out)};
}

base::Status write_file(const std::string& path, base::ByteView bytes, Durable durable) {
  static std::atomic<unsigned> counter{0};
  const auto folder = fs::path{path}.parent_path().string();
  const auto fresh = folder + "/.new-" + std::to_string(::getpid()) + "-" + std::to_string(++counter);
  // What a process of the same number left when it was killed.
  if (::unlink(fresh.c_str()) != 0 && errno != ENOENT) return disk_trouble("replace", fresh);
  auto written = write_new(fresh, bytes, durable);
  if (written && std::rename(fresh.c_str(), path.c_str()) != 0) written = disk_trouble("rename to", path);
  if (!written) {
    ::unlink(fresh.c_str());
    return written;
  }
  return durable == Durable::yes ? sync_folder(folder) : base::done();
}

}  // namespace attestry::blobs
