#include "keys/admin_auth.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "crypto/hash.h"
#include "crypto/key_pem.h"

namespace attestry::keys {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMaxAdmins = 255;  // as many as there are shares of one split
constexpr std::size_t kNonceBytes = 16;
constexpr std::size_t kMaxId = 128;
constexpr std::size_t kMaxName = 64;

/// SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING } (RFC 8410 4).
constexpr std::array<std::uint8_t, 12> kEd25519Prefix = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                                         0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

Error malformed(std::string what, std::string expected = {}) {
  return Error{.code = Code::malformed, .what = std::move(what), .expected = std::move(expected)};
}

/// One text for whatever is wrong: who asks learns nothing about which administrators there are.
Error unauthorized() { return Error{.code = Code::unauthenticated, .what = "not an administrator's request"}; }

Result<std::variant<crypto::EcPublicKey, Ed25519PublicKey>> key_from_pem(std::string_view pem) {
  TRY(const base::Bytes spki, crypto::spki_from_pem(base::as_bytes(pem)));
  Ed25519PublicKey ed25519{};
  if (spki.size() == kEd25519Prefix.size() + ed25519.size() &&
      base::equal(base::ByteView(spki).first(kEd25519Prefix.size()), kEd25519Prefix)) {
    std::ranges::copy(base::ByteView(spki).last(ed25519.size()), ed25519.begin());
    return std::variant<crypto::EcPublicKey, Ed25519PublicKey>(ed25519);
  }
  TRY(auto key, crypto::EcPublicKey::from_spki(spki));
  return std::variant<crypto::EcPublicKey, Ed25519PublicKey>(std::move(key));
}

/// It is printed at terminals and in logs.
bool is_name(std::string_view text) {
  return text.size() <= kMaxName && std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

bool same_key(const Admin& a, const Admin& b) {
  if (a.key.index() != b.key.index()) return false;
  if (const auto* ec = a.ec_key()) return ec->spki() == b.ec_key()->spki();
  return std::get<Ed25519PublicKey>(a.key) == std::get<Ed25519PublicKey>(b.key);
}

bool verifies(const Admin& admin, base::ByteView message, base::ByteView signature) {
  if (const auto* ec = admin.ec_key()) return ec->verify_der(message, signature);
  return crypto::ed25519_verify(std::get<Ed25519PublicKey>(admin.key), message, signature);
}

base::Digest32 v1_digest(std::string_view path, base::ByteView body) {
  return crypto::sha256({base::as_bytes(path), body});
}

/// What a v2 signature covers: everything that decides what the request does, and when.
base::Bytes v2_message(std::string_view id, const AdminRequestParts& request, std::int64_t time, base::ByteView nonce) {
  std::string host(request.host);
  for (char& c : host) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  base::LpWriter message;
  message.lp("attestry/admin-request/2").lp(id).lp(request.method).lp(host).lp(request.server).lp(request.path);
  message.lp(crypto::sha256(request.body)).u64(static_cast<std::uint64_t>(time)).lp(nonce);
  return std::move(message).take();
}

Result<std::int64_t> seconds_from(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // One form only: no sign, no leading zero.
  if (error != std::errc{} || end != text.data() + text.size() || value <= 0 || text[0] == '0') return unauthorized();
  return value;
}

Result<AdminAccess> verify_v1(const Admin& admin, const AdminHeaders& headers, const AdminRequestParts& request) {
  const auto* key = admin.ec_key();
  const auto signature = base::base64_decode(headers.signature);
  const base::Digest32 digest = v1_digest(request.path, request.body);
  if (key == nullptr || !signature || !key->verify_digest_der(digest, *signature)) return unauthorized();
  base::LpWriter replay;
  replay.lp("attestry/admin-replay/1").lp(admin.id).lp(digest);
  return AdminAccess{.who = &admin,
                     .version = 1,
                     .replay_key = crypto::sha256(replay.bytes()),
                     .forget_after = {std::numeric_limits<std::int64_t>::max()}};
}

Result<AdminAccess> verify_v2(const Admin& admin, const AdminHeaders& headers, const AdminRequestParts& request,
                              base::UtcTime now) {
  TRY(const std::int64_t time, seconds_from(headers.time));
  const auto nonce = base::base64url_decode(headers.nonce);
  const auto signature = base::base64url_decode(headers.signature_v2);
  if (!nonce || nonce->size() != kNonceBytes || !signature) return unauthorized();
  if (time < now.seconds - kAdminClockSeconds || time > now.seconds + kAdminClockSeconds) return unauthorized();
  if (!verifies(admin, v2_message(admin.id, request, time, *nonce), *signature)) return unauthorized();
  base::LpWriter replay;
  replay.lp("attestry/admin-replay/2").lp(admin.id).lp(*nonce);
  return AdminAccess{.who = &admin,
                     .version = 2,
                     .replay_key = crypto::sha256(replay.bytes()),
                     .forget_after = base::UtcTime{time} + kAdminClockSeconds};
}

}  // namespace

std::string Admin::fingerprint() const { return base::hex(crypto::sha256(base::as_bytes(pubkey_pem))); }

base::Digest32 server_id(const crypto::EcPublicKey& recovery_key) { return crypto::sha256(recovery_key.spki()); }

base::FixedBytes<64> recovery_key_report_data(base::ByteView set_id, const crypto::EcPublicKey& recovery_key) {
  base::LpWriter said;
  said.lp("attestry/recovery-key/1").lp(set_id).lp(recovery_key.spki());
  return crypto::sha512(said.bytes());
}

Result<AdminSet> AdminSet::make(std::vector<std::pair<std::string, std::string>> ids_and_pems,
                                std::vector<std::string> names) {
  if (ids_and_pems.empty() || ids_and_pems.size() > kMaxAdmins) return malformed("administrators", "1 to 255 of them");
  std::vector<Admin> admins;
  admins.reserve(ids_and_pems.size());
  for (auto& [id, pem] : ids_and_pems) {
    if (id.empty() || id.size() > kMaxId) return malformed("administrator's id", "1 to 128 bytes");
    std::string name = admins.size() < names.size() ? std::move(names[admins.size()]) : std::string{};
    if (!is_name(name)) return malformed("name of administrator " + id, "at most 64 printable ASCII characters");
    TRY(auto key, key_from_pem(pem), "administrator " + id);
    Admin admin{.id = std::move(id), .pubkey_pem = std::move(pem), .name = std::move(name), .key = std::move(key)};
    for (const Admin& other : admins) {
      if (other.id == admin.id) return malformed("administrator " + admin.id + " is there twice");
      if (!admin.name.empty() && other.name == admin.name)
        return malformed("two administrators have the name " + admin.name);
      if (same_key(other, admin)) return malformed("administrators " + other.id + " and " + admin.id + " share a key");
    }
    admins.push_back(std::move(admin));
  }
  return AdminSet(std::move(admins));
}

Result<AdminSet> AdminSet::parse(base::ByteView json) {
  TRY(const auto document, base::JsonDocument::parse(std::string(base::as_text(json))), "administrators");
  TRY_OK(document->root().only({"admins"}), "administrators");
  TRY(const base::JsonValue list, document->root().get("admins"), "administrators");
  if (!list.is_array()) return malformed("administrators", "an array under \"admins\"");
  std::vector<std::pair<std::string, std::string>> entries;
  std::vector<std::string> names;
  for (auto one = list.first(); one; one = one->next()) {
    TRY_OK(one->only({"id", "name", "pubkey"}), "administrator");
    TRY(const base::JsonValue id, one->get("id"), "administrator");
    TRY(const base::JsonValue pubkey, one->get("pubkey"), "administrator");
    TRY(std::string id_text, id.string("id"), "administrator");
    TRY(std::string pem, pubkey.string("pubkey"), "administrator");
    entries.emplace_back(std::move(id_text), std::move(pem));
    names.emplace_back();
    if (const auto name = one->find("name")) {
      TRY(names.back(), name->string("name"), "administrator");
    }
  }
  return make(std::move(entries), std::move(names));
}

const Admin* AdminSet::find(std::string_view id) const noexcept {
  const auto found = std::ranges::find(admins_, id, &Admin::id);
  return found == admins_.end() ? nullptr : &*found;
}

std::string AdminSet::json() const {
  base::JsonOutArray list;
  for (const Admin& admin : admins_) {
    base::JsonOutObject one{{"id", admin.id}, {"pubkey", admin.pubkey_pem}};
    if (!admin.name.empty()) one.emplace_back("name", admin.name);
    list.emplace_back(std::move(one));
  }
  return base::JsonOut(base::JsonOutObject{{"admins", std::move(list)}}).compact();
}

Result<AdminAccess> verify_admin_request(const AdminSet& admins, const AdminHeaders& headers,
                                         const AdminRequestParts& request, base::UtcTime now, AdminVersions versions) {
  const Admin* admin = admins.find(headers.id);
  if (admin == nullptr) return unauthorized();
  const bool v2 = !headers.signature_v2.empty() || !headers.time.empty() || !headers.nonce.empty();
  if (v2) return verify_v2(*admin, headers, request, now);
  if (versions == AdminVersions::v2_only) return unauthorized();
  return verify_v1(*admin, headers, request);
}

AdminHeaders sign_admin_request_v1(std::string_view id, const crypto::EcPrivateKey& key, std::string_view path,
                                   base::ByteView body) {
  AdminHeaders out;
  out.id = id;
  out.signature = base::base64(key.sign_digest_der(v1_digest(path, body)));
  return out;
}

AdminHeaders sign_admin_request_v2(std::string_view id, const AdminSigner& key, const AdminRequestParts& request,
                                   base::UtcTime now, crypto::Random& random) {
  const auto nonce = random.bytes<kNonceBytes>();
  const base::Bytes message = v2_message(id, request, now.seconds, nonce);
  AdminHeaders out;
  out.id = id;
  out.time = std::to_string(now.seconds);
  out.nonce = base::base64url(nonce);
  if (const auto* ec = std::get_if<const crypto::EcPrivateKey*>(&key)) {
    out.signature_v2 = base::base64url((*ec)->sign_der(message));
  } else {
    out.signature_v2 = base::base64url(std::get<const crypto::Ed25519PrivateKey*>(key)->sign(message));
  }
  return out;
}

std::optional<ShareDigest> verify_share_signature(const Admin& admin, base::ByteView share, base::ByteView signature) {
  if (share.empty()) return std::nullopt;
  if (const auto* ec = admin.ec_key()) {
    if (ec->verify_digest_der(crypto::sha256(share), signature)) return ShareDigest::sha256;
    if (ec->verify_digest_der(share, signature)) return ShareDigest::raw;
    return std::nullopt;
  }
  if (verifies(admin, share, signature)) return ShareDigest::message;
  return std::nullopt;
}

base::Bytes sign_share(const crypto::EcPrivateKey& key, base::ByteView share, ShareDigest digest) {
  if (digest == ShareDigest::raw) return key.sign_digest_der(share);
  return key.sign_digest_der(crypto::sha256(share));
}

}  // namespace attestry::keys
