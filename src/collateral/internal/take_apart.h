// Documents that somebody gives, sorted into artefacts by what they say of themselves.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "attestation/artefact.h"
#include "base/result.h"

namespace attestry::collateral::internal {

struct Part {
  attestation::Artefact artefact;
  std::vector<attestation::CollateralItem> documents;  ///< its own
  std::vector<attestation::CollateralItem> context;    ///< the chain of its signer, when that was given besides
};

struct Apart {
  std::vector<Part> parts;  ///< chains before what they vouch for
  /// What cannot be told apart, and why.
  std::vector<std::pair<attestation::CollateralKind, std::string>> refused;
};

/// Nothing is verified here: a wrong word leads to a wrong name, which Verifier::accept refuses. `issuer` as in
/// Vault::import.
Apart take_apart(const std::vector<attestation::CollateralItem>& documents, const std::string& issuer);

}  // namespace attestry::collateral::internal
