// Names of blobs below a backend's root. Own layout: tenants/<tenant>/<app>/configs|secrets/<id>. The first registry's:
// configs|secrets/<id> or just <id>, with the 64 digits of the id or, by an accident of its own, their hex again.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "blobs/store.h"

namespace attestry::blobs {

/// "configs" or "secrets".
std::string_view folder_of(Type type) noexcept;
/// One path segment for an app: "evm-1-0x…"; kinds never contain a hyphen, so two apps never share a segment.
std::string segment_of(const base::AppRef& app);
/// Back again; nullopt for what is no such segment.
std::optional<base::AppRef> app_of_segment(std::string_view segment);
/// "tenants/<tenant>", with a folder for each app.
std::string tenant_folder(const base::Tenant& tenant);
/// "tenants/<tenant>/<app>/configs".
std::string place_folder(const Place& place);

/// How the first registry laid out one kind of backend.
enum class SeedLayout : std::uint8_t {
  none,   ///< it could not store there, or what it stored cannot be found again
  typed,  ///< configs/<id>: file; and GitHub as it was meant
  flat,   ///< <id>: S3 and Vault
};
/// What may hold the blob, best first: own layout last in the seed's dialect, and alone in the native one.
std::vector<std::string> names_of(const Place& place, const base::Digest32& id, Dialect dialect, SeedLayout seed);

/// What says on a backend that only knows hashes that `id` belongs to `place`: a block whose own hash follows from
/// both. Without it the same bytes stored by another app would be found.
base::Bytes marker_of(const Place& place, const base::Digest32& id);
/// No blob may begin like a marker: an app could otherwise claim another's blob by storing the text of its marker.
bool looks_like_marker(base::ByteView bytes) noexcept;

/// Bytes that a seal is bound to: the place and the id.
base::Bytes record_of(const Place& place, const base::Digest32& id);

}  // namespace attestry::blobs
