#include "app/outputs.h"

#include <unistd.h>

#include <filesystem>

namespace attestry::app {

base::Status check_output(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return base::Error{base::Code::usage, path + " is a folder", "the name of a file", "a folder",
                       "Name a file in it."};
  }
  const auto parent = std::filesystem::path{path}.parent_path();
  const std::string folder = parent.empty() ? "." : parent.string();
  if (!std::filesystem::is_directory(folder, ignored)) {
    return base::Error{base::Code::usage, "cannot write " + path, "a folder that is there", folder + " is none",
                       "Make the folder, or correct the name; nothing was done."};
  }
  if (::access(folder.c_str(), W_OK | X_OK) == 0) return base::done();
  return base::Error{base::Code::usage, "cannot write " + path, "a folder in which this user may write", folder,
                     "Name another one, or run this as the user whose folder it is; nothing was done."};
}

}  // namespace attestry::app
