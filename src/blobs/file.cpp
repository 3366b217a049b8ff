// file://folder: one file for each blob, written atomically, readable by the owner only.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>

#include "blobs/internal/checked.h"

namespace attestry::blobs {
namespace {

using base::Code;
using base::Error;
namespace fs = std::filesystem;

constexpr std::size_t kBlock = 64 * 1024;
/// What sealing adds, and more.
constexpr std::size_t kSealOverhead = 64;

Error trouble(const char* step, const std::string& path) {
  return Error{Code::unavailable,
               std::string{step} + " " + path + ": " + std::generic_category().message(errno),
               {},
               {},
               "Check the folder, its owner and the free space."};
}

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
  if (!fd.ok() || ::fsync(fd.get()) != 0) return trouble("sync", folder);
  return base::done();
}

/// Makes the folder and what is missing above it, each with mode 0700 and durable.
base::Status make_folders(const std::string& folder) {
  if (::mkdir(folder.c_str(), S_IRWXU) == 0) {
    const auto parent = fs::path{folder}.parent_path().string();
    return sync_folder(parent.empty() ? "." : parent);
  }
  if (errno == EEXIST) return base::done();
  if (errno != ENOENT) return trouble("make", folder);
  const auto parent = fs::path{folder}.parent_path().string();
  if (parent.empty() || parent == folder) return trouble("make", folder);
  TRY_OK(make_folders(parent));
  if (::mkdir(folder.c_str(), S_IRWXU) != 0 && errno != EEXIST) return trouble("make", folder);
  return sync_folder(parent);
}

base::Status write_all(int fd, base::ByteView bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return trouble("write", path);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  if (::fsync(fd) != 0) return trouble("sync", path);
  return base::done();
}

class FileStore final : public NamedStore {
 public:
  FileStore(Uri uri, const StoreContext& context, std::string root)
      : NamedStore(std::move(uri), context, SeedLayout::typed), root_(std::move(root)) {}

  std::string name() const override { return "file-" + fs::path{root_}.filename().string(); }

  base::Status check(base::Deadline) override {
    struct stat info{};
    if (::stat(root_.c_str(), &info) != 0) return trouble("look at", root_);
    if (!S_ISDIR(info.st_mode)) return Error{Code::unavailable, root_ + " is not a folder"};
    return base::done();
  }

 protected:
  base::Result<base::Bytes> read(const std::string& name, const base::Digest32& id, base::Deadline deadline) override {
    const auto path = root_ + "/" + name;
    const Descriptor fd{::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
    if (!fd.ok() && (errno == ENOENT || errno == ENOTDIR)) {
      TRY_OK(check(deadline));  // a folder that is not mounted holds nothing, but nobody knows what it would hold
      return absent(this->name(), id);
    }
    if (!fd.ok()) return trouble("open", path);
    struct stat info{};
    if (::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
      return Error{Code::corrupt, this->name() + ": not a regular file: " + name};
    }
    return read_all(fd.get(), path);
  }

  base::Status write(const std::string& name, base::ByteView bytes, base::Deadline) override {
    static std::atomic<unsigned> counter{0};
    const auto path = root_ + "/" + name;
    const auto folder = fs::path{path}.parent_path().string();
    TRY_OK(make_folders(folder));
    const auto fresh = folder + "/.new-" + std::to_string(::getpid()) + "-" + std::to_string(++counter);
    if (::unlink(fresh.c_str()) != 0 && errno != ENOENT) return trouble("replace", fresh);
    {
      const Descriptor fd{
          ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR)};
      if (!fd.ok()) return trouble("create", fresh);
      const auto written = write_all(fd.get(), bytes, fresh);
      if (!written) {
        ::unlink(fresh.c_str());
        return written;
      }
    }
    if (std::rename(fresh.c_str(), path.c_str()) != 0) {
      auto error = trouble("rename to", path);
      ::unlink(fresh.c_str());
      return error;
    }
    return sync_folder(folder);
  }

  base::Result<std::vector<std::string>> names_in(const std::string& folder, base::Deadline deadline) override {
    std::vector<std::string> out;
    const auto path = root_ + "/" + folder;
    const std::unique_ptr<DIR, int (*)(DIR*)> entries{::opendir(path.c_str()), ::closedir};
    if (!entries && errno == ENOENT) {
      TRY_OK(check(deadline));
      return out;
    }
    if (!entries) return trouble("list", path);
    errno = 0;
    while (const dirent* entry = ::readdir(entries.get())) out.emplace_back(entry->d_name);
    if (errno != 0) return trouble("list", path);
    return out;
  }

 private:
  base::Result<base::Bytes> read_all(int fd, const std::string& path) const {
    base::Bytes out;
    for (;;) {
      const auto size = out.size();
      out.resize(size + kBlock);
      const ssize_t n = ::read(fd, out.data() + size, kBlock);
      if (n < 0 && errno == EINTR) {
        out.resize(size);
        continue;
      }
      if (n < 0) return trouble("read", path);
      out.resize(size + static_cast<std::size_t>(n));
      if (n == 0) return out;
      if (out.size() > max_bytes() + kSealOverhead) {
        return Error{Code::corrupt, path + " is larger than a blob may be",
                     "at most " + std::to_string(max_bytes()) + " bytes"};
      }
    }
  }

  std::string root_;
};

/// `path` with symbolic links resolved as far as it exists, so that none leads out of the folder that is allowed.
base::Result<fs::path> resolved(const fs::path& path) {
  std::error_code error;
  auto out = fs::weakly_canonical(path, error);
  if (error) return Error{Code::configuration, "cannot resolve " + path.string() + ": " + error.message()};
  return out;
}

bool beneath(const fs::path& path, const fs::path& root) {
  const auto [end, rest] = std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  return end == root.end() || (std::next(end) == root.end() && end->empty());
}

}  // namespace

Opened open_file(Uri uri, const StoreContext& context) {
  const bool no_path = uri.path.empty() || uri.path == "/";
  if (uri.host.empty() && no_path) {
    return Error{Code::malformed, "invalid storage location URI: no folder", "file:///absolute/ or file://./relative/",
                 uri.shown()};
  }
  fs::path folder = uri.path;
  if (!uri.host.empty()) folder = fs::path{uri.host} / fs::path{uri.path}.relative_path();
  if (folder.is_relative() && !context.file_root.empty()) folder = fs::path{context.file_root} / folder;
  folder = folder.lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  if (!context.file_root.empty()) {
    TRY(const auto root, resolved(context.file_root));
    TRY(folder, resolved(folder));
    if (!beneath(folder, root)) {
      return Error{Code::denied, "a file store outside the folder that is allowed", context.file_root, uri.shown()};
    }
  }
  return std::unique_ptr<BlobStore>{std::make_unique<FileStore>(std::move(uri), context, folder.string())};
}

}  // namespace attestry::blobs
