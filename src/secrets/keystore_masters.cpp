#include "secrets/keystore_masters.h"

#include <algorithm>

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
/// Of a head that names the wallets' epoch: a server that knows nothing of it must not drop their master.
constexpr std::uint8_t kHeadWithWallets = 2;
constexpr std::size_t kMaxName = 256;
constexpr std::size_t kMaxReason = 1024;
constexpr std::size_t kMaxSealed = 4096;
constexpr std::size_t kMaxVaults = 100'000;
constexpr std::size_t kMaxRecords = 1'000'000;
/// Device keys that are remembered: what is in use, and what the last changes wrote.
constexpr std::size_t kMostDeviceKeys = 4;
/// Masters of vaults that can be derived again are dropped beyond this.
constexpr std::size_t kMaxDerived = 16'384;
constexpr std::size_t kDeviceKeyBytes = 32;

Key head_key() { return Key(Space::keystore_masters, KeystoreRecords::tenant()).lp("head"); }
Key device_record_key() { return Key(Space::keystore_masters, KeystoreRecords::tenant()).lp("device"); }
Key ban_prefix() { return Key(Space::keystore_state, KeystoreRecords::tenant()).lp("ban"); }
Key ban_key(std::string_view vault) { return ban_prefix().lp(vault); }

/// What a device is told that it seals; it need not be secret.
base::Bytes device_context(base::Realm realm) {
  base::LpWriter out;
  out.lp("attestry/keystore-masters/1").lp(realm == base::Realm::production ? "production" : "simulated");
  return std::move(out).take();
}

base::Digest32 id_of(const crypto::Secret& master) {
  base::LpWriter in;
  in.lp("attestry/keystore-master-id/1").lp(master.reveal());
  return crypto::sha256(in.bytes());
}

MasterPtr shared(crypto::Secret secret) { return std::make_shared<const crypto::Secret>(std::move(secret)); }

/// Of the first generation, where none was imported (docs/formats/keystore.md).
crypto::Secret v0_of(const crypto::Secret& first) {
  base::LpWriter info;
  info.lp("keystore v0 key");
  return crypto::hkdf_sha256({}, first.reveal(), info.bytes(), kKeystoreMasterBytes);
}

Error retired(std::uint32_t epoch, std::uint32_t oldest) {
  return {Code::denied, "the keystore's epoch is retired", std::to_string(oldest) + " or later", std::to_string(epoch),
          "What was encrypted under it cannot be read any more; encrypt it anew from its source."};
}

Error is_banned(const VaultBan& ban) { return {Code::denied, "Vault " + ban.vault + " is banned: " + ban.reason}; }

}  // namespace

std::string master_key_id(const crypto::Secret& master) { return base::hex(id_of(master)).substr(0, 16); }

KeystoreMasters::Kept KeystoreMasters::kept(crypto::Secret master, base::UtcTime since) {
  auto id = master_key_id(master);
  return {.master = shared(std::move(master)), .id = std::move(id), .since = since};
}

KeystoreMasters::KeystoreMasters(KeystoreMastersParts parts, KeystoreMastersOptions options)
    : parts_(parts),
      options_(std::move(options)),
      records_(std::make_shared<const KeystoreRecords>(parts_.epochs, options_.first.clone(), parts_.random)) {}

Result<std::unique_ptr<KeystoreMasters>> KeystoreMasters::open(KeystoreMastersParts parts,
                                                               KeystoreMastersOptions options) {
  if (!options.source) return Error{Code::internal, "a keystore without a source of masters"};
  std::unique_ptr<KeystoreMasters> out{new KeystoreMasters(parts, std::move(options))};
  TRY_OK(out->read_bans(), "keystore");
  if (out->options_.source->waits()) return out;
  if (const auto done = out->prepare(std::chrono::steady_clock::now() + std::chrono::minutes(1)); !done) {
    base::log(base::LogLevel::error, "the keystore has no master yet", {{"reason", done.error().text()}});
  }
  return out;
}

