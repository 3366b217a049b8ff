// Storage backends as the command line names them: URIs in flags, secrets in the environment and in files.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "app/cli.h"
#include "base/result.h"
#include "blobs/multi.h"
#include "blobs/store.h"

namespace CLI {
class App;
}

namespace attestry::app {

struct BlobStoreOptions {
  std::vector<std::string> stores;
  std::string app = "name:default";
  std::string type = "config";
  bool seed_layout = false;
  std::string ca_file;
  std::string github_api = "https://api.github.com";
  std::string vault_certificate, vault_key, vault_role, vault_token_file;
  std::vector<std::string> rpc;
  std::uint64_t chain_id = 0;
  std::string finality = "finalized";
  std::string account_key;
  double timeout = 30;  ///< seconds, for one call of one backend
};
/// --store, --app, --type, --seed-layout and what single backends need. With `required` --store must be given.
void add_blob_store_options(CLI::App& command, BlobStoreOptions& options, bool required);

/// What the flags and the environment name (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, GITHUB_TOKEN),
/// opened. Movable; lives as long as its stores.
class BlobStores {
 public:
  static base::Result<BlobStores> open(Context& context, const BlobStoreOptions& options, const std::string& tenant);
  const blobs::Place& place() const noexcept { return place_; }
  base::Deadline deadline() const { return clock_->steady() + timeout_; }
  /// For a call of all together: late enough that the slowest one's own error comes first.
  base::Deadline deadline_of_all() const { return deadline() + timeout_ + std::chrono::seconds{1}; }
  std::chrono::milliseconds timeout() const noexcept { return timeout_; }
  std::vector<std::unique_ptr<blobs::BlobStore>>& stores() noexcept { return opened_.stores; }
  const std::vector<std::pair<std::string, base::Error>>& refused() const noexcept { return opened_.refused; }
  /// All of them as one; afterwards stores() is empty. Error `configuration` when none could be opened.
  base::Result<std::unique_ptr<blobs::MultiStore>> together();

 private:
  explicit BlobStores(blobs::Place place) : place_(std::move(place)) {}
  blobs::Place place_;
  const base::Clock* clock_ = nullptr;
  std::chrono::milliseconds timeout_{0};
  blobs::OpenedStores opened_;
};

}  // namespace attestry::app
