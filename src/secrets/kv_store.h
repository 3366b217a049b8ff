// Versioned secrets: each path of a mount has metadata in clear and versions of a value, sealed under the tenant's keys
// (docs/formats/vault.md). What a version was before is kept until it is destroyed or pushed out by newer ones.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "crypto/secret.h"
#include "secrets/namespaces.h"
#include "secrets/secret_store.h"
#include "state/store.h"

namespace attestry::secrets {

inline constexpr std::size_t kMaxKvValueBytes = 512 * 1024;
inline constexpr std::uint32_t kDefaultMaxVersions = 10;
inline constexpr std::uint32_t kMostVersions = 1000;
inline constexpr std::size_t kMaxKvPathBytes = 512;
inline constexpr std::size_t kMaxCustomMetadata = 64;  ///< entries, of 128 and 512 bytes at most

struct KvVersion {
  std::uint64_t number = 0;
  base::UtcTime created{};
  base::UtcTime deletion{};  ///< when it is, or will be, deleted; 0: never
  bool destroyed = false;
  std::uint32_t size = 0;
  bool deleted(base::UtcTime now) const noexcept { return deletion.seconds != 0 && deletion <= now; }
};

struct KvMetadata {
  base::UtcTime created{};
  base::UtcTime updated{};
  std::uint64_t current = 0;  ///< 0: none was ever written
  KvConfig config{};          ///< of this secret; its max_versions 0 and delete_version_after 0: the mount's
  std::map<std::string, std::string> custom{};
  std::vector<KvVersion> versions{};  ///< ascending

  std::uint64_t oldest() const noexcept { return versions.empty() ? 0 : versions.front().number; }
  KvVersion* find(std::uint64_t number) noexcept;
  const KvVersion* find(std::uint64_t number) const noexcept;
};

/// At most kMaxCustomMetadata entries, names of 1 to 128 and values of 1 to 512 bytes.
base::Status check_custom(const std::map<std::string, std::string>& custom);

base::Bytes encode_metadata(const KvMetadata& metadata);
base::Result<KvMetadata> decode_metadata(base::ByteView stored);

/// Where a secret stands.
struct KvPlace {
  const Namespace& space;
  const Mount& mount;
  std::string_view path;  ///< "team/db", no slash at either end
};
/// Not empty, at most kMaxKvPathBytes, no empty parts.
base::Status check_kv_path(std::string_view path);

struct KvRead {
  KvMetadata metadata;
  KvVersion version;
  crypto::Secret value;  ///< empty when the version is deleted or destroyed
};

struct KvChange {
  std::optional<std::uint32_t> max_versions{};
  std::optional<bool> cas_required{};
  std::optional<std::int64_t> delete_version_after{};
  /// Replaces all entries.
  std::optional<std::map<std::string, std::string>> custom{};
};

/// Thread-safe. Everything happens in the caller's view or transaction.
class KvStore {
 public:
  explicit KvStore(const SecretStore& secrets) : secrets_(secrets) {}

  /// `version` 0: the newest. `not_found` when the secret or the version is not there.
  base::Result<KvRead> read(const state::ReadView& view, const KvPlace& place, std::uint64_t version,
                            base::UtcTime now) const;
  /// `cas`: the version that must be the newest, 0: none may be there. `conflict` when it is not, or when one is
  /// required and not given.
  base::Result<KvRead> write(state::WriteTxn& txn, const KvPlace& place, base::ByteView value,
                             std::optional<std::uint64_t> cas, base::UtcTime now) const;
  /// Versions that are not there are passed over; `versions` empty: the newest.
  base::Status remove(state::WriteTxn& txn, const KvPlace& place, const std::vector<std::uint64_t>& versions,
                      base::UtcTime now) const;
  base::Status undelete(state::WriteTxn& txn, const KvPlace& place, const std::vector<std::uint64_t>& versions,
                        base::UtcTime now) const;
  /// Erases the values for good.
  base::Status destroy(state::WriteTxn& txn, const KvPlace& place, const std::vector<std::uint64_t>& versions,
                       base::UtcTime now) const;

  base::Result<KvMetadata> metadata(const state::ReadView& view, const KvPlace& place) const;
  /// Makes the secret, without a version, when it is not there and `create` allows it.
  base::Status change(state::WriteTxn& txn, const KvPlace& place, const KvChange& change, bool create,
                      base::UtcTime now) const;
  /// The secret with all its versions.
  base::Status erase(state::WriteTxn& txn, const KvPlace& place) const;
  /// What stands directly below `folder` ("" or "team"): names, those of folders with a slash at their end. At most
  /// `limit`, after `after`.
  static base::Result<std::vector<std::string>> list(const state::ReadView& view, const Namespace& space,
                                                     const Mount& mount, std::string_view folder,
                                                     std::string_view after, std::size_t limit);

 private:
  base::Result<std::optional<KvMetadata>> find(const state::ReadView& view, const KvPlace& place) const;
  base::Status keep(state::WriteTxn& txn, const KvPlace& place, const KvMetadata& metadata) const;
  const SecretStore& secrets_;
};

}  // namespace attestry::secrets