Status KeystoreMasters::read_bans() {
  TRY(const auto view, parts_.store.read());
  decltype(bans_) found;
  TRY_OK(state::scan_each(*view, ban_prefix(), kMaxRecords, [&](base::ByteView, base::ByteView value) -> Status {
    TRY(auto in, state::open_value(value, kVersion, "ban of a vault"));
    VaultBan ban;
    TRY(const auto vault, in.lp("vault", kMaxName));
    ban.vault = base::as_text(vault);
    TRY(const auto reason, in.lp("reason", kMaxReason));
    ban.reason = base::as_text(reason);
    TRY(const auto since, in.u64be("since"));
    ban.since = {static_cast<std::int64_t>(since)};
    TRY_OK(in.finish("ban of a vault"));
    found.insert_or_assign(ban.vault, ban);
    return base::done();
  }));
  const base::MutexLock lock(mutex_);
  bans_ = std::move(found);
  return base::done();
}

Status KeystoreMasters::leaf(state::WriteTxn& txn, std::string_view type, std::uint64_t epoch,
                             std::string_view vault) const {
  audit::Leaf leaf;
  leaf.type = type;
  leaf.realm = parts_.store.realm();
  leaf.audience = parts_.log.origin();
  leaf.time = parts_.store.now();
  leaf.epoch = epoch;
  // A vault's name is public on its chain.
  if (!vault.empty()) leaf.outputs["vault"] = base::hex(crypto::sha256(base::as_bytes(vault)));
  TRY([[maybe_unused]] const auto index, parts_.log.append(txn, leaf));
  return base::done();
}

// ---- what is stored ----

/// The key that the device holds; empty when no device does. `reseal` is set when it must be sealed to another device.
Result<MasterPtr> KeystoreMasters::device_key(const state::ReadView& view, bool& reseal) const {
  TRY(const auto stored, view.get(device_record_key()));
  if (!stored) {
    reseal = options_.device != nullptr;
    return shared(crypto::Secret{});
  }
  TRY(auto in, state::open_value(*stored, kVersion, "the keystore's device"));
  TRY(const auto name, in.lp("name", kMaxName));
  TRY(const auto sealed, in.lp("sealed", kMaxSealed));
  TRY_OK(in.finish("the keystore's device"));
  const std::string sealed_by{base::as_text(name)};
  const auto context = device_context(parts_.store.realm());
  Result<crypto::Secret> key =
      Error{Code::wrong_key, "the keystore's master is sealed to another device", sealed_by, device_name(),
            "Set keystore.sealing to what sealed it, or keystore.sealing_before to that and "
            "keystore.sealing to the new one, or restore a backup."};
  const auto use = [&](crypto::SealingDevice& device) {
    key = device.unseal(sealed, context);
    if (!key) key.error().at("sealing device " + device.name() + " (" + device.bound_to() + ")");
  };
  if (options_.device && options_.device->name() == sealed_by) use(*options_.device);
  if (!key && options_.previous && options_.previous->name() == sealed_by) {
    use(*options_.previous);
    reseal = true;
  }
  if (!key) return key.error();
  if (key->size() != kDeviceKeyBytes) return Error{Code::corrupt, "the keystore's device key is not 32 bytes"};
  auto out = shared(*std::move(key));
  remember_device_key(*stored, out);
  return out;
}

Result<base::Bytes> KeystoreMasters::device_record(const state::ReadView& view) const {
  TRY(auto stored, view.get(device_record_key()));
  return stored ? *std::move(stored) : base::Bytes{};
}

void KeystoreMasters::remember_device_key(base::Bytes record, MasterPtr key) const {
  const base::MutexLock lock(mutex_);
  if (device_keys_.size() >= kMostDeviceKeys) device_keys_.erase(device_keys_.begin());
  device_keys_.emplace_back(std::move(record), std::move(key));
}

/// Without the device, as long as this process has sealed or opened what the view has.
Result<MasterPtr> KeystoreMasters::remembered_device_key(const state::ReadView& view) const {
  TRY(const auto record, device_record(view));
  if (record.empty()) return shared(crypto::Secret{});
  {
    const base::MutexLock lock(mutex_);
    for (const auto& [sealed, key] : device_keys_) {
      if (sealed == record) return key;
    }
  }
  bool ignored = false;
  return device_key(view, ignored);
}

