#include "secrets/kv_store.h"

#include <algorithm>

#include "base/reader.h"
#include "state/keys.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using state::Key;
using state::Space;

namespace {

constexpr std::uint8_t kMetadataVersion = 1;
constexpr std::size_t kMaxCustomKey = 128;
constexpr std::size_t kMaxCustomValue = 512;

/// The path stands raw at the end, so that the names of a folder lie together.
Key names_of(const Namespace& space, const Mount& mount) {
  return Key(Space::kv_names, space.tenant).lp(space.path).lp(mount.path);
}
Key name_of(const KvPlace& place) { return names_of(place.space, place.mount).raw(base::as_bytes(place.path)); }
Key value_of(const KvPlace& place, std::uint64_t version) {
  return Key(Space::kv_values, place.space.tenant)
      .lp(place.space.path)
      .lp(place.mount.path)
      .lp(place.path)
      .u64(version);
}

Error no_secret() { return {Code::not_found, "there is no such secret"}; }

std::uint32_t max_versions_of(const KvPlace& place, const KvMetadata& metadata) {
  if (metadata.config.max_versions != 0) return metadata.config.max_versions;
  return place.mount.kv.max_versions != 0 ? place.mount.kv.max_versions : kDefaultMaxVersions;
}

/// The shorter of the two wins, and a secret may say "never" only by the mount's leave (as in Vault).
std::int64_t delete_after_of(const KvPlace& place, const KvMetadata& metadata) {
  const auto mount = place.mount.kv.delete_version_after;
  const auto own = metadata.config.delete_version_after;
  if (own < 0) return 0;
  if (own == 0 || mount <= 0) return std::max<std::int64_t>({own, mount, 0});
  return std::min(own, mount);
}

Status check_cas(const KvPlace& place, const KvMetadata& metadata, std::optional<std::uint64_t> cas) {
  if (!cas) {
    if (!place.mount.kv.cas_required && !metadata.config.cas_required) return base::done();
    return Error{Code::conflict, "check-and-set parameter required for this call"};
  }
  if (*cas == metadata.current) return base::done();
  return Error{Code::conflict, "check-and-set parameter did not match the current version"};
}

}  // namespace

KvVersion* KvMetadata::find(std::uint64_t number) noexcept {
  const auto found = std::ranges::find(versions, number, &KvVersion::number);
  return found == versions.end() ? nullptr : &*found;
}
const KvVersion* KvMetadata::find(std::uint64_t number) const noexcept {
  const auto found = std::ranges::find(versions, number, &KvVersion::number);
  return found == versions.end() ? nullptr : &*found;
}

base::Bytes encode_metadata(const KvMetadata& metadata) {
  auto out = state::value(kMetadataVersion);
  out.u64(static_cast<std::uint64_t>(metadata.created.seconds));
  out.u64(static_cast<std::uint64_t>(metadata.updated.seconds));
  out.u64(metadata.current).u32(metadata.config.max_versions).u8(metadata.config.cas_required ? 1 : 0);
  out.u64(static_cast<std::uint64_t>(metadata.config.delete_version_after));
  out.u32(static_cast<std::uint32_t>(metadata.custom.size()));
  for (const auto& [name, value] : metadata.custom) out.lp(name).lp(value);
  out.u32(static_cast<std::uint32_t>(metadata.versions.size()));
  for (const KvVersion& version : metadata.versions) {
    out.u64(version.number).u64(static_cast<std::uint64_t>(version.created.seconds));
    out.u64(static_cast<std::uint64_t>(version.deletion.seconds)).u8(version.destroyed ? 1 : 0).u32(version.size);
  }
  return std::move(out).take();
}

Result<KvMetadata> decode_metadata(base::ByteView stored) {
  TRY(auto in, state::open_value(stored, kMetadataVersion, "metadata of a secret"));
  const auto time = [&](std::string_view field) -> Result<base::UtcTime> {
    TRY(const auto seconds, in.u64be(field));
    return base::UtcTime{static_cast<std::int64_t>(seconds)};
  };
  KvMetadata out;
  TRY(out.created, time("created"));
  TRY(out.updated, time("updated"));
  TRY(out.current, in.u64be("current"));
  TRY(out.config.max_versions, in.u32be("max_versions"));
  TRY(const auto cas, in.u8("cas_required"));
  out.config.cas_required = cas != 0;
  TRY(const auto after, in.u64be("delete_version_after"));
  out.config.delete_version_after = static_cast<std::int64_t>(after);
  TRY(const auto customs, in.u32be("custom metadata"));
  for (std::uint32_t i = 0; i < customs; ++i) {
    TRY(const auto name, in.lp("name", kMaxCustomKey));
    TRY(const auto value, in.lp("value", kMaxCustomValue));
    out.custom.emplace(base::as_text(name), base::as_text(value));
  }
  TRY(const auto versions, in.u32be("versions"));
  for (std::uint32_t i = 0; i < versions; ++i) {
    KvVersion version;
    TRY(version.number, in.u64be("number"));
    TRY(version.created, time("created"));
    TRY(version.deletion, time("deletion"));
    TRY(const auto destroyed, in.u8("destroyed"));
    version.destroyed = destroyed != 0;
    TRY(version.size, in.u32be("size"));
    out.versions.push_back(version);
  }
  TRY_OK(in.finish("metadata of a secret"));
  return out;
}

