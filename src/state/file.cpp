#include "state/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <system_error>

namespace attestry::state {
namespace {

base::Error io_error(const char* step, const std::string& path) {
  return base::Error{base::Code::io, std::string(step) + " " + path + ": " + std::generic_category().message(errno)};
}

/// A file descriptor that is closed exactly once.
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

class SystemOutputFile final : public OutputFile {
 public:
  SystemOutputFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  base::Status write(base::ByteView bytes) override {
    written_ += static_cast<off_t>(bytes.size());
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return io_error("write", path_);
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return base::done();
  }

  base::Status sync() override {
    // Content that fills the file as what was there did: its blocks and its size are on the disk already, and nothing
    // has to wait for the file system's journal, in which the writes of all others are.
    if (old_size_ == written_ && written_ != 0) {
      if (::fdatasync(fd_.get()) != 0) return io_error("sync", path_);
      return base::done();
    }
    if (old_size_ > written_ && ::ftruncate(fd_.get(), written_) != 0) return io_error("shorten", path_);
    if (::fsync(fd_.get()) != 0) return io_error("sync", path_);
    return base::done();
  }

  /// Writes over the file's content, if it is a regular one that nobody but this user can reach, has another name for,
  /// or has open. What is longer than the new content goes at the sync.
  bool write_over_if_own() {
    struct stat info{};
    if (!fd_.ok() || ::fstat(fd_.get(), &info) != 0 || !S_ISREG(info.st_mode) || info.st_nlink != 1) return false;
    if (info.st_uid != ::geteuid() || (info.st_mode & 07777) != (S_IRUSR | S_IWUSR)) return false;
    old_size_ = info.st_size;
    return nobody_else_has_it_open();
  }

 private:
  /// Who opened the file while it was in place still reads it. A write lease is given only to the last one (fcntl(2)),
  /// and not at all by some file systems.
  bool nobody_else_has_it_open() const {
    // A lease that is broken says so by a signal; this one means nothing to a program that does not ask for it.
    if (::fcntl(fd_.get(), F_SETSIG, SIGURG) != 0 || ::fcntl(fd_.get(), F_SETLEASE, F_WRLCK) != 0) return false;
    ::fcntl(fd_.get(), F_SETLEASE, F_UNLCK);
    return true;
  }

  Descriptor fd_;
  std::string path_;
  off_t old_size_ = 0;
  off_t written_ = 0;
};

class SystemFiles final : public Files {
 public:
  base::Result<std::optional<base::Bytes>> read(const std::string& path, std::size_t limit) override {
    const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.ok() && errno == ENOENT) return std::optional<base::Bytes>{};
    if (!fd.ok()) return io_error("open", path);
    base::Bytes out;
    std::uint8_t block[4096];
    for (;;) {
      const ssize_t n = ::read(fd.get(), block, sizeof block);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return io_error("read", path);
      if (n == 0) return std::optional<base::Bytes>(std::move(out));
      out.insert(out.end(), block, block + n);
      if (out.size() > limit) {
        return base::Error{base::Code::too_large, path + " is larger than expected",
                           "at most " + std::to_string(limit) + " bytes"};
      }
    }
  }

  base::Result<std::unique_ptr<OutputFile>> create(const std::string& path) override {
    // A file or link that somebody else put there would keep its own owner and mode: never write through it.
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return io_error("replace", path);
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0) return io_error("create", path);
    return std::unique_ptr<OutputFile>(std::make_unique<SystemOutputFile>(fd, path));
  }

  base::Status rename(const std::string& from, const std::string& to) override {
    if (std::rename(from.c_str(), to.c_str()) != 0) return io_error("rename to", to);
    return base::done();
  }

  base::Result<std::unique_ptr<OutputFile>> recreate(const std::string& path) override {
    auto file =
        std::make_unique<SystemOutputFile>(::open(path.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), path);
    if (file->write_over_if_own()) return std::unique_ptr<OutputFile>(std::move(file));
    return create(path);
  }

  base::Status exchange(const std::string& from, const std::string& to) override {
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) return base::done();
    // `to` is not there yet, or this file system cannot exchange names.
    return rename(from, to);
  }

  base::Status sync_folder(const std::string& folder) override {
    const Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.ok()) return io_error("open folder", folder);
    if (::fsync(fd.get()) != 0) return io_error("sync folder", folder);
    return base::done();
  }
};

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// The bytes reach the disk before the name does: after a power cut a new name without its content would be empty.
base::Status write_synced(OutputFile& file, base::ByteView bytes) {
  TRY_OK(file.write(bytes));
  return file.sync();
}

}  // namespace

Files& system_files() {
  static SystemFiles files;
  return files;
}

base::Status replace_file(Files& files, const std::string& path, base::ByteView bytes) {
  const std::string fresh = path + ".new";
  {
    TRY(const auto file, files.create(fresh));
    TRY_OK(write_synced(*file, bytes));
  }
  TRY_OK(files.rename(fresh, path));
  return files.sync_folder(folder_of(path));
}

base::Status alternate_file(Files& files, const std::string& path, base::ByteView bytes) {
  const std::string other = path + ".new";
  {
    TRY(const auto file, files.recreate(other));
    TRY_OK(write_synced(*file, bytes));
  }
  TRY_OK(files.exchange(other, path));
  return files.sync_folder(folder_of(path));
}

}  // namespace attestry::state
