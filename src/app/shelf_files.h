// Collateral in files: a folder that keeps a shelf of it, signed bundles of a shelf, and the vendors' own documents.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "app/cli.h"
#include "base/result.h"
#include "collateral/bundle.h"
#include "collateral/shelf.h"
#include "crypto/ec.h"

namespace attestry::app {

/// Whether that folder keeps a shelf.
bool has_shelf(const std::string& folder);
/// Error `not_found` when the folder keeps none.
base::Result<collateral::Shelf> read_shelf(const std::string& folder);
/// Makes the folder if need be. Durable and atomic.
base::Status write_shelf(Context& context, const std::string& folder, const collateral::Shelf& shelf);

/// A DSSE envelope over the shelf, signed by one key.
std::string sign_bundle(const collateral::Shelf& shelf, const crypto::Ed25519PrivateKey& key);
/// Whether these bytes are an envelope at all, be it a wrong one.
bool looks_like_bundle(base::ByteView bytes);
/// The shelf of a bundle that one of `signers` (public keys, 64 hex digits each) has signed. Error `denied` when none
/// has, `usage` when no signer is named.
base::Result<collateral::Shelf> open_bundle(base::ByteView bytes, const std::vector<std::string>& signers);

/// Held until it goes out of scope, so that of several processes that read, change and write a shelf none loses what
/// another one added. Waits for the others.
class FolderLock {
 public:
  explicit FolderLock(int descriptor) noexcept : descriptor_(descriptor) {}
  FolderLock(FolderLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock();

 private:
  int descriptor_;
};
/// Makes the folder if need be. The lock is on the folder itself, so that it leaves no file behind. Error `io`.
base::Result<FolderLock> lock_folder(const std::string& folder);

/// What a vendor gives out, as a file of its own (DER, PEM, JSON) or a folder of such files as `attestry verify` takes.
/// Error `malformed` when nobody can tell what it is.
base::Result<collateral::Bundle> read_documents(Context& context, const std::string& path);

}  // namespace attestry::app
