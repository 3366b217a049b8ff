#include "secrets/keystore_backup.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "curves/ecies.h"
#include "curves/shamir.h"
#include "keys/share_set.h"
#include "secrets/keystore_bundle.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;
using base::Status;

namespace {

constexpr std::string_view kFormat = "attestry-keystore-backup/1";
constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kMaxShares = 255;

std::string share_context(const KeystoreBackup& backup, std::string_view admin) {
  base::LpWriter out;
  out.lp("attestry/keystore-backup-share/1").lp(backup.set_id).lp(admin);
  return std::string{base::as_text(out.bytes())};
}

crypto::Secret sealing_key(const crypto::Secret& secret, const KeystoreBackup& backup) {
  base::LpWriter info;
  info.lp("attestry/keystore-backup/1").lp(backup.set_id);
  return crypto::hkdf_sha256({}, secret.reveal(), info.bytes(), 32);
}

JsonOutObject header(const KeystoreBackup& backup) {
  JsonOutArray shares;
  for (const auto& share : backup.shares) {
    shares.emplace_back(JsonOutObject{
        {"admin", share.admin}, {"commitment", base::hex(share.commitment)}, {"sealed", base::base64(share.sealed)}});
  }
  JsonOutArray key_ids;
  for (const auto& id : backup.key_ids) key_ids.emplace_back(id);
  return {{"format", kFormat},
          {"realm", backup.realm},
          {"origin", backup.origin},
          {"created", base::to_rfc3339(backup.created)},
          {"set_id", base::hex(backup.set_id)},
          {"threshold", backup.threshold},
          {"secret_commitment", base::hex(backup.secret_commitment)},
          {"oldest_epoch", backup.oldest},
          {"key_ids", std::move(key_ids)},
          {"shares", std::move(shares)}};
}

std::string aad_of(const KeystoreBackup& backup) { return JsonOut{header(backup)}.canonical(); }

Result<std::string> text(const base::JsonValue& object, std::string_view name) {
  TRY(const auto value, object.get(name));
  return value.string(name);
}

Result<base::Bytes> blob(const base::JsonValue& object, std::string_view name) {
  TRY(const auto written, text(object, name));
  TRY(auto out, base::base64_decode(written), name);
  return out;
}

Status digest(const base::JsonValue& object, std::string_view name, std::span<std::uint8_t> into) {
  TRY(const auto written, text(object, name));
  TRY_OK(base::hex_decode_into(written, into), name);
  return base::done();
}

Result<KeystoreBackup::Share> parse_share(const base::JsonValue& value) {
  TRY_OK(value.only({"admin", "commitment", "sealed"}));
  KeystoreBackup::Share out;
  TRY(out.admin, text(value, "admin"));
  TRY_OK(digest(value, "commitment", out.commitment));
  TRY(out.sealed, blob(value, "sealed"));
  return out;
}

Status parse_lists(const base::JsonValue& root, KeystoreBackup& out) {
  TRY(const auto shares, root.get("shares"));
  if (!shares.is_array() || shares.size() > kMaxShares)
    return Error{Code::malformed, "shares", "a list of at most 255"};
  for (auto value = shares.first(); value; value = value->next()) {
    TRY(auto share, parse_share(*value), "shares");
    const bool twice = std::any_of(out.shares.begin(), out.shares.end(),
                                   [&](const auto& before) { return before.admin == share.admin; });
    if (twice) return Error{Code::malformed, "shares: the admin " + share.admin + " is there twice"};
    out.shares.push_back(std::move(share));
  }
  TRY(const auto ids, root.get("key_ids"));
  if (!ids.is_array()) return Error{Code::malformed, "key_ids", "a list"};
  for (auto value = ids.first(); value; value = value->next()) {
    TRY(auto id, value->string("key_ids"));
    out.key_ids.push_back(std::move(id));
  }
  return base::done();
}

}  // namespace

Result<KeystoreBackup> make_backup(const KeystoreBundle& bundle, const BackupAbout& about, const keys::AdminSet& admins,
                                   unsigned threshold, crypto::Random& random) {
  TRY_OK(keys::can_hold_shares(admins));
  const auto number = static_cast<unsigned>(admins.admins().size());
  if (threshold < 2 || threshold > number) {
    return Error{Code::usage, "how many administrators open the backup", "2 to " + std::to_string(number),
                 std::to_string(threshold)};
  }
  KeystoreBackup out;
  out.realm = about.realm;
  out.origin = about.origin;
  out.created = about.now;
  out.set_id = random.bytes<16>();
  out.threshold = threshold;
  out.key_ids = about.key_ids;
  out.oldest = bundle.oldest;
  const auto secret = random.secret(32);
  out.secret_commitment = curves::secret_commitment(out.set_id, secret);
  TRY(const auto shares, curves::shamir_split(secret, threshold, number, random));
  for (unsigned i = 0; i < number; ++i) {
    const auto& admin = admins.admins()[i];
    TRY(auto sealed, curves::ecies_v2_seal(*admin.ec_key(), share_context(out, admin.id), shares[i].reveal(), random),
        "share of " + admin.id);
    out.shares.push_back({admin.id, curves::share_commitment(out.set_id, shares[i]), std::move(sealed)});
  }
  const auto nonce = random.bytes<kNonceBytes>();
  const auto plain = encode_bundle(bundle);
  const std::string aad = aad_of(out);
  TRY(const auto sealed,
      crypto::aes256gcm_seal(sealing_key(secret, out).reveal(), nonce, plain.reveal(), base::as_bytes(aad)));
  out.sealed = base::to_bytes(nonce);
  base::append(out.sealed, sealed);
  return out;
}

