#include "cluster/node.h"

#include <algorithm>
#include <limits>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "state/keys.h"

namespace attestry::cluster {

using base::ByteView;
using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;
using curves::bls::G1;
using curves::bls::Scalar;
using state::Key;
using state::Space;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kMostRecords = std::numeric_limits<std::size_t>::max();
constexpr std::size_t kMostAppId = 10'000;

Key records() { return Key(Space::threshold); }
Key seed_key() { return records().lp("seed"); }
Key epoch_key() { return records().lp("epoch"); }
Key shares() { return records().lp("share"); }
Key share_key(const Plan& plan, const Outcome& outcome) { return shares().u64(plan.epoch).raw(outcome.digest()); }
/// Beside the share, so that it is erased with it.
Key blinding_key(const Key& share) { return Key{share}.lp("blinding"); }
Key boxes() { return records().lp("box"); }
Key box_key(const base::FixedBytes<32>& session) { return boxes().raw(session); }
/// Who asked for the key of a session, and when: caller (32), sequence u64.
Key askers() { return records().lp("asker"); }
Key asker_key(const base::FixedBytes<32>& session) { return askers().raw(session); }
Key deals() { return records().lp("deal"); }
Key deal_key(const Plan& plan) { return deals().raw(plan.digest()); }
/// The one outcome of a first epoch that this node has said it stored.
Key first_key() { return records().lp("first"); }

crypto::Secret seed_part(const crypto::Secret& seed, std::string_view use) {
  return crypto::hkdf_sha256(crypto::sha256(base::as_bytes("attestry/threshold-node/1")), seed.reveal(),
                             base::as_bytes(use), 32);
}

Status erase_all(state::WriteTxn& txn, ByteView prefix, ByteView but = {}) {
  std::vector<base::Bytes> keys;
  TRY_OK(txn.scan(prefix, {}, kMostRecords, [&](ByteView key, ByteView) {
    if (!base::equal(key, but)) keys.push_back(base::to_bytes(key));
    return true;
  }));
  for (const base::Bytes& key : keys) TRY_OK(txn.erase(key));
  return base::done();
}

/// Shares of epochs before `epoch`.
Status erase_older_shares(state::WriteTxn& txn, std::uint32_t epoch) {
  const Key first = shares().u64(epoch);
  std::vector<base::Bytes> keys;
  TRY_OK(txn.scan(shares(), {}, kMostRecords, [&](ByteView key, ByteView) {
    if (!std::ranges::lexicographical_compare(key, ByteView{first})) return false;
    keys.push_back(base::to_bytes(key));
    return true;
  }));
  for (const base::Bytes& key : keys) TRY_OK(txn.erase(key));
  return base::done();
}

}  // namespace

struct Node::InForce {
  Epoch epoch;
  keys::ckd::MasterPublicKey master;
  std::optional<Scalar> share;
  std::optional<crypto::Secret> blinding;  ///< where there is a share
};

struct Node::Answer {
  std::shared_ptr<const InForce> in_force;
  Scalar lambda, y;
  G1 hash_point, app_key;
};

Node::Node(NodeOptions options, const crypto::Secret& seed, state::Store& store, const state::SealedValues& sealed,
           crypto::Random& random)
    : options_(std::move(options)), signing_(*signing_key_of(seed)), store_(store), sealed_(sealed), random_(random) {}

Result<crypto::Secret> Node::seed_in(state::Store& store, const state::SealedValues& sealed, crypto::Random& random,
                                     base::Deadline deadline) {
  const Key key = seed_key();
  TRY(const auto view, store.read());
  TRY(const auto stored, view->get(key));
  if (stored) {
    TRY(auto seed, sealed.open(key, *stored), "seed of a node");
    return seed;
  }
  auto seed = random.secret(32);
  TRY(const base::Bytes value, sealed.seal(key, seed.reveal()));
  TRY_OK(store.write_and_wait([&](state::WriteTxn& txn) { return txn.put(key, value); }, deadline));
  return seed;
}

