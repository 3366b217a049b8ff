// Files and folders that only their owner can reach, written atomically and durably.
#pragma once
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::blobs {

/// `unavailable` with the step, the path and the system's reason from errno.
base::Error disk_trouble(const char* step, const std::string& path);

/// Makes the folder and what is missing above it, each with mode 0700 and durable.
base::Status make_folders(const std::string& folder);

/// nullopt: no such file. Follows no link at the end of the path. `corrupt`: not a regular file, or beyond `limit`.
base::Result<std::optional<base::Bytes>> read_file(const std::string& path, std::size_t limit);

/// The same with its first `most` bytes only, of a file of any size.
base::Result<std::optional<base::Bytes>> read_head(const std::string& path, std::size_t most);

enum class Durable : bool { no, yes };
/// Mode 0600; a reader sees the old bytes or the new ones, and after success with `yes` the new ones survive a power
/// cut. The folder must exist. Any number of writers.
base::Status write_file(const std::string& path, base::ByteView bytes, Durable durable = Durable::yes);

}  // namespace attestry::blobs
