#include "governance/standing_evidence.h"

#include <string>

namespace attestry::governance {

using base::Code;
using base::Error;
using base::Realm;
using base::Result;

base::Status require_realm(Realm evidence, Realm realm) {
  if (evidence == realm) return base::done();
  return Error{Code::realm_mismatch, "evidence of another realm", std::string{base::to_text(realm)},
               std::string{base::to_text(evidence)}};
}

Result<base::UtcTime> still_valid(std::optional<base::UtcTime> until, base::UtcTime now) {
  if (until && *until > now) return *until;
  return Error{Code::denied, "the attestation is no longer valid", "valid_until after " + base::to_rfc3339(now),
               until ? base::to_rfc3339(*until) : "none"};
}

Result<base::UtcTime> standing(const attestation::Verdict& verdict, Realm realm, base::UtcTime now) {
  TRY_OK(require_realm(verdict.simulated ? Realm::simulated : Realm::production, realm));
  return still_valid(verdict.valid_until, now);
}

}  // namespace attestry::governance