Result<crypto::Ed25519PrivateKey> Node::signing_key_of(const crypto::Secret& seed) {
  return crypto::Ed25519PrivateKey::from_seed(seed_part(seed, "signing").reveal());
}

Result<std::unique_ptr<Node>> Node::open(NodeOptions options, const crypto::Secret& seed, state::Store& store,
                                         const state::SealedValues& sealed, crypto::Random& random) {
  if (seed.size() != 32 || options.id >= kMostNodes) {
    return Error{Code::usage, "node", "a seed of 32 bytes and an id below " + std::to_string(kMostNodes)};
  }
  std::unique_ptr<Node> out{new Node(std::move(options), seed, store, sealed, random)};
  TRY_OK(out->load());
  return out;
}

Status Node::load() {
  TRY(const auto view, store_.read());
  TRY(const auto stored, view->get(epoch_key()));
  if (!stored) return base::done();
  TRY(base::Reader reader, state::open_value(*stored, kVersion, "epoch of a node"));
  TRY(Epoch epoch, Epoch::parse(reader.rest()));
  const Key key = share_key(epoch.plan, epoch.outcome);
  TRY(auto share, kept(key));
  std::optional<crypto::Secret> blinding;
  if (share) {
    // There is none yet in a store that was restored.
    base::Bytes sealed;
    TRY(blinding, blinding_of(blinding_key(key), sealed));
    if (!sealed.empty()) TRY_OK(write([&](state::WriteTxn& txn) { return txn.put(blinding_key(key), sealed); }));
  }
  keys::ckd::MasterPublicKey master{epoch.outcome.commitments().constant()};
  const MutexLock lock{mutex_};
  in_force_ = std::make_shared<const InForce>(
      InForce{std::move(epoch), std::move(master), std::move(share), std::move(blinding)});
  return base::done();
}

std::shared_ptr<const Node::InForce> Node::in_force() const {
  const MutexLock lock{mutex_};
  return in_force_;
}

std::shared_ptr<const Epoch> Node::current() const {
  const auto now = in_force();
  return now == nullptr ? nullptr : std::shared_ptr<const Epoch>{now, &now->epoch};
}

std::shared_ptr<const keys::ckd::MasterPublicKey> Node::master() const {
  const auto now = in_force();
  return now == nullptr ? nullptr : std::shared_ptr<const keys::ckd::MasterPublicKey>{now, &now->master};
}

bool Node::holds_share() const {
  const auto now = in_force();
  return now != nullptr && now->share.has_value();
}

Status Node::write(state::Store::Closure closure) {
  return store_.write_and_wait(std::move(closure), std::chrono::steady_clock::now() + options_.patience);
}

Result<std::optional<Scalar>> Node::kept(ByteView key) const {
  TRY(const auto view, store_.read());
  TRY(const auto stored, view->get(key));
  if (!stored) return std::optional<Scalar>{};
  TRY(const crypto::Secret bytes, sealed_.open(key, *stored), "a node's share or key");
  TRY(Scalar out, Scalar::from_big_endian(bytes.reveal()));
  return std::optional<Scalar>{std::move(out)};
}

Result<crypto::Secret> Node::blinding_of(ByteView key, base::Bytes& sealed) const {
  TRY(const auto view, store_.read());
  TRY(const auto stored, view->get(key));
  if (stored) {
    TRY(auto out, sealed_.open(key, *stored), "blinding of a node's answers");
    return out;
  }
  auto out = random_.secret(32);
  TRY(sealed, sealed_.seal(key, out.reveal()));
  return out;
}

Status Node::approved(const Plan& plan, const Approval& approval) const {
  if (plan.realm != options_.realm) {
    return Error{Code::realm_mismatch, "plan of an epoch", std::string{to_text(options_.realm)},
                 std::string{to_text(plan.realm)}};
  }
  return approval.check(plan, options_.operators, options_.operators_needed);
}

