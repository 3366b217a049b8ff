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

std::string place_folder(const Place& place) {
  std::string out = "tenants/" + place.tenant.text() + "/" + segment_of(place.app) + "/";
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
