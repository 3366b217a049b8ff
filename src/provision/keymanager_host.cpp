// The host's side of a key manager: how it comes by its master, and how it hands it on.
#include <algorithm>
#include <utility>

#include "attestation/key_binding.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "curves/ethereum_signature.h"
#include "keys/keymanager_dialects.h"
#include "provision/internal/keymanager_state.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using chain::keymanager::Membership;
using curves::SignatureLayout;
using keys::ReportDataForm;
namespace v1 = keys::keymanager_v1;
namespace v2 = keys::keymanager_v2;

namespace {

constexpr std::size_t kMasterBytes = 32;
constexpr std::size_t kKeyBytes = 48;

}  // namespace

// ---- evidence of our own

Result<base::Bytes> KeyManager::evidence_for(const base::FixedBytes<64>& report_data) const {
  if (deps_.attester == nullptr) {
    if (!chain_) return base::Bytes{};  // nobody to show it to
    return Error{Code::configuration, "this server cannot make evidence of itself", "keymanager.attestation", "none"};
  }
  TRY(auto evidence, deps_.attester->attest(report_data), "evidence");
  return std::move(evidence.bytes);
}

base::FixedBytes<64> KeyManager::bootstrap_report_data(std::uint32_t epoch, const curves::Address& address) const {
  switch (options_.dialect) {
    case KeyManagerDialect::keymanager:
      return keys::report_data(v1::bootstrap_head(address), ReportDataForm::doubled);
    case KeyManagerDialect::dstack_vm:
      return keys::report_data(v2::bootstrap_head(address), ReportDataForm::padded);
    case KeyManagerDialect::native:
      break;
  }
  return keys::report_data(keys::keymanager_bootstrap_head(options_.contract, address, epoch), ReportDataForm::padded);
}

base::FixedBytes<64> KeyManager::newcomer_report_data(std::uint32_t epoch, const KeyManagerPeer& peer) const {
  if (options_.dialect == KeyManagerDialect::native) {
    return keys::report_data(keys::keymanager_newcomer_head(options_.contract, peer.address, peer.box_key, epoch),
                             ReportDataForm::padded);
  }
  // The replicatoor's: no address is in it.
  if (peer.address == curves::Address{}) {
    return keys::replicatoor::quoted_report_data(keys::replicatoor::request_head(peer.box_key));
  }
  return keys::report_data(v2::register_head(peer.box_key, peer.address), ReportDataForm::padded);
}

// ---- bootstrap

Result<std::uint32_t> KeyManager::next_epoch(bool rotate, base::Deadline deadline) {
  if (!chain_) {
    if (state()->masters.empty()) return 1u;
    return Error{Code::conflict, "Already bootstrapped", "a server without a master key",
                 "epoch " + std::to_string(state()->masters.rbegin()->first),
                 "Nothing is to be done: this server has its master key. It changes with a contract only "
                 "(keymanager.contract)."};
  }
  TRY_OK(refresh(deadline));
  const KeyManagerSaid& said = *state()->said;
  if (said.epoch == 0 || rotate) return said.epoch + 1;
  return Error{Code::conflict, "Already bootstrapped", "a contract without a master key",
               "epoch " + std::to_string(said.epoch) + ", xPub " + text_of(said.xpub),
               "POST /register to join, or POST /bootstrap?rotate=true for a master of the next epoch."};
}

Result<KeyManagerBootstrap> KeyManager::described(const Pending& pending) const {
  const KeyManagerMaster& master = *pending.master;
  KeyManagerBootstrap out{.epoch = master.epoch,
                          .address = master.address,
                          .evidence = pending.evidence,
                          .report_data = bootstrap_report_data(master.epoch, master.address)};
  if (master.epoch < 2) return out;
  const auto digest = keys::keymanager_rotation_digest(options_.contract, master.address, master.epoch);
  TRY(out.rotation, curves::ethereum_sign(master.signer, digest, SignatureLayout::vrs));
  return out;
}

