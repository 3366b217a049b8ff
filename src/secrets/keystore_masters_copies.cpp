// A keystore's masters for backups and standbys, and from them.
#include "secrets/keystore_masters.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

bool same(const MasterPtr& one, const MasterPtr& other) {
  return one && other && crypto::equal_constant_time(one->reveal(), other->reveal());
}

}  // namespace

KeystoreBundle KeystoreMasters::bundle_of(const Opened& from, bool with_vaults) {
  KeystoreBundle out;
  out.current = from.current;
  out.oldest = from.oldest;
  out.source = from.source;
  out.masters.reserve(from.masters.size() + (with_vaults ? from.vaults.size() : 0));
  for (const auto& [epoch, entry] : from.masters) {
    out.masters.push_back({.vault = {}, .epoch = epoch, .since = entry.since, .master = entry.master->clone()});
  }
  if (with_vaults) {
    for (const auto& [name, entry] : from.vaults) {
      out.masters.push_back({.vault = name.first, .epoch = name.second, .since = {}, .master = entry.master->clone()});
    }
  }
  if (from.v0) out.v0_seed = from.v0->clone();
  out.wallets_epoch = from.wallets_epoch;
  if (from.wallets_epoch != 0) out.wallets = from.wallets.master->clone();
  return out;
}

Result<KeystoreBundle> KeystoreMasters::bundle() const {
  if (options_.source->given()) {
    return Error{
        Code::denied,
        "masters of the source " + std::string{source_name()} + " go into no backup",
        {},
        {},
        "A server that the DAO, or nodes, let in has the same. Keep the file of keystore.private_key and the list of "
        "`attestry keystore bans` yourself."};
  }
  TRY(const auto from, opened());
  auto out = bundle_of(from, !options_.source->local());
  out.bans = bans();
  return out;
}

Result<KeystoreBundle> KeystoreMasters::bundle(const state::ReadView& view) const {
  TRY_OK(opened());
  TRY(auto device_key, remembered_device_key(view));
  TRY(const auto from, read_stored(view, std::move(device_key)));
  if (!from) return Error{Code::unavailable, "the keystore has no master yet"};
  return bundle_of(*from, !options_.source->local());
}

Result<KeystoreMasters::Opened> KeystoreMasters::opened_of(const KeystoreBundle& bundle) {
  Opened out;
  out.current = bundle.current;
  out.oldest = bundle.oldest;
  out.source = bundle.source;
  for (const auto& entry : bundle.masters) {
    if (entry.vault.empty()) {
      out.masters[entry.epoch] = kept(entry.master.clone(), entry.since);
    } else {
      out.vaults[{entry.vault, entry.epoch}] = kept(entry.master.clone());
    }
  }
  if (out.oldest == 0 || out.oldest > out.current || out.masters.size() != out.current - out.oldest + 1 ||
      out.masters.begin()->first != out.oldest || out.masters.rbegin()->first != out.current) {
    return Error{Code::malformed, "masters of a keystore", "one default master for each epoch"};
  }
  if (bundle.wallets_epoch >= out.oldest || (bundle.wallets_epoch == 0) != bundle.wallets.empty()) {
    return Error{Code::malformed, "masters of a keystore", "wallets of an epoch before the oldest, or of none"};
  }
  out.wallets_epoch = bundle.wallets_epoch;
  if (out.wallets_epoch != 0) out.wallets = kept(bundle.wallets.clone());
  if (!bundle.v0_seed.empty()) out.v0 = std::make_shared<const crypto::Secret>(bundle.v0_seed.clone());
  return out;
}

/// That nothing of `stored` is lost with it.
Status KeystoreMasters::check_all_there(const Opened& stored, const Opened& next) {
  bool lost = stored.v0 && !same(stored.v0, next.v0);
  lost = lost || !same(wallets_of(stored).second.master, wallets_of(next).second.master);
  for (const auto& [epoch, entry] : stored.masters) {
    const auto there = next.masters.find(epoch);
    lost = lost || there == next.masters.end() || !same(there->second.master, entry.master);
  }
  for (const auto& [name, entry] : stored.vaults) {
    const auto there = next.vaults.find(name);
    lost = lost || there == next.vaults.end() || !same(there->second.master, entry.master);
  }
  if (!lost) return base::done();
  return Error{
      Code::conflict, "this keystore has masters of its own", "an empty data folder", "masters that are not in it",
      "A standby begins with an empty data folder. Where nobody has used this keystore yet: attestry keystore restore "
      "--replace; everything that only its present masters open is lost then."};
}

/// Of a copy whose source gives masters to each server that it lets in, and is not asked at a start: nothing of the
/// copy stands for its word. `stored`: what is here; null without.
Status KeystoreMasters::check_given(const Opened* stored, Opened& next) const {
  const Kept& brought = wallets_of(next).second;
  // What is here already was compared when it came.
  const bool known =
      stored != nullptr && stored->source == next.source && same(wallets_of(*stored).second.master, brought.master);
  if (!known) {
    TRY(const auto given, options_.source->default_master(1), "master of the keystore");
    if (!crypto::equal_constant_time(given.reveal(), brought.master->reveal())) {
      return Error{Code::conflict, "this copy has another master than " + std::string{source_name()} + " gives",
                   master_key_id(given), brought.id, "Bring a copy of the same account and nodes, or none."};
    }
  }
  // Vaults' masters are asked for again; those that were asked for here stay while the copy has the vault, too.
  decltype(next.vaults) own;
  if (known) {
    for (const auto& entry : stored->vaults) {
      if (next.vaults.contains(entry.first)) own.insert(entry);
    }
  }
  next.vaults = std::move(own);
  return base::done();
}

Status KeystoreMasters::import(const KeystoreBundle& bundle, bool replace, base::Deadline deadline) {
  const base::MutexLock slow(slow_);
  TRY(auto next, opened_of(bundle));
  // As a start does: what a keystore refuses to start with it takes from nobody.
  if (auto fits = check_settings(next); !fits) {
    if (fits.error().code != Code::configuration) return fits;
    fits.error().code = Code::conflict;
    fits.error().remedy =
        "This copy is of another keystore; or keystore.master or keystore.private_key is another one's.";
    return fits;
  }
  const bool ask = options_.source->given() && !options_.source->binding();
  if (ask || !replace) {
    bool ignored = false;
    const auto stored = read_stored(ignored);
    // A copy replaces what cannot be opened, too.
    if (!stored && !replace) return stored.error();
    const Opened* here = stored && *stored ? &**stored : nullptr;
    if (ask) TRY_OK(check_given(here, next));
    if (here != nullptr && !replace) TRY_OK(check_all_there(*here, next));
  }
  if (options_.v0_seed && !next.v0) next.v0 = std::make_shared<const crypto::Secret>(options_.v0_seed->clone());
  return replace_stored(std::move(next), {.leaf = "keystore.import", .bans = bundle.bans}, deadline);
}

}  // namespace attestry::secrets
