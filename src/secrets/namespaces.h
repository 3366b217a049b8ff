// Namespaces of versioned secrets: each belongs to one tenant, whose key seals what stands in it, has engines mounted
// by name, and may have quotas. The table is small and held in memory; every change is in the store first
// (docs/formats/vault.md).
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "state/store.h"

namespace attestry::secrets {

inline constexpr std::size_t kMaxNamespaces = 1024;
inline constexpr std::size_t kMaxNamespacesBelow = 128;  ///< those with the same first part
inline constexpr std::size_t kMaxMounts = 64;            ///< of one namespace

/// 0: no limit of its own.
struct Quotas {
  std::uint64_t secrets = 0;   ///< names with at least one version or metadata
  std::uint64_t versions = 0;  ///< that are not destroyed
  std::uint64_t bytes = 0;     ///< of values that are not destroyed
  std::uint64_t requests_per_second = 0;
  friend bool operator==(const Quotas&, const Quotas&) = default;
};

/// What stands in a namespace and those below it now.
struct Usage {
  std::uint64_t secrets = 0;
  std::uint64_t versions = 0;
  std::uint64_t bytes = 0;
};

enum class Engine : std::uint8_t { kv = 1, transit = 2 };
std::string_view to_text(Engine engine) noexcept;

/// What holds for secrets of a mount that do not say otherwise.
struct KvConfig {
  std::uint32_t max_versions = 0;         ///< 0: 10
  bool cas_required = false;              ///< every write names the version that it follows
  std::int64_t delete_version_after = 0;  ///< seconds; 0: never
  friend bool operator==(const KvConfig&, const KvConfig&) = default;
};

struct Mount {
  std::string path;  ///< "secret", "team/kv": no slash at either end
  Engine engine = Engine::kv;
  std::string description{};
  KvConfig kv{};
  friend bool operator==(const Mount&, const Mount&) = default;
};

struct Namespace {
  std::string path;      ///< "" is the root; "team/web"
  std::uint64_t id = 0;  ///< random; 0: the root, and those made before there were any
  base::Tenant tenant = base::Tenant::standard();
  Quotas quotas{};
  std::vector<Mount> mounts{};

  /// The mount that `path` lies in, the longest one; null when there is none.
  const Mount* mount_of(std::string_view path) const noexcept;
  friend bool operator==(const Namespace&, const Namespace&) = default;
};

/// `[A-Za-z0-9._-]{1,64}` between slashes, at most 8 of them, none of Vault's own words (root, sys, auth, audit,
/// cubbyhole, identity).
base::Status check_namespace_path(std::string_view path);
base::Status check_mount_path(std::string_view path);

/// The tenant of a namespace for which nobody names another: its path, with a mark of it where that is no tenant's
/// name, so that two paths have never the same one. `malformed` for a path that is too long.
base::Result<base::Tenant> tenant_of_namespace(std::string_view path);

base::Bytes encode_namespace(const Namespace& space);
base::Result<Namespace> decode_namespace(base::ByteView stored, std::string_view path);

/// Thread-safe. Changes are methods for write closures; `settle()` of a change is called once its write has succeeded.
class Namespaces {
 public:
  /// Makes the root with `secret/` (KV) and `transit/` when the store has none.
  static base::Result<std::unique_ptr<Namespaces>> open(state::Store& store, base::Deadline deadline);

  /// Null when there is none.
  std::shared_ptr<const Namespace> find(std::string_view path) const;
  /// Names of those directly below `path`, each with a slash at its end.
  std::vector<std::string> children(std::string_view path) const;
  /// Whether a request of the namespace may go on, by its own rate and those of the namespaces above; else the seconds,
  /// at least 1, until another may.
  std::uint64_t seconds_to_wait(const Namespace& space, base::Deadline now);
  /// As it is stored now; `not_found`.
  static base::Result<Namespace> stored(const state::ReadView& view, std::string_view path);

  /// `conflict` when it is there already or a mount of its parent has its name, `not_found` without its parent,
  /// `too_large` beyond the limits. `own_tenant`: `conflict` when another namespace or a registered app has its
  /// tenant.
  static base::Status create(state::WriteTxn& txn, const Namespace& space, bool own_tenant);
  /// What is stored of it, changed by `change`, whose error is passed on. `not_found` when it is not there.
  using Change = std::function<base::Status(Namespace&)>;
  static base::Result<Namespace> change(state::WriteTxn& txn, std::string_view path, const Change& change);
  /// `malformed` when another mount, or a namespace below, has that name or a part of it.
  static base::Status add_mount(state::WriteTxn& txn, std::string_view path, const Mount& mount);
  /// `conflict` while something stands in it or below it.
  static base::Status remove(state::WriteTxn& txn, std::string_view path);
  /// Reads it anew from what is committed.
  base::Status settle(std::string_view path);

  static base::Result<Usage> usage(const state::ReadView& view, std::string_view path);
  /// Keeps the new figures of the namespace and of those above it; `too_large` when one grew beyond a quota of these.
  static base::Status change_usage(state::WriteTxn& txn, const Namespace& space, const Usage& before,
                                   const Usage& after);

 private:
  explicit Namespaces(state::Store& store) : store_(store) {}
  state::Store& store_;
  mutable base::Mutex mutex_;
  std::map<std::string, std::shared_ptr<const Namespace>, std::less<>> table_ ATTESTRY_GUARDED_BY(mutex_);
  std::map<std::string, base::Deadline, std::less<>> empty_at_ ATTESTRY_GUARDED_BY(mutex_);  ///< GCRA, by path
};

}  // namespace attestry::secrets
