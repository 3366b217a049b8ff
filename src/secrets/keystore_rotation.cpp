#include "secrets/keystore_rotation.h"

#include <tuple>

#include "base/encoding.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "state/keys.h"
#include "state/scan.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using state::Key;
using state::Space;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kWalkVersion = 2;
constexpr std::size_t kMaxName = 4096;
constexpr std::size_t kMaxOwner = 256;
constexpr std::size_t kMaxOwners = 100'000;
constexpr std::size_t kMaxState = 256;
constexpr std::size_t kMaxResults = 10'000'000;
constexpr std::string_view kWalk = "walk of a keystore";

Key walk_key() { return Key(Space::keystore_state, KeystoreRecords::tenant()).lp("rotation"); }
Key result_prefix() { return Key(Space::keystore_state, KeystoreRecords::tenant()).lp("recrypted"); }
Key result_key(const ListedSecret& secret) {
  return result_prefix().lp(secret.owner).lp(secret.accessor).lp(secret.profile);
}

/// `key` is the whole of a result's.
Result<Recrypted> decode_result(base::ByteView key, base::ByteView value) {
  Recrypted out;
  base::Reader names{key.subspan(result_prefix().bytes().size())};
  TRY(const auto owner, names.lp("owner", kMaxName));
  TRY(const auto accessor, names.lp("accessor", kMaxName));
  TRY(const auto profile, names.lp("profile", kMaxName));
  out.owner = base::as_text(owner);
  out.accessor = base::as_text(accessor);
  out.profile = base::as_text(profile);
  TRY(auto in, state::open_value(value, kVersion, kWalk));
  TRY(out.epoch, in.u32be("epoch"));
  TRY(const auto blob, in.lp("blob", keystore::kMaxBlobBytes));
  out.blob = base::to_bytes(blob);
  TRY_OK(in.finish(kWalk));
  return out;
}

Result<base::Bytes> recrypt_v3(const KeystoreMasters& masters, const ListedSecret& secret, const crypto::Secret& to,
                               std::uint32_t current, const keystore::BlobV3Header& header, crypto::Random& random) {
  TRY(const auto from, masters.master(secret.vault, header.epoch));
  TRY(const auto plain,
      keystore::blob_v3_open(keystore::sealing_key_v3(*from, *secret.seed), *secret.seed, secret.blob));
  return keystore::blob_v3_seal(keystore::sealing_key_v3(to, *secret.seed).public_key, *secret.seed, current,
                                header.version, plain.reveal(), random);
}

}  // namespace

Result<std::optional<base::Bytes>> recrypt(const KeystoreMasters& masters, const ListedSecret& secret,
                                           const keystore::BrokenCiphers& allowed, crypto::Random& random) {
  using Out = std::optional<base::Bytes>;
  if (!secret.seed) return Error{Code::malformed, "a secret without a seed"};
  const auto& seed = *secret.seed;
  const std::uint32_t current = masters.current_epoch();
  TRY(const auto to, masters.master(secret.vault, current));
  if (keystore::is_blob_v3(secret.blob)) {
    TRY(const auto header, keystore::read_blob_v3_header(secret.blob));
    if (header.epoch == current) return Out{};
    TRY(auto anew, recrypt_v3(masters, secret, *to, current, header, random));
    return Out{std::move(anew)};
  }
  // ECIES v1 does not say its epoch; that it opens does.
  keystore::SealingKeyCache cache(1);
  Error last{Code::crypto, "no epoch of this keystore opens it"};
  for (std::uint32_t epoch = current; epoch >= masters.oldest_epoch() && epoch > 0; --epoch) {
    TRY(const auto from, masters.master(secret.vault, epoch));
    cache.clear();
    const auto opened =
        keystore::open_blob({.scope = "recrypt", .master = *from, .epoch = epoch}, seed, secret.blob, allowed, cache);
    if (!opened) {
      last = opened.error();
      continue;
    }
    if (epoch == current && !opened->legacy) return Out{};
    TRY(auto anew,
        keystore::ecies_v1_seal(keystore::ecies_key(*to, seed).public_key, opened->plaintext.reveal(), random));
    return Out{std::move(anew)};
  }
  return last;
}

bool is_recrypted(base::ByteView key) {
  const auto prefix = result_prefix().bytes();
  return key.size() >= prefix.size() && base::equal(key.first(prefix.size()), prefix);
}

Status KeystoreRotation::keep(state::WriteTxn& txn, const KeystoreWalk& walk) const {
  auto value = state::value(kWalkVersion);
  value.u32(walk.epoch).u8(walk.finished ? 1 : 0).u64(walk.walked).u64(walk.current).u64(walk.anew).u64(walk.failed);
  value.u64(walk.owner).u64(walk.from);
  for (const auto number : walk.before) value.u64(number);
  value.lp(walk.state).u64(static_cast<std::uint64_t>(walk.since.seconds));
  value.u32(static_cast<std::uint32_t>(walk.owners.size()));
  for (const auto& owner : walk.owners) value.lp(owner);
  return txn.put(walk_key(), value.bytes());
}