Result<KeyManagerBootstrap> KeyManager::bootstrap(bool rotate, base::Deadline deadline) {
  const base::MutexLock one_at_a_time(host_);
  TRY(const auto epoch, next_epoch(rotate, deadline));
  const auto now = state();
  if (const auto found = now->pending.find(epoch); found != now->pending.end()) return described(*found->second);
  // Every 32 bytes but a few in 2^128 are a key of secp256k1.
  TRY(const auto master, make(epoch, deps_.random.secret(kMasterBytes), false));
  TRY(auto evidence, evidence_for(bootstrap_report_data(epoch, master->address)));
  const auto pending = std::make_shared<const Pending>(Pending{master, std::move(evidence)});
  TRY_OK(deps_.store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        audit::Leaf entry = leaf("keymanager.bootstrap", epoch);
        entry.binding = base::hex(bootstrap_report_data(epoch, master->address));
        TRY([[maybe_unused]] const auto index, deps_.log.append(txn, entry));
        if (!chain_) return records_.keep(txn, epoch, {master->master.clone(), false});
        return records_.put(txn, KeyManagerPending{epoch, master->master.clone(), pending->evidence});
      },
      deadline));
  change([&](State& next) {
    if (chain_) next.pending[epoch] = pending;
    if (!chain_) next.masters[epoch] = master;
  });
  return described(*pending);
}

// ---- joining

Result<std::shared_ptr<const KeyManager::State>> KeyManager::with_request(base::Deadline deadline) {
  if (!chain_) {
    return Error{Code::conflict, "there is nobody to join", "keymanager.contract", "none", "POST /bootstrap instead."};
  }
  TRY_OK(refresh(deadline));
  const auto now = state();
  const std::uint32_t epoch = now->said->epoch;
  if (epoch == 0) {
    return Error{Code::conflict, "the contract has no master key to ask for", "a contract that was bootstrapped",
                 "epoch 0", "POST /bootstrap on the first server."};
  }
  if (now->masters.contains(epoch)) return Error{Code::conflict, "this server has the master key already"};
  if (now->own && now->own->request.epoch == epoch) return now;
  auto box = curves::BoxPrivateKey::generate(deps_.random);
  TRY(auto member, curves::Secp256k1PrivateKey::from_wide(deps_.random.secret(kKeyBytes).reveal()));
  const KeyManagerPeer peer{curves::ethereum_address(member.public_key_raw()), box.public_key()};
  TRY(auto evidence, evidence_for(newcomer_report_data(epoch, peer)));
  const auto own =
      std::make_shared<const Own>(KeyManagerRequest{epoch, std::move(box), std::move(member), std::move(evidence)});
  TRY_OK(deps_.store.write_and_wait([&](state::WriteTxn& txn) { return records_.put(txn, own->request); }, deadline));
  change([&](State& next) { next.own = own; });
  return state();
}

Result<KeyManagerRegistration> KeyManager::registration(const std::optional<curves::Address>& payer,
                                                        base::Deadline deadline) {
  const base::MutexLock one_at_a_time(host_);
  TRY(const auto now, with_request(deadline));
  const KeyManagerRequest& request = now->own->request;
  KeyManagerRegistration out{.epoch = request.epoch,
                             .member = now->own->peer.address,
                             .box_key = now->own->peer.box_key,
                             .evidence = request.evidence,
                             .evidence_sha256 = crypto::sha256(request.evidence)};
  out.report_data = newcomer_report_data(out.epoch, {out.member, out.box_key});
  if (!payer) return out;
  const auto digest = options_.dialect == KeyManagerDialect::native
                          ? keys::keymanager_join_digest(options_.contract, {.member = out.member,
                                                                             .box_key = out.box_key,
                                                                             .payer = *payer,
                                                                             .evidence = out.evidence_sha256,
                                                                             .epoch = out.epoch})
                          : v2::register_digest(*payer);
  TRY(out.join, curves::ethereum_sign(request.member, digest, SignatureLayout::vrs));
  return out;
}

