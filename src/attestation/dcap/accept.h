// Collateral judged on its own, without a quote: whether a source should keep it.
#pragma once
#include "attestation/anchors.h"
#include "attestation/artefact.h"
#include "attestation/collateral.h"
#include "attestation/dcap/verify.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::attestation::dcap {

/// Verifier::accept_collateral for one set of anchors and its caches.
base::Result<base::UtcTime> accept_collateral(const Collateral& collateral, const DcapNeeds& needs, base::UtcTime at,
                                              const TrustAnchors& anchors, Caches& caches);

/// Verifier::accept for an artefact of Intel's.
base::Result<Accepted> accept_artefact(const Artefact& artefact, const Collateral& documents, base::UtcTime at,
                                       const TrustAnchors& anchors, Caches& caches);

}  // namespace attestry::attestation::dcap
