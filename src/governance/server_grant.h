// The right to hand the master of a key service to one new server that has shown its evidence in an attested session
// (docs/formats/channel.md).
#pragma once
#include <optional>
#include <string>

#include "attestation/key_binding.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "governance/contract_authority.h"
#include "governance/kms_contract.h"

namespace attestry::governance {

/// Move-only; only authorize_server() makes one, from the evidence of the session and the word of whoever governs.
class ServerGrant {
 public:
  ServerGrant(ServerGrant&&) noexcept = default;
  ServerGrant& operator=(ServerGrant&&) noexcept = default;
  ServerGrant(const ServerGrant&) = delete;
  ServerGrant& operator=(const ServerGrant&) = delete;

  const base::Digest32& identity() const noexcept { return identity_; }
  const base::FixedBytes<64>& report_data() const noexcept { return report_data_; }
  const base::Digest32& policy_sha256() const noexcept { return policy_sha256_; }
  /// That the contract has in force, besides.
  const std::optional<base::Digest32>& service_policy() const noexcept { return service_policy_; }
  const std::string& snapshot() const noexcept { return snapshot_; }
  /// Without a chain: what still_holds() is asked of in the transaction of the leaf.
  const std::optional<ContractApproval>& approval() const noexcept { return approval_; }
  /// With one: the same of KmsContract::still_holds().
  const std::optional<AskedAt>& asked() const noexcept { return asked_; }

 private:
  friend base::Result<ServerGrant> authorize_server(const attestation::VerifiedReport&, const ServerApproval&,
                                                    base::Realm, base::UtcTime);
  friend base::Result<ServerGrant> authorize_server(const attestation::VerifiedReport&, const base::Digest32&,
                                                    ContractApproval, base::Realm, base::UtcTime);
  ServerGrant() = default;
  static base::Result<ServerGrant> of(const attestation::VerifiedReport& report, base::Realm realm, base::UtcTime now);
  base::Digest32 identity_{};
  base::FixedBytes<64> report_data_{};
  base::Digest32 policy_sha256_{};
  std::optional<base::Digest32> service_policy_;
  std::string snapshot_;
  std::optional<ContractApproval> approval_;
  std::optional<AskedAt> asked_;
};

/// By the key service's contract; the caller has appraised by the policy that the approval names. `realm_mismatch` for
/// evidence of another realm, `denied` when it is no longer valid.
base::Result<ServerGrant> authorize_server(const attestation::VerifiedReport& report, const ServerApproval& approval,
                                           base::Realm realm, base::UtcTime now);
/// By operators' approvals for the app that stands for the key service itself; `identity` is what the log says.
base::Result<ServerGrant> authorize_server(const attestation::VerifiedReport& report, const base::Digest32& identity,
                                           ContractApproval approval, base::Realm realm, base::UtcTime now);

}  // namespace attestry::governance