/// Sessions whose keys must go so that `caller` may have one more.
Result<std::vector<base::Bytes>> Node::too_many(state::WriteTxn& txn, const base::FixedBytes<32>& caller) const {
  const auto now = in_force();
  const auto has_own = [&](ByteView key) {
    return base::equal(key, signing_key()) ||
           (now != nullptr && std::ranges::any_of(now->epoch.plan.members, [&](const Member& one) {
              return base::equal(one.signing_key, key);
            }));
  };
  const bool own = has_own(caller);
  struct Asked {
    bool callers = false;
    std::uint64_t sequence = 0;
    base::Bytes session;
  };
  std::vector<Asked> found;
  const std::size_t prefix = ByteView{askers()}.size();
  Status read = base::done();
  TRY_OK(txn.scan(askers(), {}, kMostRecords, [&](ByteView key, ByteView value) {
    base::Reader reader{value};
    const auto who = reader.take_array<32>("caller");
    const auto sequence = reader.u64be("sequence");
    if (!who || !sequence) {
      read = Error{Code::corrupt, "who asked for a key"};
      return false;
    }
    const bool callers = base::equal(*who, caller);
    if (own ? callers : !has_own(*who)) found.push_back({callers, *sequence, base::to_bytes(key.subspan(prefix))});
    return true;
  }));
  TRY_OK(read);
  // The caller's own first, and of each the oldest.
  std::ranges::sort(found, [](const Asked& a, const Asked& b) {
    return a.callers != b.callers ? a.callers : a.sequence < b.sequence;
  });
  std::vector<base::Bytes> out;
  const std::size_t most = own ? kMostOffers : kMostOffersOfOthers;
  for (std::size_t i = 0; found.size() - i >= most; ++i) out.push_back(found[i].session);
  return out;
}

Result<Offer> Node::offer(const base::FixedBytes<32>& cluster, const base::FixedBytes<32>& session,
                          const std::optional<base::FixedBytes<32>>& asked_by) {
  const base::FixedBytes<32> caller = asked_by.value_or(signing_key());
  const MutexLock lock{changing_};
  const Key key = box_key(session);
  TRY(auto secret, kept(key));
  if (!secret) {
    secret = Scalar::random(random_);
    const crypto::Secret bytes = secret->big_endian();
    TRY(const base::Bytes sealed, sealed_.seal(key, bytes.reveal()));
    TRY_OK(write([&](state::WriteTxn& txn) -> Status {
      TRY(const auto gone, too_many(txn, caller));
      for (const base::Bytes& one : gone) {
        TRY_OK(txn.erase(boxes().raw(one)));
        TRY_OK(txn.erase(askers().raw(one)));
      }
      std::uint64_t sequence = 0;
      TRY_OK(txn.scan(askers(), {}, kMostRecords, [&](ByteView, ByteView value) {
        base::Reader reader{value.subspan(32)};
        sequence = std::max(sequence, reader.u64be("sequence").value() + 1);
        return true;
      }));
      base::LpWriter asker;
      asker.raw(caller).u64(sequence);
      TRY_OK(txn.put(asker_key(session), asker.bytes()));
      return txn.put(key, sealed);
    }));
  }
  return Offer::sign(cluster, session, options_.id, G1::times_generator(*secret).encode(), signing_);
}

Status Node::may_follow(const Plan& plan, const Approval& approval) const {
  TRY_OK(plan.check());
  if (plan.realm != options_.realm) {
    return Error{Code::realm_mismatch, "plan of an epoch", std::string{to_text(options_.realm)},
                 std::string{to_text(plan.realm)}};
  }
  TRY_OK(approval.check(plan, options_.operators, options_.operators_needed));
  const auto now = in_force();
  const std::uint32_t expected = now == nullptr ? 1 : now->epoch.plan.epoch + 1;
  // A node that joins knows no epoch yet: it has nothing to deal, and takes what operators have approved.
  const bool joins = now == nullptr && plan.find(options_.id) != nullptr;
  if (plan.epoch != expected && !joins) {
    return Error{Code::conflict, "plan of an epoch", "epoch " + std::to_string(expected), std::to_string(plan.epoch)};
  }
  if (now != nullptr && (plan.cluster != now->epoch.plan.cluster || plan.previous != now->epoch.outcome.digest())) {
    return Error{Code::conflict, "plan of epoch " + std::to_string(plan.epoch), "the one after the epoch in force",
                 "another"};
  }
  const Member* self = plan.find(options_.id);
  if (self != nullptr && self->signing_key != signing_key()) {
    return Error{Code::denied, "plan of an epoch: node " + std::to_string(options_.id), "this node's key", "another's"};
  }
  return base::done();
}