Result<KeyManagerRegistration> KeyManager::replica_request(base::Deadline deadline) {
  const base::MutexLock one_at_a_time(host_);
  TRY(const auto now, with_request(deadline));
  KeyManagerRegistration out{.epoch = now->own->request.epoch, .box_key = now->own->peer.box_key};
  out.report_data = newcomer_report_data(out.epoch, {{}, out.box_key});
  TRY(out.evidence, evidence_for(out.report_data));
  out.evidence_sha256 = crypto::sha256(out.evidence);
  return out;
}

Result<KeyManagerResignation> KeyManager::resignation(base::Deadline deadline) {
  TRY_OK(refresh(deadline));
  const auto now = state();
  if (!now->said || !now->own || now->own->request.epoch != now->said->epoch) {
    return Error{Code::conflict, "this server did not join, so it cannot resign", "a member that asked to join", "none",
                 "The server that made the master goes with the next epoch."};
  }
  KeyManagerResignation out{.epoch = now->said->epoch, .member = now->own->peer.address};
  const auto digest = keys::keymanager_resign_digest(options_.contract, out.member, out.epoch);
  TRY(out.signature, curves::ethereum_sign(now->own->request.member, digest, SignatureLayout::vrs));
  return out;
}

Result<std::uint32_t> KeyManager::accept(base::ByteView box, base::Deadline deadline) {
  const base::MutexLock one_at_a_time(host_);
  const auto before = state();
  if (!before->own) {
    return Error{Code::conflict, "this server has asked for no master key", "POST /register first", "no request"};
  }
  const KeyManagerRequest& request = before->own->request;
  TRY_OK(refresh(deadline));
  const KeyManagerSaid said = *state()->said;
  if (said.epoch != request.epoch) {
    return Error{Code::conflict, "the request was for another epoch", std::to_string(said.epoch),
                 std::to_string(request.epoch), "POST /register again."};
  }
  TRY(const auto opened, curves::sealed_box_open(request.box, box), "sealed master key");
  TRY(const auto master, make(request.epoch, opened, true));
  // A box says nothing of who sealed it: without this look the host could give the server a master of its own.
  if (master->address != said.xpub) {
    return Error{Code::denied, "the received master key is not the contract's", "xPub " + text_of(said.xpub),
                 text_of(master->address)};
  }
  // Whoever has the key stands in the contract's history: a host that sends no onboarding gives nobody a key.
  if (said.membership != Membership::onboarded) {
    return Error{said.membership == Membership::rejected ? Code::denied : Code::unavailable,
                 "the contract does not know this server as onboarded", "onboarded",
                 std::string{chain::keymanager::name_of(said.membership)},
                 "Send the member's onboard to the contract first, wait until its block is final, and ask again."};
  }
  TRY_OK(deps_.store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        audit::Leaf entry = leaf("keymanager.join", request.epoch);
        entry.reply = base::hex(crypto::sha256(box));
        TRY([[maybe_unused]] const auto index, deps_.log.append(txn, entry));
        return records_.keep(txn, request.epoch, {opened.clone(), true});
      },
      deadline));
  change([&](State& next) { next.masters.try_emplace(request.epoch, master); });
  return request.epoch;
}

// ---- helping

struct KeyManager::Checked {
  Master master;
  base::FixedBytes<16> fmspc{};
  base::Digest32 measurement{};
  base::Digest32 policy{};
  base::FixedBytes<64> report_data{};
};

