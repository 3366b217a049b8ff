// file://folder: one file for each blob, written atomically, readable by the owner only.
#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <system_error>

#include "blobs/internal/checked.h"
#include "blobs/internal/disk.h"

namespace attestry::blobs {
namespace {

using base::Code;
using base::Error;
namespace fs = std::filesystem;

/// What sealing adds, and more.
constexpr std::size_t kSealOverhead = 64;

class FileStore final : public NamedStore {
 public:
  FileStore(Uri uri, const StoreContext& context, std::string root)
      : NamedStore(std::move(uri), context, context.file_root_is_own ? Dialect::seed : context.dialect,
                   SeedLayout::typed),
        root_(std::move(root)) {}

  std::string name() const override { return "file-" + fs::path{root_}.filename().string(); }

  base::Status check(base::Deadline) override {
    struct stat info{};
    if (::stat(root_.c_str(), &info) != 0) return seen_outside(disk_trouble("look at", root_));
    if (!S_ISDIR(info.st_mode)) return seen_outside(Error{Code::unavailable, root_ + " is not a folder"});
    return base::done();
  }

  base::Result<std::vector<base::AppRef>> apps(base::Deadline deadline) override {
    TRY(const auto segments, names_in(tenant_folder(tenant()), deadline));
    std::vector<base::AppRef> out;
    for (const auto& segment : segments) {
      if (auto app = app_of_segment(segment)) out.push_back(*std::move(app));
    }
    return out;
  }

 protected:
  base::Result<base::Bytes> read(const std::string& name, const base::Digest32& id, base::Deadline deadline) override {
    auto found = read_file(root_ + "/" + name, max_bytes() + kSealOverhead);
    if (!found) return seen_outside(std::move(found).error());
    if (*found) return **std::move(found);
    TRY_OK(check(deadline));  // a folder that is not mounted holds nothing, but nobody knows what it would hold
    return absent(this->name(), id);
  }

  base::Status write(const std::string& name, base::ByteView bytes, base::Deadline) override {
    const auto path = root_ + "/" + name;
    TRY_OK(make_folders(fs::path{path}.parent_path().string()), this->name());
    TRY_OK(write_file(path, bytes), this->name());
    return base::done();
  }

  base::Result<std::vector<std::string>> names_in(const std::string& folder, base::Deadline deadline) override {
    std::vector<std::string> out;
    const auto path = root_ + "/" + folder;
    const std::unique_ptr<DIR, int (*)(DIR*)> entries{::opendir(path.c_str()), ::closedir};
    if (!entries && errno == ENOENT) {
      TRY_OK(check(deadline));
      return out;
    }
    if (!entries) return disk_trouble("list", path);
    errno = 0;
    while (const dirent* entry = ::readdir(entries.get())) out.emplace_back(entry->d_name);
    if (errno != 0) return disk_trouble("list", path);
    return out;
  }

 private:
  /// With the folder as its URI says it: where a server keeps files of apps is nobody's business but the server's.
  Error seen_outside(Error error) const {
    if (const auto at = error.what.find(root_); at != std::string::npos) {
      error.what.replace(at, root_.size(), location().shown());
    }
    error.what.insert(0, name() + ": ");
    return error;
  }

  std::string root_;
};

/// `path` with symbolic links resolved as far as it exists, so that none leads out of the folder that is allowed.
base::Result<fs::path> resolved(const fs::path& path) {
  std::error_code error;
  auto out = fs::weakly_canonical(path, error);
  if (error) return Error{Code::configuration, "cannot resolve the folder: " + error.message()};
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
      return Error{Code::denied, "a file store outside the folder that is allowed",
                   "a folder beneath the one of this app", uri.shown()};
    }
  }
  return std::unique_ptr<BlobStore>{std::make_unique<FileStore>(std::move(uri), context, folder.string())};
}

}  // namespace attestry::blobs