Result<KeystoreWalk> KeystoreRotation::read(const state::ReadView& view) const {
  KeystoreWalk out;
  TRY(const auto stored, view.get(walk_key()));
  if (!stored) {
    out.finished = true;
    return out;
  }
  TRY(auto in, state::open_value(*stored, kWalkVersion, kWalk));
  TRY(out.epoch, in.u32be("epoch"));
  TRY(const auto finished, in.u8("finished"));
  out.finished = finished == 1;
  for (auto* number : {&out.walked, &out.current, &out.anew, &out.failed, &out.owner, &out.from}) {
    TRY(*number, in.u64be("number"));
  }
  for (auto& number : out.before) {
    TRY(number, in.u64be("number"));
  }
  TRY(const auto state, in.lp("state", kMaxState));
  out.state = base::to_bytes(state);
  TRY(const auto since, in.u64be("since"));
  out.since = {static_cast<std::int64_t>(since)};
  TRY(const auto owners, in.u32be("owners"));
  for (std::uint32_t i = 0; i < owners; ++i) {
    TRY(const auto owner, in.lp("owner", kMaxName));
    out.owners.emplace_back(base::as_text(owner));
  }
  TRY_OK(in.finish(kWalk));
  return out;
}

Status KeystoreRotation::leaf(state::WriteTxn& txn, std::string_view type, const KeystoreWalk& walk) const {
  audit::Leaf leaf;
  leaf.type = type;
  leaf.realm = parts_.store.realm();
  leaf.audience = parts_.log.origin();
  leaf.time = parts_.store.now();
  leaf.epoch = walk.epoch;
  // What is public there: which block of the chain the secrets were read at.
  if (!walk.state.empty()) leaf.outputs["state"] = base::hex(crypto::sha256(walk.state));
  TRY([[maybe_unused]] const auto index, parts_.log.append(txn, leaf));
  return base::done();
}

Result<std::uint32_t> KeystoreRotation::rotate(std::vector<std::string> owners, base::Deadline deadline) {
  TRY(const auto epoch, parts_.masters.begin_epoch(deadline));
  if (!owners.empty()) TRY_OK(walk(std::move(owners), deadline));
  return epoch;
}

Status KeystoreRotation::walk(std::vector<std::string> owners, base::Deadline deadline) {
  if (owners.empty() || owners.size() > kMaxOwners) {
    return Error{Code::usage, "whose secrets are looked at", "at least one owner", std::to_string(owners.size())};
  }
  for (const auto& owner : owners) {
    if (owner.empty() || owner.size() > kMaxOwner) {
      return Error{Code::usage, "name of an owner", "1 to " + std::to_string(kMaxOwner) + " bytes",
                   std::to_string(owner.size())};
    }
  }
  TRY_OK(parts_.masters.ready());
  const base::MutexLock lock(stepping_);
  KeystoreWalk next;
  next.epoch = parts_.masters.current_epoch();
  next.owners = std::move(owners);
  next.since = parts_.store.now();
  return begin(std::move(next), deadline);
}

Status KeystoreRotation::walk_again(base::Deadline deadline) {
  const base::MutexLock lock(stepping_);
  TRY(const auto now, progress());
  if (now.epoch == 0 || (now.finished && now.anew == 0 && now.failed == 0)) return base::done();
  return begin({.epoch = now.epoch, .owners = now.owners, .since = now.since}, deadline);
}

Status KeystoreRotation::begin(KeystoreWalk next, base::Deadline deadline) {
  return parts_.store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        std::vector<base::Bytes> before;
        TRY_OK(state::scan_each(txn, result_prefix(), kMaxResults, [&](base::ByteView key, base::ByteView) -> Status {
          before.push_back(base::to_bytes(key));
          return base::done();
        }));
        for (const auto& key : before) TRY_OK(txn.erase(key));
        TRY_OK(leaf(txn, "keystore.walk", next));
        return keep(txn, next);
      },
      deadline);
}

