#include "app/content_folder.h"

#include <filesystem>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::app {
namespace {

using base::Code;
using base::Error;
using provision::ReferenceType;
using provision::RegistryReference;

constexpr std::size_t kMaxContent = 4u << 20;

std::filesystem::path folder_of(const std::string& folder, ReferenceType type) {
  return std::filesystem::path(folder) / (type == ReferenceType::config ? "configs" : "secrets");
}

/// The id, or what old registries named their files: the hex of the hex.
std::string find(const std::vector<std::string>& folders, const RegistryReference& reference) {
  const std::string id = base::hex(reference.id);
  for (const std::string& folder : folders) {
    for (const std::string& name : {id, base::hex(base::as_bytes(id))}) {
      const auto path = folder_of(folder, reference.type) / name;
      std::error_code ignored;
      if (std::filesystem::is_regular_file(path, ignored)) return path.string();
    }
  }
  return {};
}

Error missing(const std::vector<std::string>& folders, const RegistryReference& reference) {
  const bool config = reference.type == ReferenceType::config;
  Error error{Code::not_found, "content not found"};
  error.expected =
      (folder_of(folders.empty() ? "DIR" : folders.front(), reference.type) / base::hex(reference.id)).string();
  const RegistryReference other{config ? ReferenceType::secret : ReferenceType::config, reference.id};
  error.found = find(folders, other);
  error.remedy = "Name the folder that has it with --content; it may be given again.";
  if (!error.found.empty())
    error.remedy = "Write " + to_text(other) + ": this content is a " + std::string{to_text(other.type)} + ".";
  return error;
}

}  // namespace

base::Result<FoundContent> read_content(Context& context, const std::vector<std::string>& folders,
                                        const RegistryReference& reference) {
  const std::string path = find(folders, reference);
  if (path.empty()) return missing(folders, reference);
  TRY(base::Bytes bytes, read_input(context, path, kMaxContent));
  if (bytes.size() > kMaxContent) return Error{Code::too_large, path, "at most 4 MiB", {}};
  const base::Digest32 hash = crypto::sha256(bytes);
  if (hash != reference.id) {
    return Error{Code::corrupt, "content does not have the hash that is its id", base::hex(reference.id),
                 base::hex(hash) + " in " + path, "Put the right bytes there, or refer to what is there by its hash."};
  }
  return FoundContent{std::move(bytes), path};
}

base::Result<std::string> write_content(Context& context, const std::string& folder, const RegistryReference& reference,
                                        base::ByteView bytes) {
  const auto place = folder_of(folder, reference.type);
  std::error_code failed;
  std::filesystem::create_directories(place, failed);
  if (failed) return Error{Code::io, "cannot make the folder " + place.string(), {}, failed.message()};
  const std::string path = (place / base::hex(reference.id)).string();
  TRY_OK(state::replace_file(*context.files, path, bytes));
  return path;
}

}  // namespace attestry::app
