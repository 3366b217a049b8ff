// One node of a threshold root: what it keeps, and what it does when it is asked. It trusts nobody but the operators'
// keys and what it checks itself. docs/formats/threshold.md
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "cluster/deal.h"
#include "cluster/epoch.h"
#include "cluster/outcome.h"
#include "cluster/plan.h"
#include "cluster/signatures.h"
#include "crypto/ec.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "keys/ckd.h"
#include "state/sealed.h"
#include "state/store.h"

namespace attestry::cluster {

struct NodeOptions {
  std::uint32_t id = 0;
  base::Realm realm = base::Realm::production;
  std::vector<base::FixedBytes<32>> operators;  ///< Ed25519 keys of those who approve plans
  std::size_t operators_needed = 1;
  std::chrono::milliseconds patience{10'000};  ///< for the disk
  /// Called inside the transaction that puts an epoch in force, for the leaf in the log; may be empty.
  std::function<base::Status(state::WriteTxn&, const Epoch&)> entered{};
};

/// Thread-safe. Everything that it has said or received is on the disk before it answers, so that a node that is killed
/// at any time says the same again: offer(), propose(), prepare() and activate() wait for the disk, one after the
/// other, for at most NodeOptions::patience each. All else only reads, and waits for none of them but check().
class Node {
 public:
  /// `seed`: 32 bytes, of the node for ever; its signing key comes from it. Store, sealed values and random outlive the
  /// node. Errors: those of the store, `corrupt`.
  static base::Result<std::unique_ptr<Node>> open(NodeOptions options, const crypto::Secret& seed, state::Store& store,
                                                  const state::SealedValues& sealed, crypto::Random& random);

  /// The seed that a node of this store has for ever: made, and stored, when there is none.
  static base::Result<crypto::Secret> seed_in(state::Store& store, const state::SealedValues& sealed,
                                              crypto::Random& random, base::Deadline deadline);
  /// The signing key of a node with this seed.
  static base::Result<crypto::Ed25519PrivateKey> signing_key_of(const crypto::Secret& seed);

  std::uint32_t id() const noexcept { return options_.id; }
  const base::FixedBytes<32>& signing_key() const noexcept { return signing_.public_key(); }

  /// Whether this node's operators have approved the plan, in this node's realm. No more than that.
  base::Status approved(const Plan& plan, const Approval& approval) const;

  /// The key that shares of a plan of this session are to be encrypted to; the same when asked again. It is forgotten
  /// with the epoch before. `caller`: the signing key of who asks; without one the node itself. Each member of the
  /// epoch in force has kMostOffers keys and a new one takes the place of its own oldest; all others together have
  /// kMostOffersOfOthers, so that nobody puts out a member's.
  base::Result<Offer> offer(const base::FixedBytes<32>& cluster, const base::FixedBytes<32>& session,
                            const std::optional<base::FixedBytes<32>>& caller = {});
  static constexpr std::size_t kMostOffers = 4;
  static constexpr std::size_t kMostOffersOfOthers = 8;

  /// Deals for a plan that operators have approved: a random secret for the first epoch, its own share for a later one.
  /// The same deal when asked again. Errors: `denied` without approval, `conflict` for a plan that does not follow the
  /// epoch in force, `not_found` when this node has nothing to deal.
  base::Result<Deal> propose(const Plan& plan, const Approval& approval);

  /// Checks all deals and opens its values, and keeps nothing: a complaint when a dealer cheated it. The first epoch
  /// has this round before `prepare`, because a node stores its share of one first outcome only.
  base::Result<std::optional<Complaint>> check(const Plan& plan, const Approval& approval, std::span<const Deal> deals);

  /// Checks all deals, takes its share and keeps it, beside the one in force. A complaint when a dealer cheated it.
  base::Result<std::variant<Stored, Complaint>> prepare(const Plan& plan, const Approval& approval,
                                                        std::span<const Deal> deals);

