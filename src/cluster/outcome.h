// What the deals of an epoch add up to: the same for every node that has the same deals. docs/formats/threshold.md
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "cluster/deal.h"
#include "cluster/plan.h"
#include "cluster/sharing.h"

namespace attestry::cluster {

/// Immutable, thread-safe.
class Outcome {
 public:
  struct Dealt {
    std::uint32_t dealer = 0;
    base::Digest32 deal{};
    bool operator==(const Dealt&) const = default;
  };

  /// The first epoch: the sum of the deals of at least `threshold` members, so that one of them at least is honest and
  /// nobody knows the sum. All deals are checked. Errors: `evidence_false`, which names the node; `denied` for too few
  /// deals.
  static base::Result<Outcome> generate(const Plan& plan, std::span<const Deal> deals);
  /// A later one: each dealer, a member of the epoch before, deals its own share; at least the threshold of that epoch
  /// of them. The master public key stays what it was.
  static base::Result<Outcome> reshare(const Plan& plan, const Plan& before, const Outcome& outcome_before,
                                       std::span<const Deal> deals);
  static base::Result<Outcome> parse(base::ByteView bytes, std::size_t most_threshold = kMostNodes);
  const base::Bytes& bytes() const noexcept { return bytes_; }
  base::Digest32 digest() const;

  const base::Digest32& plan() const noexcept { return plan_; }
  const std::vector<Dealt>& dealt() const noexcept { return dealt_; }
  /// Of the epoch's one polynomial: constant() is the master public key, at(id) the public share of a member.
  const Commitments& commitments() const noexcept { return commitments_; }

  /// Member `self`'s share of the epoch, out of the same deals, and checked. Error `evidence_false`, which names the
  /// dealer whose value is wrong: complain about it, and let the others decide again without it.
  base::Result<curves::bls::Scalar> share(const Plan& plan, std::span<const Deal> deals, std::uint32_t self,
                                          const curves::bls::Scalar& box_secret) const;

 private:
  Outcome(const base::Digest32& plan, std::vector<Dealt> dealt, bool generated, Commitments commitments);
  static base::Result<Outcome> sum(const Plan& plan, bool generated, std::span<const Deal> deals);

  base::Digest32 plan_{};
  std::vector<Dealt> dealt_;  ///< dealers ascending
  bool generated_;            ///< the deals are added as they are; else interpolated
  Commitments commitments_;
  base::Bytes bytes_;
};

}  // namespace attestry::cluster
