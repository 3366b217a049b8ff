#include "secrets/namespaces.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "base/encoding.h"
#include "base/reader.h"
#include "crypto/hash.h"
#include "state/keys.h"
#include "state/scan.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using state::Key;
using state::Space;

namespace {

constexpr std::uint8_t kNamespaceVersion = 2;  // 1 had no id
constexpr std::uint8_t kUsageVersion = 1;
constexpr std::size_t kMaxText = 1024;
constexpr std::size_t kMaxDepth = 8;
constexpr std::size_t kMaxTenant = 63;
constexpr std::size_t kMark = 16;  // hexadecimal digits
constexpr std::string_view kReserved[] = {"root", "sys", "auth", "audit", "cubbyhole", "identity"};

Key record_of(std::string_view path) { return Key(Space::kv_namespaces).lp("namespace").lp(path); }
Key usage_of(std::string_view path) { return Key(Space::kv_namespaces).lp("usage").lp(path); }

bool is_word(std::string_view word) {
  constexpr std::string_view kAllowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !word.empty() && word.size() <= 64 && word.find_first_not_of(kAllowed) == std::string_view::npos;
}

Status check_path(std::string_view path, std::string_view what) {
  std::size_t words = 0;
  for (std::string_view rest = path;;) {
    const auto slash = rest.find('/');
    const auto word = rest.substr(0, slash);
    if (!is_word(word) || ++words > kMaxDepth) {
      return Error{Code::malformed, std::string{what}, "1 to 8 parts of A-Z a-z 0-9 . _ - between slashes",
                   std::string{path}};
    }
    if (slash == std::string_view::npos) return base::done();
    rest.remove_prefix(slash + 1);
  }
}

std::string parent_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string{} : std::string{path.substr(0, slash)};
}

Result<Mount> decode_mount(base::Reader& in) {
  Mount out;
  TRY(const auto path, in.lp("mount", kMaxText));
  out.path = base::as_text(path);
  TRY(const auto engine, in.u8("engine"));
  if (engine != static_cast<std::uint8_t>(Engine::kv) && engine != static_cast<std::uint8_t>(Engine::transit)) {
    return Error{Code::corrupt, "a mount has an unknown engine", "1 or 2", std::to_string(engine)};
  }
  out.engine = static_cast<Engine>(engine);
  TRY(const auto description, in.lp("description", kMaxText));
  out.description = base::as_text(description);
  TRY(out.kv.max_versions, in.u32be("max_versions"));
  TRY(const auto cas, in.u8("cas_required"));
  out.kv.cas_required = cas != 0;
  TRY(const auto after, in.u64be("delete_version_after"));
  out.kv.delete_version_after = static_cast<std::int64_t>(after);
  return out;
}

std::string_view first_part(std::string_view path) { return path.substr(0, path.find('/')); }
std::string_view last_part(std::string_view path) { return path.substr(path.rfind('/') + 1); }

Error in_use(std::string_view path) {
  return {Code::malformed, "path is already in use at " + std::string{path} + "/"};
}

Error taken(const base::Tenant& tenant) {
  return {Code::conflict, "the tenant is that of another namespace or of registered apps", "a tenant of its own",
          tenant.text(), "Choose another name, or let a root token of the root namespace name it in custom_metadata."};
}

/// Paths of all namespaces, with what is stored of each.
Status each_namespace(const state::ReadView& view,
                      const std::function<Status(std::string_view, base::ByteView)>& visit) {
  const Key prefix = Key(Space::kv_namespaces).lp("namespace");
  return state::scan_each(view, prefix, kMaxNamespaces + 1, [&](base::ByteView key, base::ByteView value) -> Status {
    base::Reader in{key.subspan(prefix.bytes().size())};
    TRY(const auto path, in.lp("path", kMaxText));
    return visit(base::as_text(path), value);
  });
}

/// A limit hinders growth only: what is over it after the quota shrank can still be taken away.
Status within(std::uint64_t quota, std::uint64_t before, std::uint64_t after, std::string_view what) {
  if (quota == 0 || after <= quota || after <= before) return base::done();
  return Error{Code::too_large, "the namespace's quota of " + std::string{what} + " is used up",
               "at most " + std::to_string(quota), std::to_string(after),
               "Destroy what is no longer used, or let an operator raise the quota."};
}

/// What was counted before those below counted is not taken off below zero.
std::uint64_t moved(std::uint64_t there, std::uint64_t before, std::uint64_t after) {
  if (after >= before) return there + (after - before);
  return there - std::min(there, before - after);
}