namespace {

Result<base::Bytes> claim_bytes(const attestation::Verdict& verdict, std::string_view name, std::size_t size) {
  const auto* claim = verdict.claim(name);
  if (claim == nullptr) {
    return Error{Code::denied, "newcomer's evidence", "evidence of an Intel platform", "no " + std::string{name}};
  }
  TRY(auto bytes, base::hex_decode(claim->value), name);
  if (bytes.size() != size) return Error{Code::malformed, std::string{name}, std::to_string(size) + " bytes"};
  return bytes;
}

template <std::size_t N>
Result<base::FixedBytes<N>> claim_of(const attestation::Verdict& verdict, std::string_view name) {
  TRY(const auto bytes, claim_bytes(verdict, name, N));
  base::FixedBytes<N> out{};
  std::ranges::copy(bytes, out.begin());
  return out;
}

Result<KeyManagerMeasured> measured_in(const attestation::Verdict& verdict,
                                       const std::optional<base::Digest32>& rootfs) {
  KeyManagerMeasured out;
  TRY(const auto fmspc, claim_of<6>(verdict, "fmspc"));
  out.fmspc = v2::fmspc_word(fmspc);
  if (verdict.platform == attestation::Platform::sgx) {
    TRY(out.mrenclave, claim_of<32>(verdict, "mrenclave"));
    return out;
  }
  TRY(const auto mrtd, claim_of<48>(verdict, "mrtd"));
  out.mrtd = v2::measurement(mrtd);
  if (!rootfs) return out;
  TRY(const auto rtmr0, claim_of<48>(verdict, "rtmr0"));
  TRY(const auto rtmr3, claim_of<48>(verdict, "rtmr3"));
  out.machine = keys::replicatoor::machine_key(*rootfs, mrtd, rtmr0, rtmr3);
  return out;
}

/// Which of what was measured the contract lists: a machine before its firmware alone.
Result<base::Digest32> listed_in(const KeyManagerLists& lists, const KeyManagerMeasured& measured,
                                 const KeyManagerOptions& options) {
  const bool covered = options.policy.rules().require_identity;
  if (lists.mrenclave) return *measured.mrenclave;
  if (lists.machine && (covered || options.machine_suffices)) return *measured.machine;
  if (lists.mrtd && (covered || options.mrtd_suffices)) return *measured.mrtd;
  if (lists.machine || lists.mrtd) {
    return Error{Code::denied, "the contract lists the newcomer's firmware, and nothing says what else it runs",
                 "identities with RTMR1 and RTMR2 in keymanager.policy",
                 lists.machine ? "MRTD, RTMR0 and RTMR3" : "MRTD alone",
                 lists.machine ? "Name them, or set keymanager.machine_suffices."
                               : "Name them, or set keymanager.mrtd_suffices."};
  }
  const auto& shown = measured.mrtd ? measured.mrtd : measured.mrenclave;
  return Error{Code::denied, std::string{kNotListed}, "a listed measurement", base::hex(*shown)};
}

Status require_tcb(const KeyManagerLists& lists, const attestation::Verdict& verdict,
                   const KeyManagerMeasured& measured) {
  const std::string status = verdict.tcb ? verdict.tcb->status : "no TCB";
  const std::uint32_t evaluation = verdict.tcb ? verdict.tcb->evaluation_number.value_or(0) : 0;
  if (chain::keymanager::takes(lists.tcb, status, evaluation)) return base::done();
  return Error{Code::denied, "the contract does not take the newcomer's platform",
               "a status of allowed_tcbs(" + base::hex(base::ByteView{measured.fmspc}.first(6)) + ")",
               status + ", evaluation " + std::to_string(evaluation)};
}

Status require_asked(const KeyManagerSaid& said) {
  if (said.membership == Membership::requested) return base::done();
  return Error{Code::denied, "the contract does not have the newcomer as one who asked", "requested",
               std::string{chain::keymanager::name_of(said.membership)}};
}

}  // namespace