Result<std::vector<std::pair<base::Bytes, base::Bytes>>> KeystoreRotation::look_at(
    const std::vector<ListedSecret>& page, KeystoreWalk& walk, base::Deadline deadline) const {
  std::vector<std::pair<base::Bytes, base::Bytes>> anew;
  for (const auto& secret : page) {
    ++walk.walked;
    const auto gate = secret.vault.empty() || !parts_.gate ? base::done() : parts_.gate(secret.vault, deadline);
    // Only the chain's no says something about the secret; whatever else went wrong, it is looked at again.
    if (!gate && gate.error().code != Code::denied) return gate.error();
    auto blob = gate ? recrypt(parts_.masters, secret, parts_.allowed, parts_.random)
                     : Result<std::optional<base::Bytes>>{gate.error()};
    if (!blob && blob.error().code == Code::unavailable) return blob.error();
    if (!blob) {
      ++walk.failed;
      base::log(base::LogLevel::warning, "a secret cannot be encrypted anew",
                {{"owner", secret.owner}, {"profile", secret.profile}, {"reason", blob.error().text()}});
    } else if (!*blob) {
      ++walk.current;
      continue;
    } else {
      ++walk.anew;
    }
    auto value = state::value(kVersion);
    value.u32(walk.epoch).lp(blob ? base::ByteView{**blob} : base::ByteView{});
    anew.emplace_back(result_key(secret).bytes(), value.bytes());
  }
  return anew;
}

Result<bool> KeystoreRotation::step(base::Deadline deadline) {
  const base::MutexLock lock(stepping_);
  TRY(auto walk, progress());
  if (walk.finished) return true;
  TRY_OK(parts_.masters.ready());
  if (walk.epoch != parts_.masters.current_epoch()) {
    // Another rotation came between: what was looked at so far is old again.
    walk = {.epoch = parts_.masters.current_epoch(), .owners = std::move(walk.owners), .since = walk.since};
  }
  auto page = parts_.lister.list(walk.owners[walk.owner], walk.from, kPage, walk.state);
  if (!page && page.error().code == Code::not_found && !walk.state.empty()) {
    // The owner's first pages were of a state that is gone: from his first one again.
    walk.from = 0;
    walk.state.clear();
    std::tie(walk.walked, walk.current, walk.anew, walk.failed) =
        std::tie(walk.before[0], walk.before[1], walk.before[2], walk.before[3]);
    page = parts_.lister.list(walk.owners[walk.owner], 0, kPage, {});
  }
  if (!page) return page.error().at("secrets of " + walk.owners[walk.owner]);
  walk.state = page->state;
  TRY(const auto anew, look_at(page->secrets, walk, deadline));
  walk.from += page->secrets.size();
  const bool last = page->secrets.size() < kPage;
  walk.finished = last && walk.owner + 1 >= walk.owners.size();
  const auto listed = walk;
  if (last) {
    ++walk.owner;
    walk.from = 0;
    walk.state.clear();
    walk.before = {walk.walked, walk.current, walk.anew, walk.failed};
  }
  TRY_OK(parts_.store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        for (const auto& [key, value] : anew) TRY_OK(txn.put(key, value));
        if (!anew.empty() || walk.finished) {
          TRY_OK(leaf(txn, walk.finished ? "keystore.walked" : "keystore.recrypt", listed));
        }
        return keep(txn, walk);
      },
      deadline));
  return walk.finished;
}

Result<KeystoreWalk> KeystoreRotation::progress() const {
  TRY(const auto view, parts_.store.read());
  return read(*view);
}

Result<KeystoreRotation::Results> KeystoreRotation::results(base::ByteView after, std::size_t most) const {
  TRY(const auto view, parts_.store.read());
  Results out;
  std::optional<Error> failure;
  base::Bytes last;
  TRY_OK(view->scan(result_prefix(), after, most + 2, [&](base::ByteView key, base::ByteView value) {
    if (base::equal(key, after)) return true;
    if (out.entries.size() == most) {
      out.next = last;
      return false;
    }
    auto entry = decode_result(key, value);
    if (!entry) {
      failure = std::move(entry).error();
      return false;
    }
    last = base::to_bytes(key);
    out.entries.push_back(*std::move(entry));
    return true;
  }));
  if (failure) return *std::move(failure);
  return out;
}

Status KeystoreRotation::retire(bool accept_loss, base::Deadline deadline) {
  const std::uint32_t current = parts_.masters.current_epoch();
  return parts_.masters.retire_before(
      current,
      [this, accept_loss, current](const state::ReadView& view) -> Status {
        if (accept_loss) return base::done();
        TRY(const auto walk, read(view));
        if (walk.epoch == current && walk.finished && walk.anew == 0 && walk.failed == 0) return base::done();
        const std::string found = walk.epoch != current ? "no walk since the last rotation"
                                  : !walk.finished
                                      ? "a walk that is not done"
                                      : std::to_string(walk.anew) + " of older epochs and " +
                                            std::to_string(walk.failed) + " that could not be encrypted anew";
        return Error{Code::conflict, "older epochs may still be needed",
                     "a walk over all owners that finds nothing of older epochs", found,
                     "Write what `attestry keystore rotate --out` gives to where it is kept, walk again, then retire."};
      },
      deadline);
}

}  // namespace attestry::secrets
