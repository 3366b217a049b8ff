#include "secrets/transit.h"

#include "base/encoding.h"
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

constexpr std::uint8_t kKeyVersion = 1;
constexpr std::size_t kMaxMaterial = 128;

constexpr std::pair<TransitType, std::string_view> kTypes[] = {{TransitType::aes256_gcm96, "aes256-gcm96"},
                                                               {TransitType::chacha20_poly1305, "chacha20-poly1305"},
                                                               {TransitType::ed25519, "ed25519"},
                                                               {TransitType::ecdsa_p256, "ecdsa-p256"},
                                                               {TransitType::ecdsa_p384, "ecdsa-p384"},
                                                               {TransitType::ecdsa_p521, "ecdsa-p521"},
                                                               {TransitType::hmac, "hmac"}};

Key keys_of(const Namespace& space, const Mount& mount) {
  return Key(Space::transit_keys, space.tenant).lp(space.path).lp(mount.path);
}
Key record_of(const TransitPlace& place) { return keys_of(place.space, place.mount).raw(base::as_bytes(place.name)); }

Result<TransitKey::Version> decode_version(base::Reader& in) {
  TransitKey::Version out;
  TRY(out.number, in.u32be("version"));
  TRY(const auto created, in.u64be("created"));
  out.created = {static_cast<std::int64_t>(created)};
  TRY(const auto key, in.lp("key", kMaxMaterial));
  TRY(const auto hmac, in.lp("hmac key", kMaxMaterial));
  out.key = crypto::Secret::copy_of(key);
  out.hmac = crypto::Secret::copy_of(hmac);
  return out;
}

}  // namespace

std::string_view to_text(TransitType type) noexcept {
  for (const auto& [value, name] : kTypes) {
    if (value == type) return name;
  }
  return "";
}

Result<TransitType> transit_type_from(std::string_view text) {
  for (const auto& [value, name] : kTypes) {
    if (name == text) return value;
  }
  return Error{Code::malformed, "unknown key type",
               "aes256-gcm96, chacha20-poly1305, ed25519, ecdsa-p256, ecdsa-p384, ecdsa-p521 or hmac",
               std::string{text.substr(0, 32)}, "RSA keys are not offered: use ed25519 or ecdsa-p256 to sign."};
}

bool encrypts(TransitType type) noexcept {
  return type == TransitType::aes256_gcm96 || type == TransitType::chacha20_poly1305;
}
bool signs(TransitType type) noexcept { return !encrypts(type) && type != TransitType::hmac; }

base::Bytes TransitKey::encode() const {
  auto out = state::value(kKeyVersion);
  const unsigned flags =
      (derived ? 1u : 0u) | (convergent ? 2u : 0u) | (exportable ? 4u : 0u) | (deletion_allowed ? 8u : 0u);
  out.u8(static_cast<std::uint8_t>(type)).u8(static_cast<std::uint8_t>(flags));
  out.u32(min_decryption).u32(min_encryption).u32(min_available).u32(static_cast<std::uint32_t>(versions.size()));
  for (const Version& version : versions) {
    out.u32(version.number).u64(static_cast<std::uint64_t>(version.created.seconds));
    out.lp(version.key.reveal()).lp(version.hmac.reveal());
  }
  return std::move(out).take();
}

Result<TransitKey> TransitKey::decode(std::string_view name, base::ByteView stored) {
  TRY(auto in, state::open_value(stored, kKeyVersion, "transit key"));
  TransitKey out;
  out.name = name;
  TRY(const auto type, in.u8("type"));
  out.type = static_cast<TransitType>(type);
  if (to_text(out.type).empty()) return Error{Code::corrupt, "a transit key has an unknown type"};
  TRY(const auto flags, in.u8("flags"));
  out.derived = (flags & 1) != 0;
  out.convergent = (flags & 2) != 0;
  out.exportable = (flags & 4) != 0;
  out.deletion_allowed = (flags & 8) != 0;
  TRY(out.min_decryption, in.u32be("min_decryption_version"));
  TRY(out.min_encryption, in.u32be("min_encryption_version"));
  TRY(out.min_available, in.u32be("min_available_version"));
  TRY(const auto count, in.u32be("versions"));
  if (count == 0 || count > kMostKeyVersions) return Error{Code::corrupt, "versions of a transit key"};
  for (std::uint32_t i = 0; i < count; ++i) {
    TRY(auto version, decode_version(in));
    out.versions.push_back(std::move(version));
  }
  TRY_OK(in.finish("transit key"));
  return out;
}

Status check_transit_name(std::string_view name) {
  constexpr std::string_view kAllowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  if (!name.empty() && name.size() <= 128 && name.find_first_not_of(kAllowed) == std::string_view::npos) {
    return base::done();
  }
  return Error{Code::malformed, "name of a key", "1 to 128 of A-Z a-z 0-9 . _ -", std::string{name.substr(0, 64)}};
}

Result<Transit::Found> Transit::find(const state::ReadView& view, const TransitPlace& place) const {
  const Key key = record_of(place);
  TRY(auto stored, view.get(key));
  if (!stored) return Error{Code::not_found, "there is no such key"};
  TRY(const auto plain, secrets_.open_record(view, place.space.tenant, key, *stored));
  TRY(auto decoded, TransitKey::decode(place.name, plain.reveal()));
  return Found{.key = std::move(decoded), .record = *std::move(stored)};
}

Status Transit::unchanged(const state::ReadView& view, const TransitPlace& place, base::ByteView record) const {
  TRY(const auto stored, view.get(record_of(place)));
  if (stored && base::equal(*stored, record)) return base::done();
  return Error{Code::unavailable, "the key was changed at this moment; try again"};
}

Status Transit::put(state::WriteTxn& txn, const TransitPlace& place, const TransitKey& key) const {
  const Key record = record_of(place);
  TRY(const auto there, txn.get(record));
  if (!there) {
    TRY(const auto before, Namespaces::usage(txn, place.space.path));
    Usage after = before;
    ++after.secrets;
    TRY_OK(Namespaces::change_usage(txn, place.space, before, after));
  }
  auto plain = key.encode();
  const auto wiped = crypto::Secret::absorb(plain);
  return secrets_.put_record(txn, place.space.tenant, record, wiped.reveal());
}

Status Transit::erase(state::WriteTxn& txn, const TransitPlace& place) const {
  const Key record = record_of(place);
  TRY(const auto there, txn.get(record));
  if (!there) return Error{Code::not_found, "there is no such key"};
  TRY(const auto before, Namespaces::usage(txn, place.space.path));
  Usage after = before;
  --after.secrets;
  TRY_OK(Namespaces::change_usage(txn, place.space, before, after));
  return txn.erase(record);
}

Result<std::vector<std::string>> Transit::list(const state::ReadView& view, const Namespace& space, const Mount& mount,
                                               std::size_t limit) {
  const Key prefix = keys_of(space, mount);
  std::vector<std::string> out;
  TRY_OK(view.scan(prefix, {}, limit, [&](base::ByteView key, base::ByteView) {
    out.emplace_back(base::as_text(key.subspan(prefix.bytes().size())));
    return true;
  }));
  return out;
}

}  // namespace attestry::secrets
