// Files of a store that are sealed anew in a later epoch of their tenant.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "base/encoding.h"
#include "base/log.h"
#include "blobs/internal/disk.h"
#include "blobs/internal/layout.h"
#include "blobs/sealing.h"

namespace attestry::blobs {
namespace {

using base::Code;
using base::Error;
namespace fs = std::filesystem;

constexpr std::size_t kMaxFile = 64u << 20;

struct Found {
  std::string path;  ///< below the tenant's folder: <app>/configs|secrets/<id>
  Place place;
  base::Digest32 id{};
};

/// Of a name as layout.h makes them; nullopt for what is none.
std::optional<Found> parse(const base::Tenant& tenant, const std::string& path) {
  const auto first = path.find('/');
  const auto second = first == std::string::npos ? first : path.find('/', first + 1);
  if (second == std::string::npos) return std::nullopt;
  auto segment = path.substr(0, first);
  const auto folder = path.substr(first + 1, second - first - 1);
  base::Digest32 id{};
  if (path.size() - second - 1 != 2 * id.size() || !base::hex_decode_into(path.substr(second + 1), id))
    return std::nullopt;
  const auto type = folder == folder_of(Type::config) ? Type::config : Type::secret;
  if (folder != folder_of(type)) return std::nullopt;
  // segment_of() replaces every colon; of those there are at most two, and a name may have hyphens of its own.
  for (int colons = 0; colons < 3; ++colons) {
    const auto app = base::AppRef::parse(segment);
    if (app && segment_of(*app) == path.substr(0, first)) return Found{path, Place{tenant, *app, type}, id};
    const auto hyphen = segment.find('-');
    if (hyphen == std::string::npos) return std::nullopt;
    segment[hyphen] = ':';
  }
  return std::nullopt;
}

base::Result<std::vector<Found>> files_of(const std::string& folder, const base::Tenant& tenant) {
  std::vector<Found> out;
  const fs::path root = fs::path{folder} / "tenants" / tenant.text();
  std::error_code error;
  if (!fs::exists(root, error) && !error) return out;
  for (fs::recursive_directory_iterator it{root, error}, end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (!it->is_regular_file(ignored)) continue;
    if (auto found = parse(tenant, it->path().lexically_relative(root).string())) out.push_back(*std::move(found));
  }
  if (error) return Error{Code::io, "cannot list " + root.string(), {}, error.message()};
  std::ranges::sort(out, {}, &Found::path);
  return out;
}

/// Whether it was sealed anew.
base::Result<bool> reseal(const std::string& path, const Found& file, Sealer& sealer, std::uint32_t epoch) {
  TRY(const auto stored, read_file(path, kMaxFile));
  if (!stored || sealed_epoch(*stored).value_or(epoch) >= epoch) return false;
  const auto record = record_of(file.place, file.id);
  TRY(const auto plain, sealer.open(file.place.tenant, record, *stored));
  TRY(const auto again, sealer.seal(file.place.tenant, record, plain.reveal()));
  TRY_OK(write_file(path, again));
  return true;
}

}  // namespace

base::Result<Resealed> reseal_files(const std::string& folder, const base::Tenant& tenant, Sealer& sealer,
                                    std::uint32_t epoch, const std::string& cursor, std::size_t most) {
  TRY(const auto files, files_of(folder, tenant));
  Resealed out{.files = 0, .cursor = cursor, .finished = true};
  std::size_t looked = 0;
  for (const auto& file : files) {
    if (file.path <= cursor) continue;
    if (looked++ == most) {
      out.finished = false;
      break;
    }
    out.cursor = file.path;
    const auto path = folder + "/tenants/" + tenant.text() + "/" + file.path;
    const auto done = reseal(path, file, sealer, epoch);
    if (done) {
      if (*done) ++out.files;
      continue;
    }
    // Damaged, or of an epoch that is retired: it cannot be read any more, and must not keep the others from it.
    if (done.error().code != Code::corrupt && done.error().code != Code::denied) return done.error();
    base::log(base::LogLevel::error, "a stored blob cannot be sealed anew",
              {{"path", path}, {"reason", done.error().text()}});
  }
  return out;
}

base::Result<std::uint64_t> files_older_than(const std::string& folder, const base::Tenant& tenant,
                                             std::uint32_t epoch) {
  TRY(const auto files, files_of(folder, tenant));
  std::uint64_t count = 0;
  for (const auto& file : files) {
    TRY(const auto stored, read_file(folder + "/tenants/" + tenant.text() + "/" + file.path, kMaxFile));
    if (stored && sealed_epoch(*stored).value_or(epoch) < epoch) ++count;
  }
  return count;
}

base::Status drop_cached(const std::string& folder, const base::Tenant& tenant, std::uint32_t epoch) {
  std::error_code error;
  if (!fs::exists(folder, error) && !error) return base::done();
  for (fs::directory_iterator it{folder, error}, end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (!it->is_regular_file(ignored)) continue;
    const auto stored = read_file(it->path().string(), kMaxFile);
    if (!stored || !*stored) continue;
    if (sealed_for_another(**stored, tenant) || sealed_epoch(**stored).value_or(epoch) >= epoch) continue;
    ::unlink(it->path().c_str());
  }
  if (error) return Error{Code::io, "cannot list " + folder, {}, error.message()};
  return base::done();
}

}  // namespace attestry::blobs