Status Node::may_receive(const Plan& plan, const Approval& approval) const {
  TRY_OK(may_follow(plan, approval));
  if (plan.find(options_.id) != nullptr) return base::done();
  return Error{Code::not_found, "node " + std::to_string(options_.id) + ": its place in the plan"};
}

Result<Deal> Node::propose(const Plan& plan, const Approval& approval) {
  const MutexLock lock{changing_};
  TRY_OK(may_follow(plan, approval));
  const Key key = deal_key(plan);
  TRY(const auto view, store_.read());
  TRY(const auto stored, view->get(key));
  if (stored) return Deal::parse(*stored);
  const auto now = in_force();
  if (plan.epoch > 1 && (now == nullptr || !now->share)) {
    return Error{Code::not_found, "node " + std::to_string(options_.id) + ": a share to deal",
                 "a share of the epoch before", "none"};
  }
  if (plan.epoch == 1 && plan.find(options_.id) == nullptr) {
    return Error{Code::not_found, "node " + std::to_string(options_.id) + ": its place in the plan"};
  }
  const Polynomial polynomial =
      Polynomial::random(plan.epoch == 1 ? Scalar::random(random_) : now->share->clone(), plan.threshold, random_);
  TRY(Deal deal, Deal::make(plan, options_.id, polynomial, signing_, random_));
  // Before anybody sees it: two deals of one dealer would be taken for an attempt to cheat.
  TRY_OK(write([&](state::WriteTxn& txn) { return txn.put(key, deal.bytes()); }));
  return deal;
}

Result<Outcome> Node::outcome_of(const Plan& plan, std::span<const Deal> deals) const {
  if (plan.epoch == 1) return Outcome::generate(plan, deals);
  const auto now = in_force();
  if (now == nullptr) {
    return Error{Code::not_found, "the epoch before epoch " + std::to_string(plan.epoch), "to know it",
                 "a node that joins", "activate the epoch in force on this node first"};
  }
  return Outcome::reshare(plan, now->epoch.plan, now->epoch.outcome, deals);
}

Result<Scalar> Node::own_share(const Plan& plan, const Outcome& outcome, std::span<const Deal> deals) const {
  TRY(auto share, kept(share_key(plan, outcome)));
  if (share) return *std::move(share);
  TRY(const auto box, kept(box_key(plan.session)));
  const Member* self = plan.find(options_.id);
  if (!box || self == nullptr || G1::times_generator(*box).encode() != self->box_key) {
    return Error{Code::not_found, "node " + std::to_string(options_.id) + ": the key that its shares are encrypted to",
                 "one that it offered for this plan", "none",
                 "begin again with another session: this node was set up anew, or another epoch came first"};
  }
  return outcome.share(plan, deals, options_.id, *box);
}

Status Node::keep_share(const Plan& plan, const Outcome& outcome, const Scalar& share) {
  const Key key = share_key(plan, outcome);
  const crypto::Secret bytes = share.big_endian();
  TRY(const base::Bytes sealed, sealed_.seal(key, bytes.reveal()));
  const base::Digest32 digest = outcome.digest();
  return write([&](state::WriteTxn& txn) -> Status {
    if (plan.epoch == 1) {
      TRY(const auto first, txn.get(first_key()));
      // All members must store the same one: what some would have of another is a master that nobody can use.
      if (first && !base::equal(*first, digest)) {
        return Error{Code::conflict, "first epoch", "the outcome that this node has stored its share of", "another",
                     "go on with the plan that was begun, or set all nodes up anew"};
      }
      TRY_OK(txn.put(first_key(), digest));
    }
    return txn.put(key, sealed);
  });
}

