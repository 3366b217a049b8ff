#include "blobs/internal/layout.h"

#include <algorithm>

#include "base/encoding.h"

namespace attestry::blobs {
namespace {

constexpr std::string_view kMarker = "attestry-place-v1";

base::LpWriter place_bytes(const Place& place, const base::Digest32& id) {
  base::LpWriter out;
  out.lp(place.tenant.text()).lp(place.app.bytes()).lp(to_text(place.type)).lp(id);
  return out;
}

}  // namespace

std::string_view folder_of(Type type) noexcept { return type == Type::config ? "configs" : "secrets"; }

std::string segment_of(const base::AppRef& app) {
  auto text = app.text();
  std::replace(text.begin(), text.end(), ':', '-');
  return text;
}

std::optional<base::AppRef> app_of_segment(std::string_view segment) {
  // Of the colons that became hyphens there are at most two, and a name may have hyphens of its own.
  std::string text{segment};
  for (int colons = 0; colons < 3; ++colons) {
    auto app = base::AppRef::parse(text);
    if (app && segment_of(*app) == segment) return *std::move(app);
    const auto hyphen = text.find('-');
    if (hyphen == std::string::npos) break;
    text[hyphen] = ':';
  }
  return std::nullopt;
}

std::string tenant_folder(const base::Tenant& tenant) { return "tenants/" + tenant.text(); }

std::string place_folder(const Place& place) {
  std::string out = tenant_folder(place.tenant) + "/" + segment_of(place.app) + "/";
  return out.append(folder_of(place.type));
}

std::vector<std::string> names_of(const Place& place, const base::Digest32& id, Dialect dialect, SeedLayout seed) {
  const auto plain = base::hex(id);
  std::vector<std::string> out;
  if (dialect == Dialect::seed && seed != SeedLayout::none) {
    const auto folder = seed == SeedLayout::typed ? std::string{folder_of(place.type)} + "/" : std::string{};
    out = {folder + plain, folder + base::hex(base::as_bytes(plain))};
  }
  out.push_back(place_folder(place) + "/" + plain);
  return out;
}

base::Bytes marker_of(const Place& place, const base::Digest32& id) {
  base::Bytes out = base::to_bytes(kMarker);
  base::append(out, place_bytes(place, id).bytes());
  return out;
}

bool looks_like_marker(base::ByteView bytes) noexcept { return base::as_text(bytes).starts_with(kMarker); }

base::Bytes record_of(const Place& place, const base::Digest32& id) { return place_bytes(place, id).bytes(); }

}  // namespace attestry::blobs
