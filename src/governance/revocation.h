// Whom a change of an app's approvals hits: told before it is signed (attestry approve revocation --dry-run).
#pragma once
#include <string>

#include "governance/measurement_sets.h"
#include "governance/registry.h"
#include "state/store.h"

namespace attestry::governance {

struct RevocationImpact {
  std::vector<Impact::Instance> instances;  ///< those that live and would end; at most Impact::kMaxListedInstances
  std::size_t more_instances = 0;
  std::size_t identities_left = 0;  ///< that could still register afterwards
  std::string json;                 ///< canonical: app, action, id, instances, more_instances, identities_left
  std::string sha256;               ///< of the JSON: what the operator confirms
};

/// What revoking a digest (`revoke`), or approving a stored policy in the place of the present one (`policy_approve`),
/// would end now. Nothing for a digest that is not approved; `not_found` for a policy that is not stored.
base::Result<RevocationImpact> revocation_impact(const state::Store& store, const Registry& registry,
                                                 const base::Tenant& tenant, const base::AppRef& app, Action action,
                                                 const base::Digest32& subject, base::UtcTime now);

}  // namespace attestry::governance