std::string backup_json(const KeystoreBackup& backup) {
  auto out = header(backup);
  out.emplace_back("masters", base::base64(backup.sealed));
  return JsonOut{std::move(out)}.pretty() + "\n";
}

Result<KeystoreBackup> parse_backup(std::string_view json) {
  TRY(const auto document, base::JsonDocument::parse(std::string{json}), "backup of a keystore");
  const auto root = document->root();
  TRY_OK(root.only({"format", "realm", "origin", "created", "set_id", "threshold", "secret_commitment", "oldest_epoch",
                    "key_ids", "shares", "masters"}));
  TRY(const auto format, text(root, "format"));
  if (format != kFormat) return Error{Code::malformed, "backup of a keystore: format", std::string{kFormat}, format};
  KeystoreBackup out;
  TRY(out.realm, text(root, "realm"));
  TRY(out.origin, text(root, "origin"));
  TRY(const auto created, text(root, "created"));
  TRY(out.created, base::parse_rfc3339(created), "created");
  TRY_OK(digest(root, "set_id", out.set_id));
  TRY_OK(digest(root, "secret_commitment", out.secret_commitment));
  TRY(const auto oldest, root.get("oldest_epoch"));
  TRY(const auto epoch, oldest.integer("oldest_epoch", 1, UINT32_MAX));
  out.oldest = static_cast<std::uint32_t>(epoch);
  TRY_OK(parse_lists(root, out));
  TRY(const auto threshold, root.get("threshold"));
  TRY(const auto number, threshold.integer("threshold", 2, static_cast<std::int64_t>(out.shares.size())));
  out.threshold = static_cast<unsigned>(number);
  TRY(out.sealed, blob(root, "masters"));
  return out;
}

Result<crypto::Secret> open_backup_share(const KeystoreBackup& backup, std::string_view admin,
                                         const crypto::EcPrivateKey& key) {
  const auto share =
      std::find_if(backup.shares.begin(), backup.shares.end(), [&](const auto& one) { return one.admin == admin; });
  if (share == backup.shares.end()) {
    std::string known;
    for (const auto& one : backup.shares) known += (known.empty() ? "" : ", ") + one.admin;
    return Error{Code::not_found, "the backup has no share of this administrator", known, std::string{admin}};
  }
  auto out = curves::ecies_v2_open(key, share_context(backup, admin), share->sealed);
  if (!out) return Error{Code::wrong_key, "this key does not open the share of " + share->admin};
  if (curves::share_commitment(backup.set_id, *out) != share->commitment) {
    return Error{Code::corrupt, "the share of " + share->admin + " is not the one that the backup was split into"};
  }
  return out;
}

bool is_share_of(const KeystoreBackup& backup, const crypto::Secret& share) {
  const auto commitment = curves::share_commitment(backup.set_id, share);
  return std::ranges::any_of(backup.shares, [&](const auto& one) { return one.commitment == commitment; });
}

Result<KeystoreBundle> open_backup(const KeystoreBackup& backup, std::span<const crypto::Secret> shares) {
  std::vector<crypto::Secret> distinct;
  std::vector<base::Digest32> seen;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const auto commitment = curves::share_commitment(backup.set_id, shares[i]);
    if (!is_share_of(backup, shares[i])) {
      return Error{Code::wrong_key, "share " + std::to_string(i + 1) + " is none of this backup"};
    }
    if (std::find(seen.begin(), seen.end(), commitment) != seen.end()) continue;
    seen.push_back(commitment);
    distinct.push_back(shares[i].clone());
  }
  if (distinct.size() < backup.threshold) {
    return Error{Code::denied, "too few shares to open the backup", std::to_string(backup.threshold),
                 std::to_string(distinct.size()) + " different ones",
                 "Have more administrators open theirs: attestry keystore open-share. Nothing was changed."};
  }
  TRY(const auto secret, curves::shamir_combine(distinct));
  if (curves::secret_commitment(backup.set_id, secret) != backup.secret_commitment ||
      backup.sealed.size() < kNonceBytes) {
    return Error{Code::corrupt, "the backup was altered"};
  }
  const base::ByteView sealed{backup.sealed};
  const std::string aad = aad_of(backup);
  const auto plain = crypto::aes256gcm_open(sealing_key(secret, backup).reveal(), sealed.first(kNonceBytes),
                                            sealed.subspan(kNonceBytes), base::as_bytes(aad));
  if (!plain) return Error{Code::corrupt, "the backup was altered"};
  return decode_bundle(plain->reveal());
}

}  // namespace attestry::secrets