Status KeystoreMasters::read_masters(const state::ReadView& view, Opened& out) const {
  for (auto& [epoch, entry] : out.masters) {
    TRY(auto master, records_->open(view, KeystoreRecords::master_key({}, epoch), *out.device_key),
        "master of epoch " + std::to_string(epoch));
    entry = kept(std::move(master), entry.since);
  }
  if (auto v0 = records_->open(view, KeystoreRecords::v0_key(), *out.device_key)) {
    out.v0 = shared(*std::move(v0));
  } else if (v0.error().code != Code::not_found) {
    return v0.error();
  }
  if (out.wallets_epoch != 0) {
    TRY(auto wallets, records_->open(view, KeystoreRecords::wallets_key(), *out.device_key), "master of wallets");
    out.wallets = kept(std::move(wallets));
  }
  // Vaults' masters that a source other than a local one brought: LP("sealed") ‖ LP("master") ‖ LP(vault) ‖ epoch.
  std::vector<std::pair<std::string, std::uint32_t>> vaults;
  const std::size_t begin = KeystoreRecords::prefix().lp("master").bytes().size();
  TRY_OK(state::scan_each(view, KeystoreRecords::prefix().lp("master"), kMaxRecords,
                          [&](base::ByteView key, base::ByteView) -> Status {
                            base::Reader in{key.subspan(begin)};
                            TRY(const auto vault, in.lp("vault", kMaxName));
                            TRY(const auto epoch, in.u64be("epoch"));
                            if (!vault.empty()) {
                              vaults.emplace_back(base::as_text(vault), static_cast<std::uint32_t>(epoch));
                            }
                            return base::done();
                          }));
  for (auto& [vault, epoch] : vaults) {
    TRY(auto master, records_->open(view, KeystoreRecords::master_key(vault, epoch), *out.device_key),
        "master of vault " + vault);
    out.vaults.insert_or_assign({std::move(vault), epoch}, kept(std::move(master)));
  }
  return base::done();
}

Result<std::optional<KeystoreMasters::Opened>> KeystoreMasters::read_stored(bool& reseal) const {
  TRY(const auto view, parts_.store.read());
  TRY(const auto stored, view->get(head_key()));
  if (!stored) return std::optional<Opened>{};
  TRY(auto key, device_key(*view, reseal));
  return read_stored(*view, std::move(key));
}

Result<std::optional<KeystoreMasters::Opened>> KeystoreMasters::read_stored(const state::ReadView& view,
                                                                            MasterPtr device_key) const {
  TRY(const auto stored, view.get(head_key()));
  if (!stored) return std::optional<Opened>{};
  Opened out;
  const bool wallets = !stored->empty() && stored->front() == kHeadWithWallets;
  TRY(auto in, state::open_value(*stored, wallets ? kHeadWithWallets : kVersion, "masters of the keystore"));
  TRY(out.current, in.u32be("current"));
  TRY(out.oldest, in.u32be("oldest"));
  if (wallets) {
    TRY(out.wallets_epoch, in.u32be("epoch of wallets"));
  }
  if (out.oldest == 0 || out.oldest > out.current || out.wallets_epoch >= out.oldest ||
      wallets != (out.wallets_epoch != 0)) {
    return Error{Code::corrupt, "masters of the keystore: epochs"};
  }
  TRY(const auto source, in.lp("source", kMaxName));
  out.source = base::as_text(source);
  for (std::uint32_t epoch = out.oldest; epoch <= out.current; ++epoch) {
    TRY(const auto since, in.u64be("since"));
    out.masters[epoch].since = {static_cast<std::int64_t>(since)};
  }
  TRY_OK(in.finish("masters of the keystore"));
  out.device_key = std::move(device_key);
  TRY_OK(read_masters(view, out));
  return std::optional{std::move(out)};
}

