// Verification with collateral: finds what a piece of evidence needs, gets it within a deadline, and verifies.
#pragma once
#include <memory>

#include "attestation/verifier.h"
#include "base/result.h"
#include "base/time.h"
#include "collateral/source.h"

namespace attestry::appraisal {

using CollateralSource = collateral::CollateralSource;

/// Thread-safe.
class Appraiser {
 public:
  Appraiser(const attestation::Verifier& verifier, CollateralSource& source) : verifier_(verifier), source_(source) {}
  /// The verdict of the verifier, before any policy. An outage of the source is an error, never a refusal; evidence
  /// that is malformed is a verdict even when the source is away.
  /// `now` decides which collateral is current, `at` as of when it is judged: only somebody who asks a question about
  /// another time gives two different ones, and such a question must not touch what the caches hold for now.
  base::Result<attestation::Verdict> verify(const attestation::Evidence& evidence, base::UtcTime at, base::UtcTime now,
                                            base::Deadline deadline) const;
  const attestation::Verifier& verifier() const noexcept { return verifier_; }

 private:
  const attestation::Verifier& verifier_;
  CollateralSource& source_;
};

}  // namespace attestry::appraisal
