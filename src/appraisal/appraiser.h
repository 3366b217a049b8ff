// Verification with collateral: finds what a piece of evidence needs, gets it within a deadline, and verifies.
#pragma once
#include <chrono>
#include <functional>
#include <memory>

#include "attestation/verifier.h"
#include "base/result.h"
#include "base/time.h"
#include "collateral/source.h"

namespace attestry::appraisal {

using CollateralSource = collateral::CollateralSource;

/// A verdict before any policy, and what it rests on.
struct Examined {
  attestation::Verdict verdict;
  std::shared_ptr<const attestation::Collateral> collateral;  ///< never null
};

/// Thread-safe.
class Appraiser {
 public:
  /// `longest`: how long one verification may wait for collateral, whatever its deadline says.
  Appraiser(const attestation::Verifier& verifier, CollateralSource& source,
            std::chrono::seconds longest = std::chrono::hours(24), const base::Clock& clock = base::system_clock())
      : verifier_(verifier), source_(source), longest_(longest), clock_(clock) {}
  /// The verdict of the verifier, before any policy. An outage of the source is an error, never a refusal; evidence
  /// that is malformed is a verdict even when the source is away.
  /// `now` decides which collateral is current, `at` as of when it is judged: only somebody who asks a question about
  /// another time gives two different ones, and such a question must not touch what the caches hold for now.
  base::Result<attestation::Verdict> verify(const attestation::Evidence& evidence, base::UtcTime at, base::UtcTime now,
                                            base::Deadline deadline) const;
  /// The same without a thread that waits for the collateral, and with the collateral: `done` is called once, on the
  /// calling thread when it is at hand, else on one of the source's. `evidence` lives until then.
  void examine_when_ready(const attestation::Evidence& evidence, base::UtcTime at, base::UtcTime now,
                          base::Deadline deadline, std::move_only_function<void(base::Result<Examined>)> done) const;
  const attestation::Verifier& verifier() const noexcept { return verifier_; }

 private:
  base::Deadline bounded(base::Deadline deadline) const;

  const attestation::Verifier& verifier_;
  CollateralSource& source_;
  std::chrono::seconds longest_;
  const base::Clock& clock_;
};

}  // namespace attestry::appraisal