/// `device`: the record of the device that `opened.device_key` is sealed to; empty: no device.
Status KeystoreMasters::keep(state::WriteTxn& txn, const Opened& opened, base::ByteView device) const {
  auto head = state::value(opened.wallets_epoch != 0 ? kHeadWithWallets : kVersion);
  head.u32(opened.current).u32(opened.oldest);
  if (opened.wallets_epoch != 0) head.u32(opened.wallets_epoch);
  head.lp(opened.source);
  for (const auto& [epoch, entry] : opened.masters) head.u64(static_cast<std::uint64_t>(entry.since.seconds));
  TRY_OK(txn.put(head_key(), head.bytes()));
  if (device.empty()) {
    TRY_OK(txn.erase(device_record_key()));
  } else {
    TRY_OK(txn.put(device_record_key(), device));
  }
  std::vector<base::Bytes> before;
  TRY_OK(
      state::scan_each(txn, KeystoreRecords::prefix(), kMaxRecords, [&](base::ByteView key, base::ByteView) -> Status {
        before.push_back(base::to_bytes(key));
        return base::done();
      }));
  for (const auto& key : before) TRY_OK(txn.erase(key));
  for (const auto& [epoch, entry] : opened.masters) {
    TRY_OK(records_->put(txn, KeystoreRecords::master_key({}, epoch), *entry.master, *opened.device_key));
  }
  if (opened.v0) TRY_OK(records_->put(txn, KeystoreRecords::v0_key(), *opened.v0, *opened.device_key));
  if (opened.wallets_epoch != 0) {
    TRY_OK(records_->put(txn, KeystoreRecords::wallets_key(), *opened.wallets.master, *opened.device_key));
  }
  if (options_.source->local()) return base::done();
  for (const auto& [name, master] : opened.vaults) {
    TRY_OK(
        records_->put(txn, KeystoreRecords::master_key(name.first, name.second), *master.master, *opened.device_key));
  }
  return base::done();
}

/// The same under a new key of the present device, and the record of that key; without a device under no key of one.
Result<KeystoreMasters::Opened> KeystoreMasters::with_fresh_device_key(Opened opened, base::Bytes& device) const {
  device.clear();
  opened.device_key = shared(crypto::Secret{});
  if (!options_.device) return opened;
  auto fresh = parts_.random.secret(kDeviceKeyBytes);
  TRY(const auto sealed, options_.device->seal(fresh, device_context(parts_.store.realm())),
      "sealing device " + options_.device->name());
  auto record = state::value(kVersion);
  record.lp(device_name()).lp(sealed);
  device = std::move(record).take();
  opened.device_key = shared(std::move(fresh));
  return opened;
}

/// Keeps `opened` in the place of what is stored, under a fresh key of the device (with the old one, a copy of the old
/// records would still open), and uses it.
Status KeystoreMasters::replace_stored(Opened opened, Change change, base::Deadline deadline) {
  base::Bytes device;
  TRY(auto next, with_fresh_device_key(std::move(opened), device));
  // Before the commit: from then on a standby may ask for what is stored, and what is in use is still the old one.
  if (!device.empty()) remember_device_key(device, next.device_key);
  TRY_OK(parts_.store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        if (change.needed) TRY_OK(change.needed(txn));
        TRY_OK(leaf(txn, change.leaf, change.epoch == 0 ? next.current : change.epoch, {}));
        for (const auto& ban : change.bans) TRY_OK(put_ban(txn, ban));
        return keep(txn, next, device);
      },
      deadline));
  set_opened(std::move(next), change.bans);
  changed();
  return base::done();
}

Result<KeystoreMasters::Opened> KeystoreMasters::make_first() const {
  TRY(auto master, options_.source->default_master(1), "master of the keystore");
  if (master.size() != kKeystoreMasterBytes) {
    return Error{Code::malformed, "master of the keystore", "32 bytes", std::to_string(master.size())};
  }
  Opened out;
  out.current = out.oldest = 1;
  out.source = options_.source->name();
  out.masters[1] = kept(std::move(master), parts_.store.now());
  if (options_.v0_seed) out.v0 = shared(options_.v0_seed->clone());
  return out;
}

