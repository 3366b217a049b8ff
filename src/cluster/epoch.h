// An epoch: who holds the shares, by whose word, of what outcome, and that they have stored them.
// docs/formats/threshold.md, "Outcome, certificate, epoch". Values; functions are pure and thread-safe, and nothing
// blocks.
#pragma once
#include <functional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "cluster/deal.h"
#include "cluster/outcome.h"
#include "cluster/plan.h"
#include "cluster/signatures.h"

namespace attestry::cluster {

/// Whether a plan with these approvals is worth looking at further.
using PlanCheck = std::function<base::Status(const Plan& plan, const Approval& approval)>;

/// With everything that a member that was away needs to follow.
struct Epoch {
  Plan plan;
  Approval approval;
  std::vector<Deal> deals;  ///< of the outcome, in its order
  Outcome outcome;
  Certificate certificate;

  base::Bytes bytes() const;
  /// The form, and that the parts belong together: `malformed` otherwise. Signatures are for Node::activate() to check.
  /// `check` looks at the plan before any point of a deal is decoded, and its errors are returned; may be empty.
  static base::Result<Epoch> parse(base::ByteView bytes, const PlanCheck& check = {});
};

/// All of an epoch but its deals: what people need, who believe their own keys and no node's word of who its members
/// are.
struct CertifiedEpoch {
  Plan plan;
  Approval approval;
  Outcome outcome;
  Certificate certificate;

  static CertifiedEpoch of(const Epoch& epoch);
  base::Bytes bytes() const;
  /// The form, and that the parts belong together: `malformed` otherwise. The certificate is checked, too:
  /// `evidence_false` or `denied`. Whose approval it is, and that it is the newest, is for the caller to judge.
  static base::Result<CertifiedEpoch> parse(base::ByteView bytes);
};

}  // namespace attestry::cluster
