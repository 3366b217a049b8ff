// What this server uses at the storage of single apps: what a contract writes into its URIs everybody can read, so
// credentials are kept here (registry.storage_credentials; docs/reference/storage.md).
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "blobs/store.h"
#include "crypto/secret.h"
#include "curves/address.h"

namespace attestry::app {

/// Immutable, so thread-safe.
class StorageCredentials {
 public:
  StorageCredentials() = default;

  /// One line for each: the contract, the URI exactly as the contract writes it, and `ACCESS_KEY SECRET_KEY` of s3 or
  /// a token of github. Empty lines and lines that begin with # are left out. Error `malformed` with the line's number
  /// and nothing of what stands in it.
  static base::Result<StorageCredentials> parse(const crypto::Secret& text);

  /// Lets the context have what belongs to this URI of this app, and nothing else: neither another app that names the
  /// same place nor another place that the app's owner names from now on gets it.
  void give(const curves::Address& contract, std::string_view uri, blobs::StoreContext& context) const;

 private:
  struct Credentials {
    std::string access_key{};
    crypto::Secret secret{};
  };
  using Key = std::pair<curves::Address, std::string>;
  std::map<Key, Credentials> of_;
};

}  // namespace attestry::app
