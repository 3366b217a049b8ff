// How others speak to a node: the node itself where it runs, a channel to it elsewhere, and what tests put between.
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <variant>

#include "base/result.h"
#include "base/time.h"
#include "cluster/node.h"

namespace attestry::cluster {

/// How long somebody waits for a share.
struct Patience {
  base::Deadline until = base::Deadline::max();
  bool insist = false;  ///< who was silent lately is asked all the same
};

/// A node that is asked for shares of derivations. Thread-safe. Besides the errors of Node: `unavailable` when it
/// cannot be asked, `deadline_exceeded` when it has not answered yet, and may answer when it is asked again.
class Deriver {
 public:
  virtual ~Deriver() = default;
  virtual base::Result<keys::ckd::Ciphertext> derive(const Node::Request& request, const Patience& patience) = 0;
  virtual base::Result<keys::ckd::ShareProof> prove(const Node::Request& request, const Patience& patience) = 0;
};
/// Null for a node that nobody knows the way to. What it gives is the finder's, and lives as long as that or as the
/// call for which it was asked.
using FindDeriver = std::function<Deriver*(const Member&)>;

/// A node that takes part in changes, too. Thread-safe, with the same errors. Each call blocks until the node has
/// answered, what that writes to its disk included, for at most the patience of the one that asks.
class Peer : public Deriver {
 public:
  virtual base::Result<Offer> offer(const base::FixedBytes<32>& cluster, const base::FixedBytes<32>& session) = 0;
  virtual base::Result<Deal> propose(const Plan& plan, const Approval& approval) = 0;
  virtual base::Result<std::optional<Complaint>> check(const Plan& plan, const Approval& approval,
                                                       std::span<const Deal> deals) = 0;
  virtual base::Result<std::variant<Stored, Complaint>> prepare(const Plan& plan, const Approval& approval,
                                                                std::span<const Deal> deals) = 0;
  virtual base::Status activate(const Epoch& epoch) = 0;
};

/// Thread-safe.
class Peers {
 public:
  virtual ~Peers() = default;
  /// Null for a node that nobody knows the way to. Valid as long as the Peers.
  virtual Peer* find(const Member& member) = 0;
};

}  // namespace attestry::cluster
