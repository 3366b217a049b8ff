// Where collateral comes from, as whoever verifies sees it.
#pragma once
#include <functional>
#include <memory>
#include <utility>

#include "attestation/collateral.h"
#include "attestation/evidence.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::collateral {

/// Thread-safe.
class CollateralSource {
 public:
  virtual ~CollateralSource() = default;
  /// Everything this evidence needs, or `collateral_missing`, `unavailable`, `deadline_exceeded`. Evidence that is too
  /// broken to say what it needs gives Collateral::none(), for the verifier to say what is wrong with it.
  virtual base::Result<std::shared_ptr<const attestation::Collateral>> collateral_for(
      const attestation::Evidence& evidence, base::UtcTime now, base::Deadline deadline) = 0;

  /// The same without a thread that waits: `done` is called once, on the calling thread when the answer is at hand,
  /// else on one of the source's own, by `deadline` at the latest.
  virtual void when_ready(
      const attestation::Evidence& evidence, base::UtcTime now, base::Deadline deadline,
      std::move_only_function<void(base::Result<std::shared_ptr<const attestation::Collateral>>)> done) {
    done(collateral_for(evidence, now, deadline));
  }
};

}  // namespace attestry::collateral