Result<std::variant<Scalar, Complaint>> Node::opened(const Plan& plan, const Outcome& outcome,
                                                     std::span<const Deal> deals) {
  using Out = std::variant<Scalar, Complaint>;
  auto share = own_share(plan, outcome, deals);
  if (share) return Out{*std::move(share)};
  if (share.error().code != Code::evidence_false) return share.error();
  TRY(const auto box, kept(box_key(plan.session)));
  for (const Deal& deal : deals) {
    if (!box || deal.open(plan, options_.id, *box).ok()) continue;
    TRY(Complaint complaint, Complaint::make(plan, deal, options_.id, *box, signing_, random_));
    return Out{std::move(complaint)};
  }
  return share.error();
}

Result<std::optional<Complaint>> Node::check(const Plan& plan, const Approval& approval, std::span<const Deal> deals) {
  const MutexLock lock{changing_};
  TRY_OK(may_receive(plan, approval));
  TRY(const Outcome outcome, outcome_of(plan, deals));
  TRY(auto result, opened(plan, outcome, deals));
  if (auto* complaint = std::get_if<Complaint>(&result)) return std::optional<Complaint>{std::move(*complaint)};
  return std::optional<Complaint>{};
}

Result<std::variant<Stored, Complaint>> Node::prepare(const Plan& plan, const Approval& approval,
                                                      std::span<const Deal> deals) {
  using Out = std::variant<Stored, Complaint>;
  const MutexLock lock{changing_};
  TRY_OK(may_receive(plan, approval));
  TRY(const Outcome outcome, outcome_of(plan, deals));
  TRY(auto result, opened(plan, outcome, deals));
  if (auto* complaint = std::get_if<Complaint>(&result)) return Out{std::move(*complaint)};
  TRY_OK(keep_share(plan, outcome, std::get<Scalar>(result)));
  return Out{Stored::sign(plan, outcome, options_.id, signing_)};
}

Status Node::activate(const Epoch& epoch) {
  const MutexLock lock{changing_};
  const auto now = in_force();
  const std::string name = "epoch " + std::to_string(epoch.plan.epoch);
  if (now != nullptr) {
    if (now->epoch.outcome.digest() == epoch.outcome.digest() || now->epoch.plan.epoch > epoch.plan.epoch)
      return base::done();
    if (now->epoch.plan.epoch == epoch.plan.epoch && now->epoch.outcome.digest() < epoch.outcome.digest())
      return base::done();
    if (now->epoch.plan.cluster != epoch.plan.cluster ||
        !(now->epoch.outcome.commitments().constant() == epoch.outcome.commitments().constant())) {
      return Error{Code::conflict, name, "the cluster and the master public key of this node", "another's"};
    }
  }
  if (epoch.plan.realm != options_.realm) {
    return Error{Code::realm_mismatch, name, std::string{to_text(options_.realm)},
                 std::string{to_text(epoch.plan.realm)}};
  }
  // Nobody else's: somebody may be an operator no longer because his key was stolen. Those of now can approve an epoch
  // of the same members, which has the same master.
  if (auto good = epoch.approval.check(epoch.plan, options_.operators, options_.operators_needed); !good) {
    good.error().remedy =
        "When node.operators has changed since that epoch, have those of now approve one: `attestry node reshare` at a "
        "member, where they are in the settings, too; then join again.";
    return good;
  }
  TRY_OK(epoch.certificate.check(epoch.plan, epoch.outcome));
  std::optional<Scalar> share;
  if (const Member* self = epoch.plan.find(options_.id); self != nullptr && self->signing_key == signing_key()) {
    // Without a share it follows all the same: it knows who has them, and gets one with the next epoch.
    auto own = own_share(epoch.plan, epoch.outcome, epoch.deals);
    if (own) {
      share = *std::move(own);
    } else if (own.error().code != Code::not_found && own.error().code != Code::evidence_false) {
      return own.error();  // nothing is erased while it cannot be read
    }
  }
  return replace(epoch, share);
}