Status keep_usage(state::WriteTxn& txn, std::string_view path, const Quotas& quotas, const Usage& before,
                  const Usage& after) {
  TRY_OK(within(quotas.secrets, before.secrets, after.secrets, "secrets"));
  TRY_OK(within(quotas.versions, before.versions, after.versions, "versions"));
  TRY_OK(within(quotas.bytes, before.bytes, after.bytes, "bytes"));
  return txn.put(usage_of(path),
                 state::value(kUsageVersion).u64(after.secrets).u64(after.versions).u64(after.bytes).bytes());
}

}  // namespace

std::string_view to_text(Engine engine) noexcept {
  switch (engine) {
    case Engine::kv:
      return "kv";
    case Engine::transit:
      return "transit";
  }
  return "";
}

const Mount* Namespace::mount_of(std::string_view wanted) const noexcept {
  const Mount* best = nullptr;
  for (const Mount& mount : mounts) {
    const bool inside =
        wanted.starts_with(mount.path) && (wanted.size() == mount.path.size() || wanted[mount.path.size()] == '/');
    if (inside && (best == nullptr || mount.path.size() > best->path.size())) best = &mount;
  }
  return best;
}

Status check_namespace_path(std::string_view path) {
  TRY_OK(check_path(path, "namespace"));
  const auto last = path.substr(path.rfind('/') == std::string_view::npos ? 0 : path.rfind('/') + 1);
  if (std::ranges::find(kReserved, last) != std::end(kReserved)) {
    return Error{Code::malformed, "namespace", "a name that is none of Vault's own words", std::string{last}};
  }
  return base::done();
}

Status check_mount_path(std::string_view path) {
  TRY_OK(check_path(path, "mount"));
  const auto first = path.substr(0, path.find('/'));
  if (std::ranges::find(kReserved, first) != std::end(kReserved)) {
    return Error{Code::malformed, "mount", "a name that is none of Vault's own words", std::string{first}};
  }
  return base::done();
}

Result<base::Tenant> tenant_of_namespace(std::string_view path) {
  if (path.empty()) return base::Tenant::standard();
  std::string name;
  for (const char c : path) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    name += upper ? static_cast<char>(c - 'A' + 'a') : plain ? c : '-';
  }
  if (name != path || name.size() > kMaxTenant) {
    const auto mark = crypto::sha256(base::as_bytes(path));
    name = name.substr(0, kMaxTenant - kMark - 1) + "-" + base::hex(mark).substr(0, kMark);
  }
  return base::Tenant::parse(name);
}

base::Bytes encode_namespace(const Namespace& space) {
  auto out = state::value(kNamespaceVersion);
  out.lp(space.tenant.text());
  out.u64(space.quotas.secrets).u64(space.quotas.versions).u64(space.quotas.bytes);
  out.u64(space.quotas.requests_per_second).u32(static_cast<std::uint32_t>(space.mounts.size()));
  for (const Mount& mount : space.mounts) {
    out.lp(mount.path).u8(static_cast<std::uint8_t>(mount.engine)).lp(mount.description);
    out.u32(mount.kv.max_versions).u8(mount.kv.cas_required ? 1 : 0);
    out.u64(static_cast<std::uint64_t>(mount.kv.delete_version_after));
  }
  out.u64(space.id);
  return std::move(out).take();
}

Result<Namespace> decode_namespace(base::ByteView stored, std::string_view path) {
  const bool first = !stored.empty() && stored[0] == 1;
  TRY(auto in, state::open_value(stored, first ? 1 : kNamespaceVersion, "namespace"));
  Namespace out{.path = std::string{path}};
  TRY(const auto tenant, in.lp("tenant", kMaxText));
  TRY(out.tenant, base::Tenant::parse(base::as_text(tenant)));
  TRY(out.quotas.secrets, in.u64be("secrets"));
  TRY(out.quotas.versions, in.u64be("versions"));
  TRY(out.quotas.bytes, in.u64be("bytes"));
  TRY(out.quotas.requests_per_second, in.u64be("requests per second"));
  TRY(const auto mounts, in.u32be("mounts"));
  if (mounts > kMaxMounts) return Error{Code::corrupt, "a namespace has too many mounts"};
  for (std::uint32_t i = 0; i < mounts; ++i) {
    TRY(auto mount, decode_mount(in));
    out.mounts.push_back(std::move(mount));
  }
  if (!first) {
    TRY(out.id, in.u64be("id"));
  }
  TRY_OK(in.finish("namespace"));
  return out;
}