/// What an operator or the network gives must be what is stored or imported: a keystore never changes its master behind
/// its data, and has none that its source does not know.
Status KeystoreMasters::check_settings(const Opened& opened) const {
  const auto& [epoch, first] = wallets_of(opened);
  // Nodes may be away at a start, so that their word cannot be compared.
  const bool nodes = opened.source.starts_with(kNodesSource) || source_name().starts_with(kNodesSource);
  if (nodes && opened.source != source_name()) {
    return Error{Code::configuration, "the keystore's masters come from elsewhere", opened.source,
                 std::string{source_name()},
                 "Set keystore.master, keystore.mpc and keystore.dao_contract to what they were, or use an empty data "
                 "folder."};
  }
  if (!options_.source->rotates() && (opened.current != 1 || epoch != 1)) {
    return Error{Code::configuration, "the " + std::string{source_name()} + " master has one epoch", "epoch 1 alone",
                 std::to_string(epoch) + " to " + std::to_string(opened.current),
                 "Set keystore.master to what these masters came from, or use an empty data folder."};
  }
  if (options_.source->binding() && epoch == 1) {
    TRY(const auto given, options_.source->default_master(1));
    if (!crypto::equal_constant_time(given.reveal(), first.master->reveal())) {
      return Error{Code::configuration,
                   "the " + std::string{source_name()} + " master is not the one that this keystore has", first.id,
                   master_key_id(given), "Set keystore.master to what it was, or use an empty data folder."};
    }
  }
  if (options_.v0_seed && opened.v0 && !crypto::equal_constant_time(options_.v0_seed->reveal(), opened.v0->reveal())) {
    return Error{Code::configuration,
                 "KEYSTORE_PRIVATE_KEY is not the one that this keystore has",
                 {},
                 {},
                 "Remove the setting, or use an empty data folder for another key."};
  }
  return base::done();
}

Status KeystoreMasters::prepare_now(base::Deadline deadline) {
  bool reseal = false;
  TRY(auto stored, read_stored(reseal));
  if (!stored) {
    if (options_.wait_for_import) {
      // What is brought will be compared with it, and others have to approve this server for that.
      if (options_.source->binding()) TRY_OK(options_.source->default_master(1), "master of the keystore");
      return Error{Code::unavailable, "this keystore waits for its masters", "a primary or a backup that brings them"};
    }
    TRY(auto first, make_first());
    return replace_stored(std::move(first), {.leaf = "keystore.master"}, deadline);
  }
  TRY_OK(check_settings(*stored));
  if (options_.v0_seed && !stored->v0) {
    stored->v0 = shared(options_.v0_seed->clone());
    reseal = true;
  }
  if (reseal) return replace_stored(*std::move(stored), {.leaf = "keystore.reseal"}, deadline);
  set_opened(*std::move(stored));
  return base::done();
}

Status KeystoreMasters::prepare(base::Deadline deadline) {
  const base::MutexLock slow(slow_);
  if (opened()) return base::done();
  auto done = prepare_now(deadline);
  if (!done) {
    const base::MutexLock lock(mutex_);
    trouble_ = done.error();
  }
  return done;
}

void KeystoreMasters::set_opened(Opened opened, std::span<const VaultBan> bans) {
  const base::MutexLock lock(mutex_);
  opened_ = std::move(opened);
  for (const auto& ban : bans) bans_.insert_or_assign(ban.vault, ban);
  std::erase_if(device_keys_, [&key = opened_->device_key](const auto& one) { return one.second != key; });
  trouble_.reset();
}

void KeystoreMasters::on_change(std::function<void()> listener) {
  const base::MutexLock lock(listening_);
  listener_ = std::move(listener);
}

void KeystoreMasters::changed() const {
  const base::MutexLock lock(listening_);
  if (listener_) listener_();
}

Result<KeystoreMasters::Opened> KeystoreMasters::opened() const {
  const base::MutexLock lock(mutex_);
  if (opened_) return *opened_;
  return trouble_.value_or(Error{Code::unavailable, "the keystore has no master yet"});
}

// ---- what is used ----

Status KeystoreMasters::ready() const {
  if (options_.gate) TRY_OK(options_.gate());
  const base::MutexLock lock(mutex_);
  if (!opened_) return trouble_.value_or(Error{Code::unavailable, "the keystore has no master yet"});
  if (held_) return *held_;
  return base::done();
}

void KeystoreMasters::hold(std::optional<Error> why) {
  const base::MutexLock lock(mutex_);
  held_ = std::move(why);
}

Result<MasterPtr> KeystoreMasters::master(std::string_view vault, std::uint32_t epoch) const {
  TRY(auto found, at(vault, epoch));
  return std::move(found.master);
}

