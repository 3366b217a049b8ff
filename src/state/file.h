// The few file operations that durability outside the database rests on, as an interface: the test build puts a layer
// here that loses unsynced writes when the process is killed.
#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::state {

/// A file being written. The destructor closes it without a sync. Errors: `io`.
class OutputFile {
 public:
  virtual ~OutputFile() = default;
  virtual base::Status write(base::ByteView bytes) = 0;
  virtual base::Status sync() = 0;
};

/// Thread-safe. Errors: `io`, with the path and the system's reason.
class Files {
 public:
  virtual ~Files() = default;
  /// nullopt when there is no such file; error `too_large` beyond `limit` bytes.
  virtual base::Result<std::optional<base::Bytes>> read(const std::string& path, std::size_t limit) = 0;
  /// Creates or empties `path`, readable by its owner only.
  virtual base::Result<std::unique_ptr<OutputFile>> create(const std::string& path) = 0;
  virtual base::Status rename(const std::string& from, const std::string& to) = 0;
  /// As create(), but may write over a file that `exchange` left at `path`, unless anybody has it open. Until the sync
  /// its end may be the former content's.
  virtual base::Result<std::unique_ptr<OutputFile>> recreate(const std::string& path) { return create(path); }
  /// As rename() for a reader of `to`; what `to` was may lie at `from` afterwards.
  virtual base::Status exchange(const std::string& from, const std::string& to) { return rename(from, to); }
  /// Makes new names in `folder` durable.
  virtual base::Status sync_folder(const std::string& folder) = 0;
};

/// The machine's file system.
Files& system_files();

/// Durable and atomic: a reader sees the old bytes or the new ones, and after success the new ones survive a power cut.
/// Writes `path`.new, syncs it, renames it and syncs the folder. One writer per path at a time.
base::Status replace_file(Files& files, const std::string& path, base::ByteView bytes);

/// The same for a file that is replaced all the time and holds no secret: `path`.new stays, with what `path` held
/// before, and the two take turns. Making and removing a file each time costs a file system more than its content.
/// After an error the next call must be replace_file: the disk may still know the file at `path`.new as `path`.
base::Status alternate_file(Files& files, const std::string& path, base::ByteView bytes);

}  // namespace attestry::state
