#include "keys/share_set.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/reader.h"
#include "crypto/hash.h"
#include "state/keys.h"

namespace attestry::keys {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kMaxText = 256;
constexpr std::size_t kMaxBlob = 4096;
constexpr std::size_t kMaxShares = 255;
enum Flag : std::uint8_t { kFetched = 1, kReceived = 2, kCommitted = 4 };

Result<ShareRecord> decode_share(base::Reader& in) {
  ShareRecord out;
  TRY(const auto admin, in.lp("admin", kMaxText));
  out.admin = base::as_text(admin);
  TRY(out.fingerprint, in.take_array<32>("fingerprint"));
  TRY(const auto flags, in.u8("flags"));
  out.fetched = (flags & kFetched) != 0;
  out.received = (flags & kReceived) != 0;
  TRY(const auto commitment, in.take_array<32>("commitment"));
  if ((flags & kCommitted) != 0) out.commitment = commitment;
  TRY(const auto v1, in.lp("v1", kMaxBlob));
  TRY(const auto v2, in.lp("v2", kMaxBlob));
  out.v1 = base::to_bytes(v1);
  out.v2 = base::to_bytes(v2);
  return out;
}

Result<base::Digest32> digest_member(const base::JsonValue& object, std::string_view key) {
  TRY(const auto value, object.get(key));
  TRY(const auto text, value.string(key));
  base::Digest32 out{};
  TRY_OK(base::hex_decode_into(text, out), key);
  return out;
}

Result<bool> flag_member(const base::JsonValue& object, std::string_view key) {
  const auto value = object.find(key);
  if (!value) return false;
  return value->boolean(key);
}

Result<ShareRecord> parse_share(const base::JsonValue& value, std::size_t index) {
  ShareRecord out;
  TRY(const auto id_value, value.get("admin_id"));
  TRY(out.admin, id_value.string("admin_id"));
  if (out.admin.empty() || out.admin.size() > kMaxText)
    return Error{Code::malformed, "admin_id", "1 to 256 characters", std::to_string(out.admin.size())};
  TRY(const auto at, value.get("share_index"));
  TRY_OK(at.integer("share_index", static_cast<std::int64_t>(index), static_cast<std::int64_t>(index)));
  TRY(out.fetched, flag_member(value, "fetched"));
  TRY(out.received, flag_member(value, "received"));
  TRY(const auto commitment, value.get("commitment"));
  if (!commitment.is_null()) {
    TRY(out.commitment, digest_member(value, "commitment"));
  }
  return out;
}

}  // namespace

bool ShareSet::all_fetched() const noexcept {
  return std::ranges::all_of(shares, [](const ShareRecord& share) { return share.fetched; });
}

std::optional<unsigned> ShareSet::index_of(std::string_view admin) const noexcept {
  for (unsigned i = 0; i < shares.size(); ++i) {
    if (shares[i].admin == admin) return i;
  }
  return std::nullopt;
}

base::Digest32 key_fingerprint(const Admin& admin) {
  const auto* key = admin.ec_key();
  return key == nullptr ? base::Digest32{} : crypto::sha256(key->spki());
}

base::Digest32 admins_digest(const AdminSet& admins) {
  base::LpWriter out;
  for (const auto& admin : admins.admins()) out.lp(admin.id).raw(key_fingerprint(admin));
  return crypto::sha256(out.bytes());
}

base::Status can_hold_shares(const AdminSet& admins) {
  for (const auto& admin : admins.admins()) {
    if (admin.ec_key() == nullptr)
      return Error{Code::configuration, "the admin " + admin.id + " has a key that nothing can be encrypted to",
                   "a P-256, P-384 or P-521 key", "Ed25519"};
  }
  return base::done();
}

base::Bytes encode(const ShareSet& set) {
  auto out = state::value(kVersion);
  out.raw(set.id).u8(static_cast<std::uint8_t>(set.threshold)).u64(static_cast<std::uint64_t>(set.created.seconds));
  out.raw(set.admins).raw(set.secret_commitment).u8(static_cast<std::uint8_t>(set.shares.size()));
  for (const auto& share : set.shares) {
    out.lp(share.admin).raw(share.fingerprint);
    out.u8(static_cast<std::uint8_t>((share.fetched ? kFetched : 0) | (share.received ? kReceived : 0) |
                                     (share.commitment ? kCommitted : 0)));
    out.raw(share.commitment.value_or(base::Digest32{})).lp(share.v1).lp(share.v2);
  }
  return std::move(out).take();
}