Result<MasterInUse> KeystoreMasters::at(std::string_view vault, std::uint32_t epoch) const {
  TRY_OK(ready());
  const base::MutexLock lock(mutex_);
  if (epoch == 0) epoch = opened_->current;
  if (epoch < opened_->oldest) return retired(epoch, opened_->oldest);
  const auto found = opened_->masters.find(epoch);
  if (found == opened_->masters.end()) {
    return Error{Code::not_found, "the keystore has no such epoch", std::to_string(opened_->current) + " at most",
                 std::to_string(epoch)};
  }
  return of_vault(vault, epoch, found->second);
}

std::pair<std::uint32_t, const KeystoreMasters::Kept&> KeystoreMasters::wallets_of(const Opened& opened) {
  if (opened.wallets_epoch != 0) return {opened.wallets_epoch, opened.wallets};
  return {opened.oldest, opened.masters.at(opened.oldest)};
}

Result<MasterInUse> KeystoreMasters::wallets(std::string_view vault) const {
  TRY_OK(ready());
  const base::MutexLock lock(mutex_);
  const auto& [epoch, master] = wallets_of(*opened_);
  return of_vault(vault, epoch, master);
}

/// `base`: the default master of that epoch.
Result<MasterInUse> KeystoreMasters::of_vault(std::string_view vault, std::uint32_t epoch, const Kept& base) const {
  const auto found_as = [epoch](const Kept& it) {
    return MasterInUse{.epoch = epoch, .master = it.master, .id = it.id};
  };
  if (vault.empty()) return found_as(base);
  if (const auto ban = bans_.find(vault); ban != bans_.end()) return is_banned(ban->second);
  std::pair<std::string, std::uint32_t> name{vault, epoch};
  if (const auto kept = opened_->vaults.find(name); kept != opened_->vaults.end()) {
    return found_as(kept->second);
  }
  if (!options_.source->local()) {
    return Error{Code::not_found, "the vault's master is not loaded", {}, std::string{vault}};
  }
  TRY(auto made, options_.source->vault_master(*base.master, vault, {}));
  if (opened_->vaults.size() >= kMaxDerived) opened_->vaults.clear();
  return found_as(opened_->vaults.emplace(std::move(name), kept(std::move(made))).first->second);
}

std::uint32_t KeystoreMasters::current_epoch() const {
  const base::MutexLock lock(mutex_);
  return opened_ ? opened_->current : 0;
}

std::uint32_t KeystoreMasters::oldest_epoch() const {
  const base::MutexLock lock(mutex_);
  return opened_ ? opened_->oldest : 0;
}

std::uint32_t KeystoreMasters::wallets_epoch() const {
  const base::MutexLock lock(mutex_);
  return opened_ ? wallets_of(*opened_).first : 0;
}

std::vector<MasterEpoch> KeystoreMasters::epochs() const {
  const base::MutexLock lock(mutex_);
  std::vector<MasterEpoch> out;
  if (!opened_) return out;
  for (const auto& [epoch, entry] : opened_->masters) {
    out.push_back({epoch, entry.id, entry.since});
  }
  return out;
}

Result<crypto::Secret> KeystoreMasters::v0_now() const {
  const base::MutexLock lock(mutex_);
  if (!opened_) return trouble_.value_or(Error{Code::unavailable, "the keystore has no master yet"});
  if (opened_->v0) return opened_->v0->clone();
  const auto first = opened_->masters.find(1);
  if (first == opened_->masters.end()) return retired(1, opened_->oldest);
  return v0_of(*first->second.master);
}

Result<crypto::Secret> KeystoreMasters::v0_seed() const {
  TRY_OK(ready());
  return v0_now();
}

Result<crypto::Secret> KeystoreMasters::v0_seed_though_held() const {
  if (options_.gate) TRY_OK(options_.gate());
  return v0_now();
}

std::string KeystoreMasters::device_name() const { return options_.device ? options_.device->name() : "none"; }
std::string KeystoreMasters::device_bound_to() const {
  return options_.device ? options_.device->bound_to() : "the root file of this server";
}
std::string_view KeystoreMasters::source_name() const noexcept { return options_.source->name(); }

// ---- vaults ----