Result<std::unique_ptr<Namespaces>> Namespaces::open(state::Store& store, base::Deadline deadline) {
  std::unique_ptr<Namespaces> out{new Namespaces(store)};
  TRY_OK(store.write_and_wait(
      [](state::WriteTxn& txn) -> Status {
        TRY(const auto there, txn.get(record_of("")));
        if (there) return base::done();
        const Namespace root{.path = "",
                             .mounts = {{.path = "secret", .engine = Engine::kv, .description = "versioned secrets"},
                                        {.path = "transit", .engine = Engine::transit}}};
        return txn.insert(record_of(""), encode_namespace(root));
      },
      deadline));
  TRY(const auto view, store.read());
  TRY_OK(each_namespace(*view, [&](std::string_view path, base::ByteView value) -> Status {
    TRY(auto space, decode_namespace(value, path));
    const base::MutexLock lock(out->mutex_);
    out->table_.emplace(std::string{path}, std::make_shared<const Namespace>(std::move(space)));
    return base::done();
  }));
  return out;
}

std::shared_ptr<const Namespace> Namespaces::find(std::string_view path) const {
  const base::MutexLock lock(mutex_);
  const auto found = table_.find(path);
  return found == table_.end() ? nullptr : found->second;
}

std::vector<std::string> Namespaces::children(std::string_view path) const {
  const std::string prefix = path.empty() ? std::string{} : std::string{path} + "/";
  std::vector<std::string> out;
  const base::MutexLock lock(mutex_);
  for (const auto& [name, space] : table_) {
    if (name.empty() || !name.starts_with(prefix)) continue;
    const auto rest = std::string_view{name}.substr(prefix.size());
    if (!rest.empty() && rest.find('/') == std::string_view::npos) out.push_back(std::string{rest} + "/");
  }
  return out;
}

std::uint64_t Namespaces::seconds_to_wait(const Namespace& space, base::Deadline now) {
  // A bucket of one second's requests (GCRA) for each of them; a request that one of them refuses costs none of them.
  constexpr std::chrono::nanoseconds kSecond = std::chrono::seconds(1);
  struct Charge {
    base::Deadline* empty_at;
    std::chrono::nanoseconds interval;
  };
  std::vector<Charge> charges;
  const base::MutexLock lock(mutex_);
  for (std::string path = space.path;; path = parent_of(path)) {
    const auto found = table_.find(path);
    const auto rate = found == table_.end() ? 0 : found->second->quotas.requests_per_second;
    if (rate != 0) {
      const auto interval = std::max(kSecond / static_cast<std::int64_t>(rate), std::chrono::nanoseconds(1));
      auto& empty_at = empty_at_[path];
      if (empty_at < now) empty_at = now;
      const auto after = empty_at + interval - now;
      if (after > kSecond) return static_cast<std::uint64_t>((after - kSecond) / kSecond) + 1;
      charges.push_back({&empty_at, interval});
    }
    if (path.empty()) break;
  }
  for (const auto& charge : charges) {
    *charge.empty_at += std::chrono::duration_cast<base::Deadline::duration>(charge.interval);
  }
  return 0;
}

Result<Namespace> Namespaces::stored(const state::ReadView& view, std::string_view path) {
  TRY(const auto found, view.get(record_of(path)));
  if (!found) return Error{Code::not_found, "there is no such namespace", {}, std::string{path}};
  return decode_namespace(*found, path);
}

Status Namespaces::create(state::WriteTxn& txn, const Namespace& space, bool own_tenant) {
  auto above = stored(txn, parent_of(space.path));
  if (!above && above.error().code == Code::not_found) {
    return Error{Code::not_found, "the parent of the namespace", {}, parent_of(space.path)};
  }
  TRY(const auto parent, std::move(above));
  for (const Mount& mount : parent.mounts) {
    if (first_part(mount.path) == last_part(space.path)) return in_use(mount.path);
  }
  std::size_t count = 0;
  std::size_t beside = 0;
  TRY_OK(each_namespace(txn, [&](std::string_view path, base::ByteView value) -> Status {
    ++count;
    if (!path.empty() && first_part(path) == first_part(space.path)) ++beside;
    if (!own_tenant) return base::done();
    TRY(const auto other, decode_namespace(value, path));
    if (other.tenant != space.tenant) return base::done();
    return taken(space.tenant);
  }));
  // Whoever runs apps of that tenant asked for none of this.
  if (own_tenant) {
    bool apps = false;
    TRY_OK(
        txn.scan(Key(Space::apps, space.tenant), {}, 1, [&](base::ByteView, base::ByteView) { return apps = true; }));
    if (apps) return taken(space.tenant);
  }
  if (count >= kMaxNamespaces || beside >= kMaxNamespacesBelow) {
    return Error{Code::too_large, "there are too many namespaces",
                 "at most " + std::to_string(kMaxNamespaces) + ", and " + std::to_string(kMaxNamespacesBelow) +
                     " that begin with the same part"};
  }
  return txn.insert(record_of(space.path), encode_namespace(space));
}

