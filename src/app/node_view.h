// What an operator's command knows of a cluster: what a node says, and what of it operators' keys prove.
// Values; functions are pure and thread-safe.
#pragma once
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "cluster/epoch.h"

namespace attestry::app {

/// What `GET /v1/node` says. Of the epoch in force nothing is taken but what its members have certified; whether the
/// right operators approved it is for their keys to say (is_signed_by).
struct NodeView {
  std::uint32_t id = 0, epoch = 0;
  std::string signing_key, address, app, realm, cluster, outcome, master;
  std::string joined;        ///< where it says that it is there, while it has no place
  std::string not_approved;  ///< why this node neither calls nor answers any other
  std::uint16_t threshold = 0;
  std::int64_t operators_needed = 1;
  bool holds_share = false;
  std::vector<base::FixedBytes<32>> operators;
  std::vector<cluster::Member> members, candidates;
  std::optional<cluster::CertifiedEpoch> in_force;  ///< none before the first epoch

  /// Errors: `malformed`, and those of CertifiedEpoch::parse().
  static base::Result<NodeView> parse(const std::string& answer);
};

/// Whether one of these keys, which the operator has at hand, has approved the epoch in force. It says nothing of how
/// old that is: a plan that follows an older one is refused by all nodes, and check_follows() refuses one that follows
/// another than this.
bool is_signed_by(const NodeView& now, std::span<const base::FixedBytes<32>> mine);

/// That the plan follows the epoch in force, with whose members print_plan() compares its own: beside another one
/// "as before" would mean nothing, whoever signed that. For a node without an epoch: that it is a first one.
/// `conflict`.
base::Status check_follows(const NodeView& now, const cluster::Plan& plan);

/// Before a change is sent: that the epoch in force, which the change follows, is one that is_signed_by() `mine`, or
/// that there is none yet. Beside any other one the node alone says who the members are, and the next epoch would give
/// the root to them: only who has compared their keys may go on. `denied`, with the keys that did sign it.
base::Status check_signed(const NodeView& now, std::span<const base::FixedBytes<32>> mine);

/// What is to be signed, as it differs from what is in force: a key that operators do not know must not pass unseen.
/// "as before" stands beside no member of an epoch that none of the keys `mine` has approved.
void print_plan(std::ostream& out, const NodeView& now, const cluster::Plan& plan,
                std::span<const base::FixedBytes<32>> mine);

/// Keys whose signatures do not count at this node.
std::vector<base::FixedBytes<32>> strangers(const NodeView& now, const cluster::Approval& approval);
/// Error `usage`, which names them.
base::Status check_signers(const NodeView& now, const cluster::Approval& approval);

}  // namespace attestry::app
