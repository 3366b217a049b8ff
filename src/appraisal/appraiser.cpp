#include "appraisal/appraiser.h"

namespace attestry::appraisal {

base::Result<attestation::Verdict> Appraiser::verify(const attestation::Evidence& evidence, base::UtcTime at,
                                                     base::UtcTime now, base::Deadline deadline) const {
  TRY(const auto collateral, source_.collateral_for(evidence, now, deadline), "collateral");
  return verifier_.verify(evidence, *collateral, at);
}

}  // namespace attestry::appraisal
