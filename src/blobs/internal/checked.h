// What every backend shares: whose store this is, sizes, seals, and the check of every read against its hash.
#pragma once
#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "blobs/internal/layout.h"
#include "blobs/internal/uri.h"
#include "blobs/store.h"

namespace attestry::blobs {

/// A backend that keeps bytes under names.
class NamedStore : public BlobStore {
 public:
  base::Result<base::Bytes> get(const Place& place, const base::Digest32& id, base::Deadline deadline) final;
  base::Result<base::Digest32> put(const Place& place, base::ByteView bytes, base::Deadline deadline) final;
  base::Result<std::vector<base::Digest32>> list(const Place& place, base::Deadline deadline) final;
  std::string uri() const final { return uri_.shown(); }

 protected:
  NamedStore(Uri uri, const StoreContext& context, SeedLayout seed)
      : NamedStore(std::move(uri), context, context.dialect, seed) {}
  NamedStore(Uri uri, const StoreContext& context, Dialect dialect, SeedLayout seed);

  /// Whatever stands under the name, unchecked. `id` is what the caller hopes for.
  virtual base::Result<base::Bytes> read(const std::string& name, const base::Digest32& id, base::Deadline) = 0;
  virtual base::Status write(const std::string& name, base::ByteView bytes, base::Deadline deadline) = 0;
  /// Last segments of the names below `folder`; a folder that is not there is empty.
  virtual base::Result<std::vector<std::string>> names_in(const std::string& folder, base::Deadline deadline) = 0;
  virtual bool can_write() const { return true; }

  const Uri& location() const noexcept { return uri_; }
  const base::Tenant& tenant() const noexcept { return tenant_; }
  std::size_t max_bytes() const noexcept { return max_bytes_; }
  const base::Clock& clock() const noexcept { return *clock_; }
  base::Error malformed(std::string_view what, std::string_view expected) const;

 private:
  base::Result<base::Bytes> unsealed(const Place& place, const base::Digest32& id, base::Bytes stored) const;

  Uri uri_;
  base::Tenant tenant_;
  base::AppRef app_;
  Dialect dialect_;
  SeedLayout seed_;
  std::size_t max_bytes_;
  Sealer* sealer_;
  const base::Clock* clock_;
  std::atomic<std::size_t> last_hit_{0};  ///< which of the names held the last blob: the next is likely there too
};

/// `denied` when the store was opened for somebody else.
base::Status check_place(const Place& place, const base::Tenant& tenant, const base::AppRef& app,
                         const std::string& store);
base::Error absent(const std::string& store, const base::Digest32& id);
base::Error corrupted(const std::string& store, const std::string& where, const base::Digest32& id,
                      std::string_view why);
/// Sizes and contents that no backend takes.
base::Status check_blob(base::ByteView bytes, std::size_t max_bytes);

/// Text from a backend, short and without control characters, for error messages.
std::string excerpt(std::string_view text);

/// The HTTP client of one store.
base::Result<std::shared_ptr<net::HttpTransport>> connect(const StoreContext& context, net::ClientOptions options);
/// An answer that is neither a success nor a miss.
base::Error refusal(const std::string& store, std::string_view step, int status, std::string_view reason,
                    std::string remedy = {});

// One per backend, each in its own file.
using Opened = base::Result<std::unique_ptr<BlobStore>>;
Opened open_file(Uri uri, const StoreContext& context);
Opened open_s3(Uri uri, const StoreContext& context);
Opened open_ipfs(Uri uri, const StoreContext& context);
Opened open_onchain(Uri uri, const StoreContext& context);
Opened open_github(Uri uri, const StoreContext& context);
Opened open_vault(Uri uri, const StoreContext& context);

}  // namespace attestry::blobs
