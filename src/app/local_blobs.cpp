#include "app/local_blobs.h"

#include <filesystem>

#include "governance/local_authority.h"

namespace attestry::app {

using base::Code;
using base::Result;
using base::Status;

namespace {

class LocalBlobs final : public blobs::BlobStore {
 public:
  LocalBlobs(std::unique_ptr<blobs::BlobStore> files, const governance::Registry& registry)
      : files_(std::move(files)), registry_(registry) {}

  Result<base::Bytes> get(const blobs::Place& place, const base::Digest32& id, base::Deadline deadline) override {
    auto found = files_->get(place, id, deadline);
    if (found || found.error().code != Code::not_found || place.type != blobs::Type::config) return found;
    const auto state = registry_.app(place.tenant, place.app);
    if (!state || state->configuration != id) return found;
    return registry_.blob(place.tenant, id);
  }
  Result<base::Digest32> put(const blobs::Place& place, base::ByteView bytes, base::Deadline deadline) override {
    return files_->put(place, bytes, deadline);
  }
  Status check(base::Deadline deadline) override { return files_->check(deadline); }
  Result<std::vector<base::Digest32>> list(const blobs::Place& place, base::Deadline deadline) override {
    return files_->list(place, deadline);
  }
  std::string name() const override { return "local"; }
  std::string uri() const override { return std::string{governance::kLocalStorage}; }

 private:
  std::unique_ptr<blobs::BlobStore> files_;
  const governance::Registry& registry_;
};

}  // namespace

std::string local_blobs_folder(const std::string& data) { return data + "/registry-local/blobs"; }

Result<std::unique_ptr<blobs::BlobStore>> open_local_blobs(const std::string& data, const base::Tenant& tenant,
                                                           const base::AppRef& app, blobs::Sealer& sealer,
                                                           const governance::Registry& registry,
                                                           const base::Clock& clock) {
  const blobs::StoreContext context{
      .tenant = tenant, .app = app, .file_root = data + "/registry-local", .sealer = &sealer, .clock = &clock};
  // A store whose folder is gone is away, and not empty: that of a server that has just begun is made here.
  const std::filesystem::path folder = context.file_root + "/blobs";
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (!failed) {
    std::filesystem::permissions(context.file_root, std::filesystem::perms::owner_all, failed);
  }
  if (failed) {
    return base::Error{Code::io,
                       "cannot create the folder of stored blobs: " + failed.message(),
                       {},
                       {},
                       "Look at registry-local in the data folder, its owner and the free space."};
  }
  TRY(auto files, blobs::open_store("file://./blobs/", context), governance::kLocalStorage);
  return std::unique_ptr<blobs::BlobStore>{std::make_unique<LocalBlobs>(std::move(files), registry)};
}

}  // namespace attestry::app
