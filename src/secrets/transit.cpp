#include "secrets/transit.h"

#include "base/encoding.h"
#include "base/log.h"
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

constexpr std::uint8_t kKeyVersion = 2;  // 1 had no public keys
constexpr std::uint8_t kBackupVersion = 1;
constexpr std::uint8_t kCountVersion = 1;
constexpr std::size_t kMaxMaterial = 4096;
constexpr std::size_t kMaxRecord = 1u << 20;

constexpr std::pair<TransitType, std::string_view> kTypes[] = {{TransitType::aes256_gcm96, "aes256-gcm96"},
                                                               {TransitType::chacha20_poly1305, "chacha20-poly1305"},
                                                               {TransitType::ed25519, "ed25519"},
                                                               {TransitType::ecdsa_p256, "ecdsa-p256"},
                                                               {TransitType::ecdsa_p384, "ecdsa-p384"},
                                                               {TransitType::ecdsa_p521, "ecdsa-p521"},
                                                               {TransitType::hmac, "hmac"},
                                                               {TransitType::aes128_gcm96, "aes128-gcm96"},
                                                               {TransitType::rsa_2048, "rsa-2048"},
                                                               {TransitType::rsa_3072, "rsa-3072"},
                                                               {TransitType::rsa_4096, "rsa-4096"}};

Key keys_of(const Namespace& space, const Mount& mount) {
  return Key(Space::transit_keys, space.tenant).lp(space.path).lp(mount.path);
}
/// What backups are bound to: no record has that key.
Key backup_of(const Namespace& space) { return Key(Space::transit_keys, space.tenant).lp("/backup"); }
/// How many messages the versions of a key have encrypted, one record for each.
Key counts_of(const TransitPlace& place) {
  return Key(Space::kv_namespaces).lp("messages").lp(place.space.path).lp(place.mount.path).lp(place.name);
}

struct Counted {
  std::int64_t created = 0;
  std::uint64_t messages = 0;
};

Result<Counted> read_count(const state::ReadView& view, base::ByteView key) {
  TRY(const auto stored, view.get(key));
  if (!stored) return Counted{};
  TRY(auto in, state::open_value(*stored, kCountVersion, "count of messages"));
  TRY(const auto created, in.u64be("created"));
  TRY(const auto messages, in.u64be("messages"));
  TRY_OK(in.finish("count of messages"));
  return Counted{static_cast<std::int64_t>(created), messages};
}

Key record_of(const TransitPlace& place) { return keys_of(place.space, place.mount).raw(base::as_bytes(place.name)); }

Result<TransitKey::Version> decode_version(base::Reader& in, bool first) {
  TransitKey::Version out;
  TRY(out.number, in.u32be("version"));
  TRY(const auto created, in.u64be("created"));
  out.created = {static_cast<std::int64_t>(created)};
  TRY(const auto key, in.lp("key", kMaxMaterial));
  TRY(const auto hmac, in.lp("hmac key", kMaxMaterial));
  out.key = crypto::Secret::copy_of(key);
  out.hmac = crypto::Secret::copy_of(hmac);
  if (!first) {
    TRY(const auto text, in.lp("public key", kMaxMaterial));
    out.public_text = base::as_text(text);
  }
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
               "aes128-gcm96, aes256-gcm96, chacha20-poly1305, ed25519, ecdsa-p256, ecdsa-p384, ecdsa-p521, rsa-2048, "
               "rsa-3072, rsa-4096 or hmac",
               std::string{text.substr(0, 32)}};
}

bool is_symmetric(TransitType type) noexcept {
  return type == TransitType::aes128_gcm96 || type == TransitType::aes256_gcm96 ||
         type == TransitType::chacha20_poly1305;
}
bool encrypts(TransitType type) noexcept { return is_symmetric(type) || rsa_bits(type) != 0; }
bool signs(TransitType type) noexcept { return !is_symmetric(type) && type != TransitType::hmac; }

unsigned rsa_bits(TransitType type) noexcept {
  if (type == TransitType::rsa_2048) return 2048;
  if (type == TransitType::rsa_3072) return 3072;
  return type == TransitType::rsa_4096 ? 4096 : 0;
}

std::size_t cost_of(TransitType type) noexcept {
  switch (type) {
    case TransitType::aes128_gcm96:
    case TransitType::aes256_gcm96:
    case TransitType::chacha20_poly1305:
    case TransitType::hmac:
    case TransitType::ed25519:
    case TransitType::ecdsa_p256:
      return 1;
    case TransitType::ecdsa_p384:
    case TransitType::ecdsa_p521:
      return 8;
    case TransitType::rsa_2048:
      return 16;
    case TransitType::rsa_3072:
      return 48;
    case TransitType::rsa_4096:
      return 100;
  }
  return 1;
}

base::Bytes TransitKey::encode() const {
  auto out = state::value(kKeyVersion);
  const unsigned flags = (derived ? 1u : 0u) | (convergent ? 2u : 0u) | (exportable ? 4u : 0u) |
                         (deletion_allowed ? 8u : 0u) | (backup_allowed ? 16u : 0u);
  out.u8(static_cast<std::uint8_t>(type)).u8(static_cast<std::uint8_t>(flags));
  out.u32(min_decryption).u32(min_encryption).u32(min_available).u32(static_cast<std::uint32_t>(versions.size()));
  for (const Version& version : versions) {
    out.u32(version.number).u64(static_cast<std::uint64_t>(version.created.seconds));
    out.lp(version.key.reveal()).lp(version.hmac.reveal()).lp(version.public_text);
  }
  return std::move(out).take();
}