Result<Namespace> Namespaces::change(state::WriteTxn& txn, std::string_view path, const Change& change) {
  TRY(auto space, stored(txn, path));
  TRY_OK(change(space));
  TRY_OK(txn.put(record_of(path), encode_namespace(space)));
  return space;
}

Status Namespaces::add_mount(state::WriteTxn& txn, std::string_view path, const Mount& mount) {
  const std::string below{first_part(mount.path)};
  TRY(const auto shadowed, txn.get(record_of(path.empty() ? below : std::string{path} + "/" + below)));
  if (shadowed) return in_use(below);
  TRY_OK(change(txn, path, [&](Namespace& space) -> Status {
    for (const Mount& there : space.mounts) {
      if (there.path == mount.path || there.path.starts_with(mount.path + "/") ||
          mount.path.starts_with(there.path + "/")) {
        return in_use(mount.path);
      }
    }
    if (space.mounts.size() >= kMaxMounts) return Error{Code::too_large, "there are too many mounts"};
    space.mounts.push_back(mount);
    return base::done();
  }));
  return base::done();
}

Status Namespaces::remove(state::WriteTxn& txn, std::string_view path) {
  TRY(const auto there, txn.get(record_of(path)));
  if (!there || path.empty()) return Error{Code::not_found, "there is no such namespace", {}, std::string{path}};
  TRY(const auto now, usage(txn, path));
  std::size_t below = 0;
  TRY_OK(each_namespace(txn, [&](std::string_view other, base::ByteView) {
    if (other.starts_with(path) && other.size() > path.size() && other[path.size()] == '/') ++below;
    return base::done();
  }));
  if (now.secrets != 0 || below != 0) {
    return Error{Code::conflict, "the namespace is not empty", "no secrets, no keys and no namespaces below",
                 std::to_string(now.secrets) + " secrets and keys", "Delete them first."};
  }
  TRY_OK(txn.erase(usage_of(path)));
  return txn.erase(record_of(path));
}

Status Namespaces::settle(std::string_view path) {
  TRY(const auto view, store_.read());
  TRY(const auto stored, view->get(record_of(path)));
  std::shared_ptr<const Namespace> now;
  if (stored) {
    TRY(auto space, decode_namespace(*stored, path));
    now = std::make_shared<const Namespace>(std::move(space));
  }
  const base::MutexLock lock(mutex_);
  if (now) {
    table_[std::string{path}] = std::move(now);
  } else if (const auto found = table_.find(path); found != table_.end()) {
    table_.erase(found);
  }
  return base::done();
}

Result<Usage> Namespaces::usage(const state::ReadView& view, std::string_view path) {
  TRY(const auto stored, view.get(usage_of(path)));
  Usage out;
  if (!stored) return out;
  TRY(auto in, state::open_value(*stored, kUsageVersion, "usage of a namespace"));
  TRY(out.secrets, in.u64be("secrets"));
  TRY(out.versions, in.u64be("versions"));
  TRY(out.bytes, in.u64be("bytes"));
  TRY_OK(in.finish("usage of a namespace"));
  return out;
}

Status Namespaces::change_usage(state::WriteTxn& txn, const Namespace& space, const Usage& before, const Usage& after) {
  TRY_OK(keep_usage(txn, space.path, space.quotas, before, after));
  // What a namespace uses is used of every one above it; the root has no quotas.
  for (auto above = parent_of(space.path); !above.empty(); above = parent_of(above)) {
    TRY(const auto parent, stored(txn, above));
    TRY(const auto there, usage(txn, above));
    const Usage then{.secrets = moved(there.secrets, before.secrets, after.secrets),
                     .versions = moved(there.versions, before.versions, after.versions),
                     .bytes = moved(there.bytes, before.bytes, after.bytes)};
    TRY_OK(keep_usage(txn, above, parent.quotas, there, then));
  }
  return base::done();
}

}  // namespace attestry::secrets