Status KeystoreMasters::load_vault(std::string_view vault, base::Deadline deadline) {
  if (options_.source->local()) {
    TRY([[maybe_unused]] const auto made, master(vault));
    return base::done();
  }
  TRY_OK(ready());
  if (const auto ban = banned(vault)) return is_banned(*ban);
  TRY(const auto before, opened());
  if (before.vaults.size() >= kMaxVaults) return Error{Code::rate_limited, "too many vaults have masters here"};
  const auto& [wallets_epoch, wallets_master] = wallets_of(before);
  std::map<std::uint32_t, Kept> loaded;
  // Others are waited for without a lock: a vault whose contract hangs is in nobody else's way.
  for (const auto& [epoch, from] :
       {std::pair{before.current, before.masters.at(before.current)}, std::pair{wallets_epoch, wallets_master}}) {
    if (loaded.contains(epoch) || (epoch != before.current && before.vaults.contains({std::string{vault}, epoch})))
      continue;
    TRY(auto made, options_.source->vault_master(*from.master, vault, deadline));
    if (made.size() != kKeystoreMasterBytes) return Error{Code::malformed, "master of a vault", "32 bytes"};
    loaded.emplace(epoch, kept(std::move(made)));
  }
  const base::MutexLock slow(slow_);
  TRY(const auto next, opened());
  if (next.current != before.current || next.masters.at(next.current).id != before.masters.at(next.current).id)
    return Error{Code::unavailable, "the keystore's masters have just changed"};
  TRY(const auto view, parts_.store.read());
  TRY(const auto device, device_record(*view));
  TRY(const auto device_key, remembered_device_key(*view));
  TRY_OK(parts_.store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY(const auto ban, txn.get(ban_key(vault)));
        if (ban) return Error{Code::denied, "Vault " + std::string{vault} + " is banned"};
        TRY(const auto now, device_record(txn));
        if (now != device) return Error{Code::unavailable, "the keystore's masters have just changed"};
        TRY_OK(leaf(txn, "keystore.vault-master", next.current, vault));
        for (const auto& [epoch, entry] : loaded) {
          TRY_OK(records_->put(txn, KeystoreRecords::master_key(vault, epoch), *entry.master, *device_key));
        }
        return base::done();
      },
      deadline));
  const base::MutexLock lock(mutex_);
  for (const auto& [epoch, entry] : loaded) opened_->vaults.insert_or_assign({std::string{vault}, epoch}, entry);
  return base::done();
}

bool KeystoreMasters::needs_loading(std::string_view vault) const {
  if (options_.source->local()) return false;
  const base::MutexLock lock(mutex_);
  return opened_ && !opened_->vaults.contains({std::string{vault}, opened_->current});
}

std::vector<std::string> KeystoreMasters::loaded_vaults() const {
  const base::MutexLock lock(mutex_);
  std::vector<std::string> out;
  if (!opened_) return out;
  for (const auto& [name, master] : opened_->vaults) {
    if (out.empty() || out.back() != name.first) out.push_back(name.first);
  }
  return out;
}

void KeystoreMasters::evict(std::string vault, Completion completion) {
  parts_.store.write(
      [this, vault](state::WriteTxn& txn) -> Status {
        std::vector<base::Bytes> keys;
        TRY_OK(state::scan_each(txn, KeystoreRecords::prefix().lp("master").lp(vault), kMaxRecords,
                                [&](base::ByteView key, base::ByteView) -> Status {
                                  keys.push_back(base::to_bytes(key));
                                  return base::done();
                                }));
        // The default masters stand under the empty name: those stay.
        for (const auto& key : keys) {
          if (!vault.empty()) TRY_OK(txn.erase(key));
        }
        return leaf(txn, "keystore.evict", 0, vault);
      },
      [this, vault, completion = std::move(completion)](Status done) mutable {
        if (done) {
          {
            const base::MutexLock lock(mutex_);
            if (opened_) std::erase_if(opened_->vaults, [&](const auto& entry) { return entry.first.first == vault; });
          }
          changed();
        }
        completion(std::move(done));
      });
}

Status KeystoreMasters::put_ban(state::WriteTxn& txn, const VaultBan& ban) const {
  auto value = state::value(kVersion);
  value.lp(ban.vault).lp(ban.reason).u64(static_cast<std::uint64_t>(ban.since.seconds));
  return txn.put(ban_key(ban.vault), value.bytes());
}