Status Node::replace(const Epoch& epoch, const std::optional<Scalar>& share) {
  const Key key = share_key(epoch.plan, epoch.outcome);
  base::Bytes sealed, sealed_blinding;
  std::optional<crypto::Secret> blinding;
  if (share) {
    const crypto::Secret bytes = share->big_endian();
    TRY(sealed, sealed_.seal(key, bytes.reveal()));
    TRY(blinding, blinding_of(blinding_key(key), sealed_blinding));
  }
  base::LpWriter record = state::value(kVersion);
  record.raw(epoch.bytes());
  const Status written = write([&](state::WriteTxn& txn) -> Status {
    TRY_OK(txn.put(epoch_key(), record.bytes()));
    if (share) TRY_OK(txn.put(key, sealed));
    if (!sealed_blinding.empty()) TRY_OK(txn.put(blinding_key(key), sealed_blinding));
    // Now, in one transaction with the new one: what is stolen from here on is of no use with what was stolen before.
    TRY_OK(erase_older_shares(txn, epoch.plan.epoch));
    TRY_OK(erase_all(txn, deals()));
    TRY_OK(erase_all(txn, boxes()));
    TRY_OK(erase_all(txn, askers()));
    return options_.entered ? options_.entered(txn, epoch) : base::done();
  });
  if (!written) {
    // The disk may have it all the same, when what follows a commit has failed (store.h): the share before is gone
    // then, and this node answers as it would after a restart.
    TRY_OK(load());
    return written;
  }
  auto next = std::make_shared<const InForce>(
      InForce{epoch, keys::ckd::MasterPublicKey{epoch.outcome.commitments().constant()},
              share ? std::optional<Scalar>{share->clone()} : std::nullopt, std::move(blinding)});
  const MutexLock lock{mutex_};
  in_force_ = std::move(next);
  return base::done();
}

Result<Node::Holding> Node::holding() const {
  const auto now = in_force();
  if (now != nullptr && now->share) {
    return Holding{std::shared_ptr<const Epoch>{now, &now->epoch}, now->share->clone()};
  }
  return Error{Code::unavailable, "node " + std::to_string(options_.id) + ": a share of the epoch in force", "one",
               "none"};
}

Status Node::restore(const NodeOptions& options, const crypto::Secret& seed, const Epoch& epoch, const Scalar& share,
                     state::Store& store, const state::SealedValues& sealed, state::Store::Closure also) {
  if (!epoch.outcome.commitments().holds(options.id, share)) {
    return Error{Code::evidence_false, "node " + std::to_string(options.id) + ": its share",
                 "that of epoch " + std::to_string(epoch.plan.epoch), "another"};
  }
  const Key key = share_key(epoch.plan, epoch.outcome);
  const crypto::Secret bytes = share.big_endian();
  TRY(const base::Bytes kept, sealed.seal(key, bytes.reveal()));
  const Key own = seed_key();
  TRY(const base::Bytes kept_seed, sealed.seal(own, seed.reveal()));
  base::LpWriter record = state::value(kVersion);
  record.raw(epoch.bytes());
  return store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        bool empty = true;
        TRY_OK(txn.scan(records(), {}, 1, [&](ByteView, ByteView) { return empty = false; }));
        if (!empty) {
          return Error{Code::conflict, "the store of a node that is restored", "an empty one", "one that has a node",
                       "restore into a new folder; a node that has its disk needs no export"};
        }
        TRY_OK(txn.put(own, kept_seed));
        TRY_OK(txn.put(epoch_key(), record.bytes()));
        TRY_OK(txn.put(key, kept));
        if (epoch.plan.epoch == 1) TRY_OK(txn.put(first_key(), epoch.outcome.digest()));
        return also(txn);
      },
      std::chrono::steady_clock::now() + options.patience);
}

