#include "app/paths.h"

#include <filesystem>

namespace attestry::app {

base::Result<bool> present(const std::string& path) {
  std::error_code failed;
  const auto status = std::filesystem::status(path, failed);
  if (std::filesystem::exists(status)) return true;
  if (status.type() == std::filesystem::file_type::not_found) return false;
  return base::Error{.code = base::Code::io,
                     .what = "cannot look at " + path,
                     .found = failed.message(),
                     .remedy = "Run this as the user whose folder it is, or name another folder."};
}

}  // namespace attestry::app
