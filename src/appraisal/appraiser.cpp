#include "appraisal/appraiser.h"

#include <algorithm>
#include <utility>

namespace attestry::appraisal {

base::Deadline Appraiser::bounded(base::Deadline deadline) const {
  return std::min(deadline, clock_.steady() + longest_);
}

base::Result<attestation::Verdict> Appraiser::verify(const attestation::Evidence& evidence, base::UtcTime at,
                                                     base::UtcTime now, base::Deadline deadline) const {
  TRY(const auto collateral, source_.collateral_for(evidence, now, bounded(deadline)), "collateral");
  return verifier_.verify(evidence, *collateral, at);
}

void Appraiser::examine_when_ready(const attestation::Evidence& evidence, base::UtcTime at, base::UtcTime now,
                                   base::Deadline deadline,
                                   std::move_only_function<void(base::Result<Examined>)> done) const {
  source_.when_ready(evidence, now, bounded(deadline),
                     [this, &evidence, at, done = std::move(done)](
                         base::Result<std::shared_ptr<const attestation::Collateral>> collateral) mutable {
                       if (!collateral) return done(std::move(collateral).error().at("collateral"));
                       auto verdict = verifier_.verify(evidence, **collateral, at);
                       if (!verdict) return done(std::move(verdict).error());
                       done(Examined{*std::move(verdict), *std::move(collateral)});
                     });
}

}  // namespace attestry::appraisal