  /// Puts an epoch in force, with a share when this node is a member, and erases the shares of the ones before and the
  /// keys of plans. Nothing happens when it, or a later one, is in force already. Of two that have a certificate for
  /// the same number the one with the lesser digest wins, on every node. A node that was away for several epochs
  /// follows any later one whose plan operators have approved, provided that the master public key is the same.
  base::Status activate(const Epoch& epoch);

  /// The epoch in force; null before the first.
  std::shared_ptr<const Epoch> current() const;
  /// The master public key of the epoch in force, prepared once; null before the first.
  std::shared_ptr<const keys::ckd::MasterPublicKey> master() const;
  /// Whether this node holds a share of the epoch in force.
  bool holds_share() const;

  /// This node's share of a derivation under the epoch in force, for the participants named. The blinding comes of a
  /// secret that the node has for this epoch's share, and is erased with it, and of all of the request, so that the
  /// same request has the same answer and can be proved afterwards. Authorization is the caller's. Errors:
  /// `unavailable` without a share, `conflict` when another epoch, or another outcome of the same number, is in force.
  struct Request {
    std::uint32_t epoch = 0;
    base::Digest32 outcome{};  ///< its digest: two outcomes of one number may both have a certificate
    base::Bytes app_id;
    curves::bls::G1::Encoded app_key{};
    std::vector<std::uint32_t> participants;
    base::Bytes bytes() const;
    /// The form only. Error: `malformed`.
    static base::Result<Request> parse(base::ByteView bytes);
  };
  base::Result<keys::ckd::Ciphertext> derive(const Request& request) const;
  base::Result<keys::ckd::ShareProof> prove(const Request& request) const;

 private:
  friend class Recovery;  // of recovery.cpp: the only way by which a share leaves or comes other than by a deal
  struct InForce;
  struct Answer;
  struct Holding {
    std::shared_ptr<const Epoch> epoch;
    curves::bls::Scalar share;
  };
  base::Result<Holding> holding() const;
  /// Into a store in which no node ever was; `also` runs in the same transaction.
  static base::Status restore(const NodeOptions& options, const crypto::Secret& seed, const Epoch& epoch,
                              const curves::bls::Scalar& share, state::Store& store, const state::SealedValues& sealed,
                              state::Store::Closure also);
  Node(NodeOptions options, const crypto::Secret& seed, state::Store& store, const state::SealedValues& sealed,
       crypto::Random& random);
  base::Status load();
  base::Result<std::vector<base::Bytes>> too_many(state::WriteTxn& txn, const base::FixedBytes<32>& caller) const;
  std::shared_ptr<const InForce> in_force() const;
  base::Status may_follow(const Plan& plan, const Approval& approval) const;
  base::Status may_receive(const Plan& plan, const Approval& approval) const;
  base::Result<Outcome> outcome_of(const Plan& plan, std::span<const Deal> deals) const;
  base::Result<std::optional<curves::bls::Scalar>> kept(base::ByteView key) const;
  base::Result<curves::bls::Scalar> own_share(const Plan& plan, const Outcome& outcome,
                                              std::span<const Deal> deals) const;
  base::Result<std::variant<curves::bls::Scalar, Complaint>> opened(const Plan& plan, const Outcome& outcome,
                                                                    std::span<const Deal> deals);
  base::Status keep_share(const Plan& plan, const Outcome& outcome, const curves::bls::Scalar& share);
  /// The secret of a share's answers, kept under this key; made when there is none, and `sealed` is then to be written.
  base::Result<crypto::Secret> blinding_of(base::ByteView key, base::Bytes& sealed) const;
  base::Status replace(const Epoch& epoch, const std::optional<curves::bls::Scalar>& share);
  base::Result<Answer> answer(const Request& request) const;
  base::Status write(state::Store::Closure closure);

  const NodeOptions options_;
  const crypto::Ed25519PrivateKey signing_;
  state::Store& store_;
  const state::SealedValues& sealed_;
  crypto::Random& random_;
  base::Mutex changing_;  ///< one change of what is kept at a time
  mutable base::Mutex mutex_;
  std::shared_ptr<const InForce> in_force_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::cluster
