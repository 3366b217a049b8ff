// All services at once: who is asked for which artefact.
#pragma once
#include <string>
#include <vector>

#include "collateral/fetcher.h"
#include "collateral/jwks.h"
#include "collateral/kds.h"
#include "collateral/pcs.h"

namespace attestry::collateral {

/// Thread-safe. The clients may be null (then their artefacts are `collateral_missing`) and must outlive it.
class Vendors final : public Fetcher {
 public:
  Vendors(const PcsClient* pcs, const KdsClient* kds, const JwksClient* jwks) : pcs_(pcs), kds_(kds), jwks_(jwks) {}

  base::Result<Origin> origin(const attestation::Artefact& artefact) const override;
  base::Result<Fetched> fetch(const attestation::Artefact& artefact, base::Deadline deadline,
                              Trouble& trouble) const override;

 private:
  const PcsClient* pcs_;
  const KdsClient* kds_;
  const JwksClient* jwks_;
};

}  // namespace attestry::collateral
