// Collateral of AMD's judged on its own, without a report: whether a source should keep it.
#pragma once
#include "attestation/artefact.h"
#include "attestation/snp/chain.h"

namespace attestry::attestation::snp {

/// Verifier::accept for an artefact of AMD's.
base::Result<Accepted> accept_artefact(const Artefact& artefact, const Collateral& documents, base::UtcTime at,
                                       const TrustAnchors& anchors, Caches& caches);

}  // namespace attestry::attestation::snp