base::Bytes Node::Request::bytes() const {
  base::LpWriter out;
  out.lp("attestry/threshold-derivation/1").u32(epoch).raw(outcome).lp(app_id).raw(app_key);
  out.u16(static_cast<std::uint16_t>(participants.size()));
  for (const std::uint32_t id : participants) out.u32(id);
  return std::move(out).take();
}

Result<Node::Request> Node::Request::parse(ByteView bytes) {
  base::Reader reader{bytes};
  TRY(const ByteView label, reader.lp("label", 64));
  if (base::as_text(label) != "attestry/threshold-derivation/1") {
    return Error{Code::malformed, "request of a derivation: label"};
  }
  Request out;
  TRY(out.epoch, reader.u32be("epoch"));
  TRY(out.outcome, reader.take_array<32>("outcome"));
  TRY(const ByteView app_id, reader.lp("app_id", kMostAppId));
  out.app_id = base::to_bytes(app_id);
  TRY(out.app_key, reader.take_array<48>("app key"));
  TRY(const std::uint16_t count, reader.u16be("number of participants"));
  if (count > kMostNodes) return Error{Code::malformed, "number of participants", "at most 255", std::to_string(count)};
  for (std::uint16_t i = 0; i < count; ++i) {
    TRY(const std::uint32_t id, reader.u32be("participant"));
    out.participants.push_back(id);
  }
  TRY_OK(reader.finish("request of a derivation"));
  return out;
}

Result<Node::Answer> Node::answer(const Request& request) const {
  auto now = in_force();
  const std::string name = "node " + std::to_string(options_.id);
  if (now == nullptr || !now->share) {
    return Error{Code::unavailable, name + ": a share of the epoch in force", "one", "none",
                 "ask other nodes; this one gets a share with the next epoch"};
  }
  const Plan& plan = now->epoch.plan;
  if (request.epoch != plan.epoch) {
    return Error{Code::conflict, name + ": epoch", std::to_string(plan.epoch), std::to_string(request.epoch)};
  }
  if (request.outcome != now->epoch.outcome.digest()) {
    return Error{Code::conflict, name + ": outcome of epoch " + std::to_string(plan.epoch),
                 base::hex(now->epoch.outcome.digest()), base::hex(request.outcome)};
  }
  if (request.participants.size() < plan.threshold) {
    return Error{Code::malformed, "participants of a derivation", std::to_string(plan.threshold) + " or more",
                 std::to_string(request.participants.size())};
  }
  for (const std::uint32_t id : request.participants) {
    if (plan.find(id) == nullptr) {
      return Error{Code::malformed, "participants of a derivation", "members of the epoch", std::to_string(id)};
    }
  }
  TRY(Scalar lambda, keys::ckd::lagrange(request.participants, options_.id));
  TRY(const auto key, keys::ckd::AppPublicKey::decode(request.app_key));
  base::LpWriter info;
  info.lp(request.bytes()).raw(now->epoch.outcome.digest());
  const crypto::Secret wide = crypto::hkdf_expand_sha256(now->blinding->reveal(), info.bytes(), 64);
  const G1 point = keys::ckd::hash_point(now->master, request.app_id);
  return Answer{std::move(now), std::move(lambda), Scalar::from_wide(wide.reveal()), point, key.pk1};
}

Result<keys::ckd::Ciphertext> Node::derive(const Request& request) const {
  TRY(const Answer a, answer(request));
  return keys::ckd::share(*a.in_force->share, a.lambda, a.y, a.hash_point, a.app_key).encode();
}

Result<keys::ckd::ShareProof> Node::prove(const Request& request) const {
  TRY(const Answer a, answer(request));
  return keys::ckd::prove(*a.in_force->share, a.lambda, a.y, a.hash_point, a.app_key, request.bytes(), random_);
}

}  // namespace attestry::cluster
