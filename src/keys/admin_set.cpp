#include "keys/admin_set.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "crypto/hash.h"

namespace attestry::keys {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMaxAdmins = 255;  // x coordinates of shares (docs/formats/registry.md)
constexpr std::size_t kMaxId = 128;

Result<Admin> admin_of(const base::JsonValue& value) {
  TRY(const auto id_value, value.get("id"));
  TRY(auto id, id_value.string("id"));
  if (id.empty() || id.size() > kMaxId)
    return Error{Code::configuration, "an admin's id", "1 to 128 characters", std::to_string(id.size())};
  TRY(const auto pem_value, value.get("pubkey"), id);
  TRY(auto pem, pem_value.string("pubkey"), id);
  TRY(const auto blocks, base::pem_decode(pem, 1), "admin " + id + ": pubkey");
  if (blocks.size() != 1 || blocks[0].label != "PUBLIC KEY")
    return Error{Code::configuration, "admin " + id + ": pubkey", "one PEM block PUBLIC KEY",
                 blocks.empty() ? "no PEM" : blocks[0].label};
  TRY(auto key, crypto::EcPublicKey::from_spki(blocks[0].der), "admin " + id + ": pubkey");
  return Admin{std::move(id), std::move(pem), std::move(key)};
}

}  // namespace

base::Digest32 Admin::fingerprint() const { return crypto::sha256(key.spki()); }

const Admin* AdminSet::find(std::string_view id) const noexcept {
  const auto found = std::ranges::find(admins_, id, &Admin::id);
  return found == admins_.end() ? nullptr : &*found;
}

base::Digest32 AdminSet::digest() const {
  base::LpWriter out;
  for (const auto& admin : admins_) out.lp(admin.id).raw(admin.fingerprint());
  return crypto::sha256(out.bytes());
}

Result<AdminSet> AdminSet::parse(std::string_view json) {
  TRY(const auto document, base::JsonDocument::parse(std::string{json}));
  TRY(const auto list, document->root().get("admins"));
  if (!list.is_array() || list.size() < 2 || list.size() > kMaxAdmins)
    return Error{Code::configuration, "admins", "a list of 2 to 255 admins", std::to_string(list.size())};
  AdminSet out;
  for (auto value = list.first(); value; value = value->next()) {
    TRY(auto admin, admin_of(*value));
    for (const auto& other : out.admins_) {
      if (other.id == admin.id)
        return Error{Code::configuration, "the admin " + admin.id + " stands twice in the file", "one entry each", {}};
      if (other.fingerprint() == admin.fingerprint()) {
        return Error{Code::configuration,
                     "the admins " + other.id + " and " + admin.id + " have the same key",
                     "a key of his own for each admin",
                     {},
                     "One person on two seats would need one accomplice fewer; let each admin make a key."};
      }
    }
    out.admins_.push_back(std::move(admin));
  }
  return out;
}

}  // namespace attestry::keys