Result<KeyManager::Checked> KeyManager::check_newcomer(const KeyManagerNewcomer& newcomer, base::Deadline deadline) {
  TRY_OK(refresh(deadline));
  Checked out;
  TRY(out.master, present());
  out.report_data = newcomer_report_data(out.master->epoch, newcomer.peer);
  const attestation::Evidence evidence{.format = attestation::detect_format(newcomer.evidence),
                                       .bytes = newcomer.evidence};
  const auto time = deps_.store.now();
  TRY(auto verdict, deps_.appraiser.verify(evidence, time, time, deadline), "newcomer's evidence");
  TRY(const auto report, attestation::appraise_report_data(options_.policy, verdict, out.report_data),
      "newcomer's evidence");
  if (verdict.simulated != (deps_.store.realm() == base::Realm::simulated)) {
    return Error{Code::denied, "newcomer's evidence is of another realm"};
  }
  out.policy = report.policy_sha256();
  TRY(const auto measured, measured_in(report.verdict(), newcomer.rootfs));
  out.fmspc = measured.fmspc;
  if (!chain_) {
    return Error{Code::configuration, "nobody says who may have the master key", "keymanager.contract", "none"};
  }
  TRY(const auto lists, chain_->lists(newcomer.peer, measured, deadline));
  if (lists.said.epoch != out.master->epoch || lists.said.frozen) {
    return Error{Code::conflict, "the contract has changed meanwhile", {}, {}, "Ask again."};
  }
  TRY_OK(require_asked(lists.said));
  TRY(out.measurement, listed_in(lists, measured, options_));
  TRY_OK(require_tcb(lists, report.verdict(), measured));
  return out;
}

Result<KeyManagerOnboarded> KeyManager::seal_to(const KeyManagerNewcomer& newcomer, const Checked& checked) const {
  const KeyManagerMaster& master = *checked.master;
  KeyManagerOnboarded out{.epoch = master.epoch, .fmspc = checked.fmspc, .measurement = checked.measurement};
  TRY(out.box, curves::sealed_box_seal(newcomer.peer.box_key, master.master.reveal(), deps_.random));
  const keys::KeyManagerOnboarding said{out.fmspc, out.measurement, out.box, out.epoch};
  const bool by_key = newcomer.peer.address == curves::Address{};
  base::Digest32 digest{};
  // Computed here, whatever a node says of it.
  if (options_.dialect == KeyManagerDialect::native) {
    digest = by_key ? keys::keymanager_onboard_key_digest(options_.contract, newcomer.peer.box_key, said)
                    : keys::keymanager_onboard_digest(options_.contract, newcomer.peer.address, said);
  } else {
    digest = by_key ? v1::onboard_digest(newcomer.peer.box_key, out.box)
                    : v2::onboard_digest(newcomer.peer.address, out.fmspc, out.measurement, out.box);
  }
  TRY(out.signature, curves::ethereum_sign(master.signer, digest, SignatureLayout::vrs));
  return out;
}

void KeyManager::onboard(const KeyManagerNewcomer& newcomer, base::Deadline deadline, Done<KeyManagerOnboarded> done) {
  auto checked = check_newcomer(newcomer, deadline);
  if (!checked) return done(std::move(checked).error());
  auto made = seal_to(newcomer, *checked);
  if (!made) return done(std::move(made).error());
  audit::Leaf entry = leaf("keymanager.onboard", made->epoch);
  entry.binding = base::hex(checked->report_data);
  entry.policy = base::hex(checked->policy);
  // All of it goes to the chain: whoever has the box can check the commitments.
  const auto key = crypto::Secret::copy_of(crypto::sha256(made->box));
  entry.outputs["measurement"] = audit::commitment(key, "measurement", made->measurement);
  entry.outputs["fmspc"] = audit::commitment(key, "fmspc", made->fmspc);
  entry.outputs["member"] = audit::commitment(key, "member", newcomer.peer.address);
  entry.outputs["box-key"] = audit::commitment(key, "box-key", newcomer.peer.box_key);
  entry.reply = base::hex(crypto::sha256(made->box));
  release(checked->master, std::move(entry), {},
          [out = *std::move(made), done = std::move(done)](const Status& status, std::uint64_t) mutable {
            if (!status) return done(status.error());
            done(std::move(out));
          });
}

}  // namespace attestry::provision
