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
constexpr std::size_t kSealedHead = 16;  // says epoch and tenant

struct Found {
  Place place;
  base::Digest32 id{};
};

/// Of a name as layout.h makes them, <app>/configs|secrets/<id>; nullopt for what is none.
std::optional<Found> parse(const base::Tenant& tenant, const std::string& path) {
  const auto first = path.find('/');
  const auto second = first == std::string::npos ? first : path.find('/', first + 1);
  if (second == std::string::npos) return std::nullopt;
  const auto folder = path.substr(first + 1, second - first - 1);
  base::Digest32 id{};
  if (path.size() - second - 1 != 2 * id.size() || !base::hex_decode_into(path.substr(second + 1), id))
    return std::nullopt;
  const auto type = folder == folder_of(Type::config) ? Type::config : Type::secret;
  if (folder != folder_of(type)) return std::nullopt;
  auto app = app_of_segment(path.substr(0, first));
  if (!app) return std::nullopt;
  return Found{Place{tenant, *std::move(app), type}, id};
}

std::string path_of(const std::string& folder, const base::Tenant& tenant, const std::string& file) {
  return folder + "/tenants/" + tenant.text() + "/" + file;
}

base::Result<std::optional<std::uint32_t>> epoch_of(const std::string& path) {
  TRY(const auto head, read_head(path, kSealedHead));
  return head ? sealed_epoch(*head) : std::nullopt;
}

/// Whether it was sealed anew.
base::Result<bool> reseal(const std::string& path, const Found& file, Sealer& sealer, std::uint32_t epoch) {
  TRY(const auto before, epoch_of(path));
  if (before.value_or(epoch) >= epoch) return false;
  TRY(const auto stored, read_file(path, kMaxFile));
  if (!stored) return false;
  const auto record = record_of(file.place, file.id);
  TRY(const auto plain, sealer.open(file.place.tenant, record, *stored));
  TRY(const auto again, sealer.seal(file.place.tenant, record, plain.reveal()));
  TRY_OK(write_file(path, again));
  return true;
}

}  // namespace

base::Result<std::vector<std::string>> files_of(const std::string& folder, const base::Tenant& tenant,
                                                const std::string& cursor) {
  std::vector<std::string> out;
  const fs::path root = fs::path{folder} / "tenants" / tenant.text();
  std::error_code error;
  if (!fs::exists(root, error) && !error) return out;
  for (fs::recursive_directory_iterator it{root, error}, end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (!it->is_regular_file(ignored)) continue;
    auto file = it->path().lexically_relative(root).string();
    if (file > cursor && parse(tenant, file)) out.push_back(std::move(file));
  }
  if (error) return Error{Code::io, "cannot list " + root.string(), {}, error.message()};
  std::ranges::sort(out);
  return out;
}

base::Result<std::uint64_t> reseal_files(const std::string& folder, const base::Tenant& tenant, Sealer& sealer,
                                         std::uint32_t epoch, std::span<const std::string> files) {
  std::uint64_t count = 0;
  for (const std::string& file : files) {
    const auto found = parse(tenant, file);
    if (!found) continue;
    const auto path = path_of(folder, tenant, file);
    const auto done = reseal(path, *found, sealer, epoch);
    if (done) {
      count += *done ? 1U : 0U;
      continue;
    }
    // Damaged, or of an epoch that is retired: it cannot be read any more, and must not keep the others from it.
    if (done.error().code != Code::corrupt && done.error().code != Code::denied) return done.error();
    base::log(base::LogLevel::error, "a stored blob cannot be sealed anew",
              {{"path", path}, {"reason", done.error().text()}});
  }
  return count;
}

base::Result<std::uint64_t> files_older_than(const std::string& folder, const base::Tenant& tenant,
                                             std::uint32_t epoch) {
  TRY(const auto files, files_of(folder, tenant));
  std::uint64_t count = 0;
  for (const std::string& file : files) {
    TRY(const auto sealed, epoch_of(path_of(folder, tenant, file)));
    if (sealed.value_or(epoch) < epoch) ++count;
  }
  return count;
}

base::Status drop_cached(const std::string& folder, const base::Tenant& tenant, std::uint32_t epoch) {
  std::error_code error;
  if (!fs::exists(folder, error) && !error) return base::done();
  for (fs::directory_iterator it{folder, error}, end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (!it->is_regular_file(ignored)) continue;
    const auto stored = read_head(it->path().string(), kSealedHead);
    if (!stored || !*stored) continue;
    if (sealed_for_another(**stored, tenant) || sealed_epoch(**stored).value_or(epoch) >= epoch) continue;
    ::unlink(it->path().c_str());
  }
  if (error) return Error{Code::io, "cannot list " + folder, {}, error.message()};
  return base::done();
}

}  // namespace attestry::blobs
