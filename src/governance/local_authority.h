// The authority of apps that have a contract's address and no chain: the approvals of operators, as for every other app
// (approval.h). What a contract maps to a configuration is the app's approved configuration here; who has the
// operator's role there is an operator of the tenant with an address here, where the tenant has any.
#pragma once
#include "governance/contract_authority.h"
#include "governance/registry.h"

namespace attestry::governance {

/// URI of what the server itself keeps for an app.
inline constexpr std::string_view kLocalStorage = "local://";

/// Thread-safe; the registry and the clock outlive it.
class LocalAuthority final : public ContractAuthority {
 public:
  LocalAuthority(Registry& registry, const base::Clock& clock, std::uint64_t chain_id)
      : ContractAuthority(chain_id), registry_(registry), clock_(clock) {}

  base::Result<ContractFacts> facts(const base::Tenant& tenant, const ContractAddress& contract,
                                    base::Deadline deadline) override;
  base::Status still_holds(state::WriteTxn& txn, const ContractApproval& approval) const override;

 protected:
  base::Result<ContractAnswer> ask(const ContractQuestion& question, base::Deadline deadline) override;

 private:
  base::Result<bool> may_operate(const ContractQuestion& question, ContractAnswer& answer) const;

  Registry& registry_;
  const base::Clock& clock_;
};

}  // namespace attestry::governance