void KeystoreMasters::change_ban(std::string vault, std::optional<VaultBan> ban, Completion completion) {
  parts_.store.write(
      [this, vault, ban](state::WriteTxn& txn) -> Status {
        TRY_OK(leaf(txn, ban ? "keystore.ban" : "keystore.unban", 0, vault));
        return ban ? put_ban(txn, *ban) : txn.erase(ban_key(vault));
      },
      [this, vault, ban, completion = std::move(completion)](Status done) mutable {
        // A ban whose commit is in doubt counts (state/store.h: the data may be there).
        if (done || (ban && done.error().code == Code::unavailable)) {
          {
            const base::MutexLock lock(mutex_);
            if (ban) {
              bans_.insert_or_assign(vault, *ban);
              if (opened_) std::erase_if(opened_->vaults, [&](const auto& one) { return one.first.first == vault; });
            } else {
              bans_.erase(vault);
            }
          }
          changed();
        }
        completion(std::move(done));
      });
}

void KeystoreMasters::ban(std::string vault, std::string reason, Completion completion) {
  if (vault.empty() || vault.size() > kMaxName || reason.size() > kMaxReason) {
    return completion(Error{Code::usage, "ban of a vault", "a name of at most 256 bytes and a reason of at most 1024"});
  }
  VaultBan ban{vault, std::move(reason), parts_.store.now()};
  change_ban(std::move(vault), std::move(ban), std::move(completion));
}

void KeystoreMasters::unban(std::string vault, Completion completion) {
  change_ban(std::move(vault), std::nullopt, std::move(completion));
}

std::optional<VaultBan> KeystoreMasters::banned(std::string_view vault) const {
  const base::MutexLock lock(mutex_);
  const auto found = bans_.find(vault);
  return found == bans_.end() ? std::nullopt : std::optional{found->second};
}

std::vector<VaultBan> KeystoreMasters::bans() const {
  const base::MutexLock lock(mutex_);
  std::vector<VaultBan> out;
  out.reserve(bans_.size());
  for (const auto& [vault, ban] : bans_) out.push_back(ban);
  return out;
}

// ---- epochs ----

Result<std::uint32_t> KeystoreMasters::begin_epoch(base::Deadline deadline) {
  const base::MutexLock slow(slow_);
  TRY_OK(ready());
  TRY(auto next, opened());
  ++next.current;
  TRY(auto master, options_.source->default_master(next.current), "master of the next epoch");
  next.masters[next.current] = kept(std::move(master), parts_.store.now());
  const auto epoch = next.current;
  TRY_OK(replace_stored(std::move(next), {.leaf = "keystore.rotate"}, deadline));
  return epoch;
}

Status KeystoreMasters::retire_before(std::uint32_t epoch, Needed needed, base::Deadline deadline) {
  const base::MutexLock slow(slow_);
  TRY_OK(ready());
  TRY(auto next, opened());
  if (epoch > next.current) {
    return Error{Code::usage, "the current epoch cannot be retired", std::to_string(next.current) + " at most",
                 std::to_string(epoch)};
  }
  if (epoch <= next.oldest) return Error{Code::conflict, "there is no older epoch to retire"};
  // What is encrypted for the first generation's key stands in no list that a walk could see.
  if (const auto first = next.masters.find(1); !next.v0 && first != next.masters.end()) {
    next.v0 = shared(v0_of(*first->second.master));
  }
  // The same with wallets: addresses were handed out that have never signed, and a wallet's key cannot be moved.
  if (next.wallets_epoch == 0) {
    next.wallets_epoch = next.oldest;
    next.wallets = kept(next.masters.at(next.oldest).master->clone());
  }
  next.oldest = epoch;
  std::erase_if(next.masters, [&](const auto& entry) { return entry.first < epoch; });
  std::erase_if(next.vaults, [&](const auto& entry) {
    return entry.first.second < epoch && entry.first.second != next.wallets_epoch;
  });
  return replace_stored(std::move(next), {.leaf = "keystore.retire", .epoch = epoch, .needed = std::move(needed)},
                        deadline);
}

}  // namespace attestry::secrets