Result<ShareSet> decode_share_set(base::ByteView stored) {
  TRY(auto in, state::open_value(stored, kVersion, "set of shares"));
  ShareSet out;
  TRY(out.id, in.take_array<16>("set id"));
  TRY(out.threshold, in.u8("threshold"));
  TRY(const auto created, in.u64be("created"));
  out.created = {static_cast<std::int64_t>(created)};
  TRY(out.admins, in.take_array<32>("admins"));
  TRY(out.secret_commitment, in.take_array<32>("secret commitment"));
  TRY(const auto count, in.u8("count"));
  for (unsigned i = 0; i < count; ++i) {
    TRY(auto share, decode_share(in), "share " + std::to_string(i));
    out.shares.push_back(std::move(share));
  }
  TRY_OK(in.finish("set of shares"));
  if (out.threshold < 2 || out.threshold > out.shares.size())
    return Error{Code::corrupt, "set of shares", "a threshold from 2 to the number of shares",
                 std::to_string(out.threshold)};
  return out;
}

std::string commitments_json(const ShareSet& set, std::string_view recovery_key_pem, const std::vector<ShareNow>& now,
                             const std::string& next) {
  JsonOutArray shares;
  for (unsigned i = 0; i < set.shares.size(); ++i) {
    const auto& share = set.shares[i];
    JsonOutObject one{{"admin_id", share.admin},
                      {"commitment", share.commitment ? JsonOut{base::hex(*share.commitment)} : JsonOut{nullptr}},
                      {"fetched", share.fetched},
                      {"received", share.received},
                      {"share_index", i}};
    if (i < now.size()) {
      if (!now[i].name.empty()) one.emplace_back("admin_name", now[i].name);
      one.emplace_back("submitted", now[i].submitted);
    }
    shares.emplace_back(std::move(one));
  }
  JsonOutObject out{{"recovery_key", recovery_key_pem},
                    {"secret_commitment", base::hex(set.secret_commitment)},
                    {"set_id", base::hex(set.id)},
                    {"shares", std::move(shares)},
                    {"threshold", set.threshold},
                    {"total_shares", static_cast<std::uint64_t>(set.shares.size())},
                    {"version", 1}};
  if (!next.empty()) out.emplace_back("next", JsonOut::Raw{next});
  return JsonOut{std::move(out)}.compact();
}

Result<ShareSet> parse_commitments(std::string_view json) {
  TRY(const auto document, base::JsonDocument::parse(std::string{json}));
  const auto root = document->root();
  TRY(const auto version, root.get("version"));
  TRY_OK(version.integer("version", 1, 1));
  ShareSet out;
  TRY(const auto id_value, root.get("set_id"));
  TRY(const auto id, id_value.string("set_id"));
  TRY_OK(base::hex_decode_into(id, out.id), "set_id");
  TRY(out.secret_commitment, digest_member(root, "secret_commitment"));
  TRY(const auto shares, root.get("shares"));
  if (!shares.is_array() || shares.size() > kMaxShares)
    return Error{Code::malformed, "shares", "a list of at most 255", std::to_string(shares.size())};
  for (auto value = shares.first(); value; value = value->next()) {
    TRY(auto share, parse_share(*value, out.shares.size()), "shares");
    if (out.index_of(share.admin))
      return Error{Code::malformed, "the commitments name the admin " + share.admin + " twice"};
    out.shares.push_back(std::move(share));
  }
  TRY(const auto threshold, root.get("threshold"));
  TRY(const auto number, threshold.integer("threshold", 2, static_cast<std::int64_t>(out.shares.size())));
  out.threshold = static_cast<unsigned>(number);
  return out;
}

base::Status bind_admins(ShareSet& set, const AdminSet& admins, base::UtcTime now) {
  for (auto& share : set.shares) {
    const Admin* admin = admins.find(share.admin);
    if (admin == nullptr) {
      return Error{Code::configuration,
                   "the commitments name the admin " + share.admin + ", who is not in the file of admins"};
    }
    share.fingerprint = key_fingerprint(*admin);
    // The one who shared is gone: there is nothing to fetch here.
    share.fetched = share.received = true;
  }
  set.created = now;
  set.admins = admins_digest(admins);
  return base::done();
}

}  // namespace attestry::keys
