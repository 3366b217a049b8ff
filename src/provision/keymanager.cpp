#include "provision/keymanager.h"

#include <utility>

#include "base/log.h"
#include "crypto/hash.h"
#include "curves/ethereum_signature.h"
#include "keys/keymanager_dialects.h"
#include "keys/keymanager_kdf.h"
#include "provision/internal/keymanager_state.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using chain::keymanager::Membership;
using curves::SignatureLayout;

namespace {

constexpr std::size_t kMasterBytes = 32;
constexpr std::size_t kLeafKeyBytes = 32;
constexpr std::chrono::seconds kPatience{10};

Error not_yet(std::string what, std::string found, std::string remedy) {
  return {Code::unavailable, std::move(what), "a member of the key manager", std::move(found), std::move(remedy)};
}

/// From the known generations' v ‖ r ‖ s.
base::FixedBytes<65> rsv_of(const base::FixedBytes<65>& vrs) {
  base::FixedBytes<65> out{};
  std::copy(vrs.begin() + 1, vrs.end(), out.begin());
  out.back() = vrs.front();
  return out;
}

Result<KeyManagerSigned> sign(const KeyManagerMaster& master, const base::Digest32& digest) {
  TRY(const auto vrs, curves::ethereum_sign(master.signer, digest, SignatureLayout::vrs));
  return KeyManagerSigned{.digest = digest, .vrs = vrs, .rsv = rsv_of(vrs)};
}

}  // namespace

KeyManager::KeyManager(KeyManagerDeps deps, KeyManagerOptions options)
    : deps_(deps), options_(std::move(options)), records_(deps_.records) {
  if (deps_.reader != nullptr) chain_.emplace(*deps_.reader, options_.contract);
}

Result<std::unique_ptr<KeyManager>> KeyManager::open(KeyManagerDeps deps, KeyManagerOptions options) {
  TRY(const auto view, deps.store.read());
  TRY(auto kept, deps.records.read(*view));
  std::unique_ptr<KeyManager> out{new KeyManager(deps, std::move(options))};
  auto state = std::make_shared<State>();
  for (const auto& [epoch, one] : kept.masters) {
    TRY(state->masters[epoch], out->make(epoch, one.master, one.joined));
  }
  for (auto& [epoch, one] : kept.pending) {
    TRY(auto master, out->make(epoch, one.master, false));
    state->pending[epoch] = std::make_shared<const Pending>(Pending{std::move(master), std::move(one.evidence)});
  }
  if (kept.request) state->own = std::make_shared<const Own>(*std::move(kept.request));
  if (kept.others > 0) {
    base::log(base::LogLevel::warning, "the store has keys of another contract, chain or dialect; they are not used",
              {{"records", std::to_string(kept.others)}});
  }
  {
    const base::MutexLock lock(out->mutex_);
    out->state_ = std::move(state);
  }
  if (out->chain_) out->thread_ = std::thread{[manager = out.get()] { manager->work(); }};
  return out;
}

KeyManager::~KeyManager() { stop(); }