Result<TransitKey> TransitKey::decode(std::string_view name, base::ByteView stored) {
  const bool first = !stored.empty() && stored[0] == 1;
  TRY(auto in, state::open_value(stored, first ? 1 : kKeyVersion, "transit key"));
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
  out.backup_allowed = (flags & 16) != 0;
  TRY(out.min_decryption, in.u32be("min_decryption_version"));
  TRY(out.min_encryption, in.u32be("min_encryption_version"));
  TRY(out.min_available, in.u32be("min_available_version"));
  TRY(const auto count, in.u32be("versions"));
  if (count == 0 || count > kMostKeyVersions) return Error{Code::corrupt, "versions of a transit key"};
  for (std::uint32_t i = 0; i < count; ++i) {
    TRY(auto version, decode_version(in, first));
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

Result<bool> Transit::has(const state::ReadView& view, const TransitPlace& place) const {
  TRY(const auto stored, view.get(record_of(place)));
  return stored.has_value();
}

Result<base::Bytes> Transit::seal_backup(const state::ReadView& view, const Namespace& space,
                                         const TransitKey& key) const {
  auto record = key.encode();
  const auto wiped = crypto::Secret::absorb(record);
  auto plain = std::move(state::value(kBackupVersion).lp(key.name).lp(wiped.reveal())).take();
  const auto whole = crypto::Secret::absorb(plain);
  return secrets_.seal_record(view, space.tenant, backup_of(space), whole.reveal());
}

Result<TransitKey> Transit::open_backup(const state::ReadView& view, const Namespace& space,
                                        base::ByteView sealed) const {
  const auto plain = secrets_.open_record(view, space.tenant, backup_of(space), sealed);
  if (!plain && plain.error().code != Code::corrupt) return plain.error();
  const Error bad{Code::malformed, "the backup does not open", "one of this server and of this namespace's tenant"};
  if (!plain) return bad;
  TRY(auto in, state::open_value(plain->reveal(), kBackupVersion, "backup of a transit key"));
  TRY(const auto name, in.lp("name", kMaxMaterial));
  TRY(const auto record, in.lp("key", kMaxRecord));
  TRY_OK(in.finish("backup of a transit key"));
  TRY_OK(check_transit_name(base::as_text(name)));
  return TransitKey::decode(base::as_text(name), record);
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
  if (wiped.size() > kMaxRecord) {
    return Error{Code::too_large,
                 "the key has too many versions",
                 "at most 1 MiB of them",
                 {},
                 "Trim versions that are no longer used."};
  }
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
  std::vector<base::Bytes> counts;
  TRY_OK(txn.scan(counts_of(place), {}, kMostKeyVersions, [&](base::ByteView key, base::ByteView) {
    counts.push_back(base::to_bytes(key));
    return true;
  }));
  for (const auto& key : counts) TRY_OK(txn.erase(key));
  return txn.erase(record);
}

Status Transit::count(const TransitPlace& place, const TransitKey& key, std::uint32_t version,
                      std::uint64_t messages) const {
  const auto* used = key.find(version == 0 ? key.latest() : version);
  // Derived keys are many, and a convergent nonce is none by chance.
  if (!is_symmetric(key.type) || key.derived || used == nullptr) return base::done();
  const auto created = used->created.seconds;
  const auto record = counts_of(place).u64(used->number).bytes();
  std::uint64_t add = 0;
  std::uint64_t total = 0;
  {
    const base::MutexLock lock(mutex_);
    auto found = counts_.find(record);
    if (found == counts_.end() || found->second.created != created) {
      TRY(const auto view, store_.read());
      TRY(const auto there, read_count(*view, record));
      const Count fresh{.created = created, .stored = there.created == created ? there.messages : 0};
      found = counts_.insert_or_assign(record, fresh).first;
    }
    Count& count = found->second;
    if (count.stored + count.since + messages > kMostMessages) {
      return Error{Code::too_large, "the version of the key has encrypted as many messages as one key may",
                   "at most 2^32 messages", std::to_string(count.stored + count.since),
                   "Rotate the key: transit/keys/NAME/rotate."};
    }
    count.since += messages;
    if (count.since >= kCountedAtOnce) add = std::exchange(count.since, 0);
    count.stored += add;
    total = count.stored;
  }
  if (add == 0) return base::done();
  if (total >= kMostMessages / 2) {
    base::log(base::LogLevel::warning, "a transit key has encrypted half as many messages as it may: rotate it",
              {{"key", std::string{place.name}}, {"version", std::to_string(used->number)}});
  }
  store_.write(
      [record, created, add](state::WriteTxn& txn) -> Status {
        TRY(const auto there, read_count(txn, record));
        const auto before = there.created == created ? there.messages : 0;
        return txn.put(record,
                       state::value(kCountVersion).u64(static_cast<std::uint64_t>(created)).u64(before + add).bytes());
      },
      [](const Status& done) {
        if (!done)
          base::log(base::LogLevel::warning, "messages of a transit key are not counted",
                    {{"reason", done.error().text()}});
      });
  return base::done();
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