Status check_custom(const std::map<std::string, std::string>& custom) {
  if (custom.size() > kMaxCustomMetadata) {
    return Error{Code::malformed, "custom_metadata", "at most 64 entries", std::to_string(custom.size())};
  }
  for (const auto& [name, value] : custom) {
    if (name.empty() || name.size() > kMaxCustomKey || value.empty() || value.size() > kMaxCustomValue) {
      return Error{Code::malformed, "custom_metadata", "names of 1 to 128 and values of 1 to 512 bytes",
                   name.substr(0, 32)};
    }
  }
  return base::done();
}

Status check_kv_path(std::string_view path) {
  const bool bad = path.empty() || path.size() > kMaxKvPathBytes || path.front() == '/' || path.back() == '/' ||
                   path.find("//") != std::string_view::npos;
  if (!bad) return base::done();
  return Error{Code::malformed, "path of a secret", "1 to 512 bytes without empty parts",
               std::string{path.substr(0, 64)}};
}

Result<std::optional<KvMetadata>> KvStore::find(const state::ReadView& view, const KvPlace& place) const {
  TRY(const auto stored, view.get(name_of(place)));
  if (!stored) return std::optional<KvMetadata>{};
  TRY(auto metadata, decode_metadata(*stored));
  return std::optional{std::move(metadata)};
}

Status KvStore::keep(state::WriteTxn& txn, const KvPlace& place, const KvMetadata& metadata) const {
  TRY_OK(check_custom(metadata.custom));  // nothing is written that could not be read again
  return txn.put(name_of(place), encode_metadata(metadata));
}

Result<KvRead> KvStore::read(const state::ReadView& view, const KvPlace& place, std::uint64_t version,
                             base::UtcTime now) const {
  TRY(auto metadata, find(view, place));
  if (!metadata) return no_secret();
  const KvVersion* found = metadata->find(version == 0 ? metadata->current : version);
  if (found == nullptr) return Error{Code::not_found, "there is no such version"};
  KvRead out{.metadata = {}, .version = *found, .value = {}};
  out.metadata = *std::move(metadata);
  if (out.version.destroyed || out.version.deleted(now)) return out;
  const Key key = value_of(place, out.version.number);
  TRY(const auto stored, view.get(key));
  if (!stored) return Error{Code::corrupt, "a version of a secret is not stored"};
  TRY(out.value, secrets_.open_record(view, place.space.tenant, key, *stored));
  return out;
}

Result<KvRead> KvStore::write(state::WriteTxn& txn, const KvPlace& place, base::ByteView value,
                              std::optional<std::uint64_t> cas, base::UtcTime now) const {
  if (value.size() > kMaxKvValueBytes) {
    return Error{Code::too_large, "value of a secret", "at most " + std::to_string(kMaxKvValueBytes) + " bytes",
                 std::to_string(value.size()) + " bytes"};
  }
  TRY(auto there, find(txn, place));
  KvMetadata metadata = there.value_or(KvMetadata{.created = now, .updated = now});
  TRY_OK(check_cas(place, metadata, cas));
  TRY(const auto before, Namespaces::usage(txn, place.space.path));
  Usage after = before;
  if (!there) ++after.secrets;
  const auto lives = delete_after_of(place, metadata);
  const KvVersion fresh{.number = ++metadata.current,
                        .created = now,
                        .deletion = lives == 0 ? base::UtcTime{} : now + lives,
                        .size = static_cast<std::uint32_t>(value.size())};
  metadata.updated = now;
  metadata.versions.push_back(fresh);
  ++after.versions;
  after.bytes += fresh.size;
  while (metadata.versions.size() > max_versions_of(place, metadata)) {
    const KvVersion& oldest = metadata.versions.front();
    if (!oldest.destroyed) {
      TRY_OK(txn.erase(value_of(place, oldest.number)));
      --after.versions;
      after.bytes -= oldest.size;
    }
    metadata.versions.erase(metadata.versions.begin());
  }
  TRY_OK(Namespaces::change_usage(txn, place.space, before, after));
  TRY_OK(secrets_.put_record(txn, place.space.tenant, value_of(place, fresh.number), value));
  TRY_OK(keep(txn, place, metadata));
  return KvRead{.metadata = std::move(metadata), .version = fresh, .value = {}};
}