void KeyManager::stop() {
  {
    const base::MutexLock lock(wake_mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void KeyManager::work() {
  std::string trouble;
  for (;;) {
    const auto looked = refresh(deps_.clock.steady() + kPatience);
    const std::string now = looked ? std::string{} : looked.error().text();
    if (now != trouble && !now.empty()) {
      base::log(base::LogLevel::warning, "the key manager's contract cannot be read", {{"reason", now}});
    }
    trouble = now;
    const base::MutexLock lock(wake_mutex_);
    if (!stopping_) wake_.wait_for(wake_mutex_, options_.look);
    if (stopping_) return;
  }
}

std::shared_ptr<const KeyManager::State> KeyManager::state() const {
  const base::MutexLock lock(mutex_);
  return state_;
}

Result<KeyManager::Master> KeyManager::make(std::uint32_t epoch, const crypto::Secret& master, bool joined) const {
  if (master.size() != kMasterBytes) {
    return Error{Code::malformed, "master key", "32 bytes", std::to_string(master.size())};
  }
  auto signer = options_.dialect == KeyManagerDialect::native
                    ? keys::keymanager_attest_key(master, epoch)
                    : curves::Secp256k1PrivateKey::from_scalar(master.reveal());
  if (!signer) return std::move(signer).error();
  const auto address = curves::ethereum_address(signer->public_key_raw());
  return std::make_shared<const KeyManagerMaster>(
      KeyManagerMaster{epoch, master.clone(), *std::move(signer), address, joined});
}

// ---- membership

Result<KeyManager::Master> KeyManager::present_in(const State& now) const {
  if (!chain_) {
    if (!now.masters.empty()) return now.masters.rbegin()->second;
    return not_yet("this key manager has no master key yet", "not bootstrapped", "POST /bootstrap on the host's port.");
  }
  if (!now.said) {
    return not_yet("the key manager's contract was not read yet", {}, "Look at keymanager.rpc, then try again.");
  }
  if (now.believed_until < deps_.clock.steady()) {
    return Error{Code::unavailable, "the key manager's contract cannot be read",
                 "an answer of the last " + std::to_string(options_.believed.count()) + " s", "an older one",
                 "Look at keymanager.rpc."};
  }
  const KeyManagerSaid& said = *now.said;
  if (said.frozen) return Error{Code::denied, "the key manager's contract is frozen"};
  if (said.epoch == 0 || said.xpub == curves::Address{}) {
    return not_yet("the contract has no master key yet", "not bootstrapped",
                   "POST /bootstrap on the host's port, and let the contract's owner put the address in force.");
  }
  const auto found = now.masters.find(said.epoch);
  if (found == now.masters.end()) {
    return not_yet("this server does not have the master key of epoch " + std::to_string(said.epoch), "not joined",
                   "POST /register on the host's port.");
  }
  if (found->second->address != said.xpub) {
    return Error{Code::denied, "this server's master key is not the contract's", text_of(said.xpub),
                 text_of(found->second->address)};
  }
  if (!found->second->joined || said.member_allowed) return found->second;
  if (said.membership == Membership::requested || said.membership == Membership::not_yet) {
    return not_yet("the contract does not know this server as onboarded yet", "requested",
                   "Send the member's onboard to the contract, and wait until its block is final.");
  }
  return Error{Code::denied, "the contract does not allow this server the master key any more",
               "memberAllowed(this server)",
               said.membership == Membership::rejected ? "sent away" : "its measurement or platform is not listed"};
}

Result<KeyManager::Master> KeyManager::present() const { return present_in(*state()); }

Status KeyManager::ready() const {
  TRY([[maybe_unused]] const auto master, present());
  return base::done();
}

KeyManagerStanding KeyManager::standing() const {
  const auto now = state();
  KeyManagerStanding out;
  for (const auto& [epoch, master] : now->masters) out.epochs.push_back(epoch);
  if (now->said) {
    out.epoch = now->said->epoch;
    out.block = now->said->block.number;
    if (now->said->xpub != curves::Address{}) out.xpub = now->said->xpub;
  }
  if (now->own) {
    out.newcomer = now->own->peer.address;
    out.box_key = now->own->peer.box_key;
    out.join_evidence = now->own->request.evidence;
  }
  const auto waiting = now->waiting();
  if (waiting) {
    out.pending = waiting->master->address;
    out.bootstrap_evidence = waiting->evidence;
  }
  const auto master = present_in(*now);
  out.member = master.ok();
  if (master) {
    out.state = "member";
    if (!chain_) out.epoch = (*master)->epoch, out.xpub = (*master)->address;
    return out;
  }
  if (now->said && now->believed_until < deps_.clock.steady()) {
    out.state = "cut-off";
  } else if (master.error().code == Code::denied) {
    out.state = now->said && now->said->frozen ? "frozen" : "sent-away";
  } else if (now->said && now->masters.contains(now->said->epoch)) {
    out.state = "joined";
  } else if (waiting) {
    out.state = "bootstrapped";
  } else {
    const bool asked = now->own && (!now->said || now->own->request.epoch == now->said->epoch);
    out.state = asked ? "registered" : "not-joined";
  }
  return out;
}

// ---- what the contract says

Result<KeyManagerSaid> KeyManager::read_contract(base::Deadline deadline) {
  std::optional<KeyManagerPeer> own;
  if (const auto now = state(); now->own) own = now->own->peer;
  return chain_->present(own, deadline);
}

Status KeyManager::refresh(base::Deadline deadline) {
  if (!chain_) return base::done();
  TRY(const auto said, read_contract(deadline));
  TRY_OK(promote(said, deadline));
  change([&](State& next) {
    if (next.said && said.block.number < next.said->block.number) return;  // another reader was faster
    next.said = said;
    next.believed_until = deps_.clock.steady() + options_.believed;
  });
  return base::done();
}

/// Masters that waited for the owner's word are in force, or never will be.
Status KeyManager::promote(const KeyManagerSaid& said, base::Deadline deadline) {
  const auto now = state();
  for (const auto& [epoch, pending] : now->pending) {
    if (epoch <= said.epoch) TRY_OK(settle(epoch, said, deadline));
  }
  return base::done();
}

Status KeyManager::settle(std::uint32_t epoch, const KeyManagerSaid& said, base::Deadline deadline) {
  const auto now = state();
  const auto found = now->pending.find(epoch);
  if (found == now->pending.end()) return base::done();
  const Master master = found->second->master;
  const bool ours = said.epoch == epoch && said.xpub == master->address;
  const bool news = !now->said || now->said->epoch < epoch;
  if (ours || news) {
    base::log(base::LogLevel::info,
              ours ? "the contract put this server's master key in force" : "the contract has another master key",
              {{"epoch", std::to_string(said.epoch)}, {"xpub", text_of(said.xpub)}});
  }
  // A reorganisation may put in force what has lost: then it is nowhere else.
  if (!ours && !options_.final_blocks) return base::done();
  TRY_OK(deps_.store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        if (ours) TRY_OK(records_.keep(txn, epoch, {master->master.clone(), false}));
        return records_.forget_pending(txn, epoch);
      },
      deadline));
  change([&](State& next) {
    if (ours) next.masters[epoch] = master;
    next.pending.erase(epoch);
  });
  return base::done();
}

// ---- releases

audit::Leaf KeyManager::leaf(std::string_view type, std::uint32_t epoch) const {
  audit::Leaf out;
  out.type = type;
  out.realm = deps_.store.realm();
  out.audience = deps_.log.origin();
  out.time = deps_.store.now();
  out.epoch = epoch;
  return out;
}

void KeyManager::release(const Master& master, audit::Leaf leaf, std::optional<KeyManagerApproval> approval,
                         Released done) const {
  if (const auto usable = deps_.store.clock_usable(); !usable) return done(usable.error(), 0);
  const auto index = std::make_shared<std::uint64_t>(0);
  deps_.store.write(
      [this, master, index, approval = std::move(approval), leaf = std::move(leaf)](state::WriteTxn& txn) -> Status {
        if (approval) {
          TRY_OK(governance::Registry::require_version(txn, approval->tenant, approval->app, approval->version,
                                                       approval->references));
        }
        TRY(const auto now, present());
        if (now != master) return Error{Code::conflict, "the key manager's epoch has changed meanwhile"};
        TRY(*index, deps_.log.append(txn, leaf));
        return base::done();
      },
      [index, done = std::move(done)](const Status& status) mutable { done(status, *index); });
}

namespace {

/// On whose word: the app, the policy that its approvals add up to, and their revision.
void put_approval(audit::Leaf& entry, const crypto::Secret& key, const KeyManagerWorkload& workload) {
  if (!workload.approval) return;
  const KeyManagerApproval& approval = *workload.approval;
  entry.tenant = approval.tenant;
  entry.app = approval.app.text();
  entry.policy = base::hex(approval.policy);
  entry.outputs["revision"] = audit::commitment(key, "revision", base::as_bytes(std::to_string(approval.version)));
}

}  // namespace

void KeyManager::key(const KeyManagerWorkload& workload, const KeyManagerKeyRequest& request,
                     Done<KeyManagerKey> done) const {
  const auto now = state();
  const auto master = present_in(*now);
  if (!master) return done(master.error());
  const std::uint32_t epoch = request.epoch == 0 ? (*master)->epoch : request.epoch;
  const auto from = now->masters.find(epoch);
  if (from == now->masters.end()) {
    return done(Error{Code::not_found, "this server does not have the master key of that epoch",
                      "an epoch since it joined", std::to_string(epoch)});
  }
  const crypto::Secret& secret = from->second->master;
  auto made = options_.dialect == KeyManagerDialect::native
                  ? keys::keymanager_workload_key(secret, workload.name, request.purpose, epoch)
              : options_.dialect == KeyManagerDialect::keymanager
                  ? keys::keymanager_v1::sealing_key(secret, workload.name)
                  : keys::keymanager_v2::sealing_key(secret, request.purpose);
  if (!made) return done(std::move(made).error());
  KeyManagerKey out{.key = *std::move(made), .epoch = epoch, .leaf = {0, deps_.random.secret(kLeafKeyBytes)}};
  audit::Leaf entry = leaf("keymanager.key", epoch);
  put_approval(entry, out.leaf.key, workload);
  entry.outputs["key"] = audit::commitment(out.leaf.key, "key", out.key.reveal());
  entry.outputs["purpose"] = audit::commitment(out.leaf.key, "purpose", base::as_bytes(request.purpose));
  entry.outputs["workload"] = audit::commitment(out.leaf.key, "workload", base::as_bytes(workload.name));
  release(*master, std::move(entry), workload.approval,
          [out = std::move(out), done = std::move(done)](const Status& status, std::uint64_t index) mutable {
            if (!status) return done(status.error());
            out.leaf.index = index;
            done(std::move(out));
          });
}

namespace {

/// Commitments of an attestation, and its way into the log.
void put_outputs(audit::Leaf& entry, const KeyManagerAttested& out, std::string_view workload,
                 std::string_view purpose) {
  entry.outputs["digest"] = audit::commitment(out.leaf.key, "digest", out.plain.digest);
  entry.outputs["purpose"] = audit::commitment(out.leaf.key, "purpose", base::as_bytes(purpose));
  entry.outputs["workload"] = audit::commitment(out.leaf.key, "workload", base::as_bytes(workload));
  if (out.bound) entry.outputs["bound"] = audit::commitment(out.leaf.key, "bound", out.bound->digest);
}

Result<KeyManagerAttested> attested(const KeyManagerMaster& master, const KeyManagerOptions& options,
                                    std::string_view workload, std::string_view purpose, std::string_view app_data_hex,
                                    base::UtcTime now) {
  KeyManagerAttested out{.signer = master.address, .epoch = master.epoch};
  TRY_OK(base::hex_decode_into(app_data_hex, out.app_data), "app data");
  TRY(const auto digest, keys::keymanager_v1::attest_digest(workload, out.app_data));
  TRY(out.plain, sign(master, digest));
  if (options.dialect != KeyManagerDialect::native) {
    TRY(const auto hash, keys::keymanager_v1::emitted_app_data(app_data_hex, workload));
    TRY(out.emitted, sign(master, keys::keymanager_v1::emitted_digest(hash)));
    return out;
  }
  out.expires = static_cast<std::uint64_t>(now.seconds + options.attestation_seconds);
  TRY(out.bound, sign(master, keys::keymanager_attestation_digest(options.contract, {.workload = workload,
                                                                                     .purpose = purpose,
                                                                                     .app_data = out.app_data,
                                                                                     .epoch = master.epoch,
                                                                                     .expires = out.expires})));
  return out;
}

Result<KeyManagerAttested> attested_tag(const KeyManagerMaster& master, std::string_view tag, base::ByteView data) {
  KeyManagerAttested out{.signer = master.address, .epoch = master.epoch};
  out.app_data = keys::keymanager_v2::app_data(tag, data);
  TRY(out.plain, sign(master, keys::keymanager_v2::attest_digest(out.app_data)));
  return out;
}

}  // namespace

void KeyManager::attest(const KeyManagerWorkload& workload, std::string_view purpose, std::string_view app_data_hex,
                        Done<KeyManagerAttested> done) const {
  const auto master = present();
  if (!master) return done(master.error());
  auto made = attested(**master, options_, workload.name, purpose, app_data_hex, deps_.store.now());
  if (!made) return done(std::move(made).error());
  made->leaf.key = deps_.random.secret(kLeafKeyBytes);
  audit::Leaf entry = leaf("keymanager.attest", (*master)->epoch);
  put_approval(entry, made->leaf.key, workload);
  put_outputs(entry, *made, workload.name, purpose);
  release(*master, std::move(entry), workload.approval,
          [out = *std::move(made), done = std::move(done)](const Status& status, std::uint64_t index) mutable {
            if (!status) return done(status.error());
            out.leaf.index = index;
            done(std::move(out));
          });
}

void KeyManager::attest_tag(const KeyManagerWorkload& workload, std::string_view tag, base::ByteView data,
                            Done<KeyManagerAttested> done) const {
  const auto master = present();
  if (!master) return done(master.error());
  auto made = attested_tag(**master, tag, data);
  if (!made) return done(std::move(made).error());
  made->leaf.key = deps_.random.secret(kLeafKeyBytes);
  audit::Leaf entry = leaf("keymanager.attest", (*master)->epoch);
  put_approval(entry, made->leaf.key, workload);
  put_outputs(entry, *made, workload.name, tag);
  release(*master, std::move(entry), workload.approval,
          [out = *std::move(made), done = std::move(done)](const Status& status, std::uint64_t index) mutable {
            if (!status) return done(status.error());
            out.leaf.index = index;
            done(std::move(out));
          });
}

}  // namespace attestry::provision
