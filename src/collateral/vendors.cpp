#include "collateral/vendors.h"

#include "collateral/internal/get_document.h"

namespace attestry::collateral {
namespace {

using attestation::Artefact;
using base::Code;
using base::Error;
using base::Result;

enum class Service : std::uint8_t { pcs, kds, jwks };

Service service_of(const Artefact& artefact) {
  if (std::holds_alternative<attestation::JwksOf>(artefact)) return Service::jwks;
  const bool amd = std::holds_alternative<attestation::VcekOf>(artefact) ||
                   std::holds_alternative<attestation::VlekOf>(artefact) ||
                   std::holds_alternative<attestation::AmdChainOf>(artefact) ||
                   std::holds_alternative<attestation::AmdCrlOf>(artefact);
  return amd ? Service::kds : Service::pcs;
}

Error nobody(const Artefact& artefact) {
  return {Code::collateral_missing, to_text(artefact) + ": no service is configured for it"};
}

}  // namespace

Result<Origin> Vendors::origin(const Artefact& artefact) const {
  if (std::holds_alternative<attestation::VlekOf>(artefact)) return vlek_error(artefact);
  Origin out;
  switch (service_of(artefact)) {
    case Service::pcs:
      if (pcs_ == nullptr) return nobody(artefact);
      out.host = internal::authority_of(pcs_->url(artefact));
      break;
    case Service::kds:
      if (kds_ == nullptr) return nobody(artefact);
      out.host = internal::authority_of(kds_->base_url());
      out.scarce = std::holds_alternative<attestation::VcekOf>(artefact);
      break;
    case Service::jwks:
      if (jwks_ == nullptr) return nobody(artefact);
      out.host = internal::authority_of(std::get<attestation::JwksOf>(artefact).issuer);
      break;
  }
  return out;
}

Result<Fetched> Vendors::fetch(const Artefact& artefact, base::Deadline deadline, Trouble& trouble) const {
  TRY([[maybe_unused]] const Origin known, origin(artefact));
  switch (service_of(artefact)) {
    case Service::pcs:
      return pcs_->fetch(artefact, deadline, trouble);
    case Service::kds:
      return kds_->fetch(artefact, deadline, trouble);
    case Service::jwks:
      break;
  }
  return jwks_->fetch(std::get<attestation::JwksOf>(artefact), deadline, trouble);
}

}  // namespace attestry::collateral