Status KvStore::remove(state::WriteTxn& txn, const KvPlace& place, const std::vector<std::uint64_t>& versions,
                       base::UtcTime now) const {
  TRY(auto metadata, find(txn, place));
  if (!metadata) return base::done();
  const std::vector<std::uint64_t> newest{metadata->current};
  for (const auto number : versions.empty() ? newest : versions) {
    KvVersion* version = metadata->find(number);
    if (version != nullptr && !version->destroyed && !version->deleted(now)) version->deletion = now;
  }
  metadata->updated = now;
  return keep(txn, place, *metadata);
}

Status KvStore::undelete(state::WriteTxn& txn, const KvPlace& place, const std::vector<std::uint64_t>& versions,
                         base::UtcTime now) const {
  TRY(auto metadata, find(txn, place));
  if (!metadata) return base::done();
  for (const auto number : versions) {
    KvVersion* version = metadata->find(number);
    if (version != nullptr && !version->destroyed) version->deletion = {};
  }
  metadata->updated = now;
  return keep(txn, place, *metadata);
}

Status KvStore::destroy(state::WriteTxn& txn, const KvPlace& place, const std::vector<std::uint64_t>& versions,
                        base::UtcTime now) const {
  TRY(auto metadata, find(txn, place));
  if (!metadata) return base::done();
  TRY(const auto before, Namespaces::usage(txn, place.space.path));
  Usage after = before;
  for (const auto number : versions) {
    KvVersion* version = metadata->find(number);
    if (version == nullptr || version->destroyed) continue;
    version->destroyed = true;
    --after.versions;
    after.bytes -= version->size;
    TRY_OK(txn.erase(value_of(place, number)));
  }
  metadata->updated = now;
  TRY_OK(Namespaces::change_usage(txn, place.space, before, after));
  return keep(txn, place, *metadata);
}

Result<KvMetadata> KvStore::metadata(const state::ReadView& view, const KvPlace& place) const {
  TRY(auto found, find(view, place));
  if (!found) return no_secret();
  return *std::move(found);
}

Status KvStore::change(state::WriteTxn& txn, const KvPlace& place, const KvChange& change, bool create,
                       base::UtcTime now) const {
  TRY(auto there, find(txn, place));
  if (!there && !create) return no_secret();
  if (!there) {
    TRY(const auto before, Namespaces::usage(txn, place.space.path));
    Usage after = before;
    ++after.secrets;
    TRY_OK(Namespaces::change_usage(txn, place.space, before, after));
  }
  KvMetadata metadata = there.value_or(KvMetadata{.created = now, .updated = now});
  if (change.max_versions) metadata.config.max_versions = *change.max_versions;
  if (change.cas_required) metadata.config.cas_required = *change.cas_required;
  if (change.delete_version_after) metadata.config.delete_version_after = *change.delete_version_after;
  if (change.custom) metadata.custom = *change.custom;
  metadata.updated = now;
  return keep(txn, place, metadata);
}

Status KvStore::erase(state::WriteTxn& txn, const KvPlace& place) const {
  TRY(const auto metadata, find(txn, place));
  if (!metadata) return base::done();
  TRY(const auto before, Namespaces::usage(txn, place.space.path));
  Usage after = before;
  --after.secrets;
  for (const KvVersion& version : metadata->versions) {
    if (version.destroyed) continue;
    TRY_OK(txn.erase(value_of(place, version.number)));
    --after.versions;
    after.bytes -= version.size;
  }
  TRY_OK(Namespaces::change_usage(txn, place.space, before, after));
  return txn.erase(name_of(place));
}

Result<std::vector<std::string>> KvStore::list(const state::ReadView& view, const Namespace& space, const Mount& mount,
                                               std::string_view folder, std::string_view after, std::size_t limit) {
  Key prefix = names_of(space, mount);
  if (!folder.empty()) prefix.raw(base::as_bytes(folder)).raw(base::as_bytes("/"));
  std::vector<std::string> out;
  base::Bytes from;
  // From behind a name; from behind a folder its whole content is passed over ('0' follows '/').
  const auto start_after = [&](std::string_view name) {
    from = prefix.bytes();
    if (name.ends_with('/')) {
      base::append(from, base::as_bytes(name.substr(0, name.size() - 1)));
      from.push_back('0');
    } else {
      base::append(from, base::as_bytes(name));
      from.push_back(0);
    }
  };
  if (!after.empty()) start_after(after);
  while (out.size() < limit) {
    std::optional<std::string> next;
    TRY_OK(view.scan(prefix, from, 1, [&](base::ByteView key, base::ByteView) {
      const auto rest = base::as_text(key.subspan(prefix.bytes().size()));
      const auto slash = rest.find('/');
      next = std::string{rest.substr(0, slash == std::string_view::npos ? slash : slash + 1)};
      return true;
    }));
    if (!next) break;
    start_after(*next);
    out.push_back(*std::move(next));
  }
  return out;
}

}  // namespace attestry::secrets
