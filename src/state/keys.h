// Keys and values of the store: key = space u8 ‖ LP(tenant) ‖ fields, value = version u8 ‖ body (FORMATS 7).
#pragma once
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/reader.h"
#include "base/result.h"
#include "state/spaces.h"

namespace attestry::state {

/// Builds a key; every step appends: `Key(Space::instances, tenant).lp(app.bytes()).u64(sequence)`. Converts to a view
/// that is valid as long as the Key, so a temporary may be handed to get(), put() and scan() directly.
class Key {
 public:
  Key(Space space, const base::Tenant& tenant) {
    out_.u8(static_cast<std::uint8_t>(space));
    out_.lp(tenant.text());
  }
  /// A record of the whole service: the tenant is the empty string, which is no tenant's name.
  explicit Key(Space space) {
    out_.u8(static_cast<std::uint8_t>(space));
    out_.lp(std::string_view{});
  }
  Key& lp(base::ByteView part) & { return out_.lp(part), *this; }
  Key& lp(std::string_view part) & { return out_.lp(part), *this; }
  Key& u8(std::uint8_t value) & { return out_.u8(value), *this; }
  Key& u64(std::uint64_t value) & { return out_.u64(value), *this; }
  Key& raw(base::ByteView part) & { return out_.raw(part), *this; }
  Key&& lp(base::ByteView part) && { return out_.lp(part), std::move(*this); }
  Key&& lp(std::string_view part) && { return out_.lp(part), std::move(*this); }
  Key&& u8(std::uint8_t value) && { return out_.u8(value), std::move(*this); }
  Key&& u64(std::uint64_t value) && { return out_.u64(value), std::move(*this); }
  Key&& raw(base::ByteView part) && { return out_.raw(part), std::move(*this); }

  const base::Bytes& bytes() const noexcept { return out_.bytes(); }
  operator base::ByteView() const noexcept { return out_.bytes(); }

 private:
  base::LpWriter out_;
};

/// The values deposited for an app, one each for `.raw(id)`: secrets writes them, and governance, which stands below
/// it, looks whether one is there before an approval names it.
inline Key secret_key(const base::Tenant& tenant, const base::AppRef& app) {
  return Key(Space::secrets, tenant).lp(app.bytes());
}

/// version u8 ‖ whatever is appended: `value(1).lp(x).u64(y)`.
inline base::LpWriter value(std::uint8_t version) {
  base::LpWriter out;
  out.u8(version);
  return out;
}

/// A cursor behind the version byte. Error `corrupt` when the version is another than `version`.
base::Result<base::Reader> open_value(base::ByteView stored, std::uint8_t version, std::string_view what);

}  // namespace attestry::state
