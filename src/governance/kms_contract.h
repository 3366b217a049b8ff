// The contract of the key service itself: which applications it serves, which identities may be one of its servers, and
// the requests of new servers (docs/formats/registry.md). Read pinned to one block, like the apps' contracts.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "attestation/key_binding.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "chain/registry_abi.h"
#include "chain/rpc.h"
#include "governance/chain_answer.h"
#include "governance/contract_authority.h"
#include "governance/contract_proof.h"

namespace attestry::governance {

using chain::registry::OnboardRequest;

/// Proof that the contract holds this request, and allows the identity for its operator. Only
/// KmsContract::onboarding() makes one.
class OnboardApproval {
 public:
  const OnboardRequest& request() const noexcept { return request_; }
  const base::Digest32& identity() const noexcept { return identity_; }
  /// That the new server has to satisfy besides the giving server's own.
  const std::optional<base::Digest32>& policy() const noexcept { return policy_; }
  const std::string& snapshot() const noexcept { return snapshot_; }
  const AskedAt& asked() const noexcept { return asked_; }

 private:
  friend class KmsContract;
  OnboardApproval(OnboardRequest request, const base::Digest32& identity, std::optional<base::Digest32> policy,
                  std::string snapshot, const AskedAt& asked)
      : request_(std::move(request)),
        identity_(identity),
        policy_(policy),
        snapshot_(std::move(snapshot)),
        asked_(asked) {}
  OnboardRequest request_;
  base::Digest32 identity_;
  std::optional<base::Digest32> policy_;
  std::string snapshot_;
  AskedAt asked_;
};

/// Proof that the contract allows this identity for a server of this operator. Only KmsContract::server() makes one.
class ServerApproval {
 public:
  const base::Digest32& identity() const noexcept { return identity_; }
  /// That a server has to satisfy to get the master.
  const std::optional<base::Digest32>& policy() const noexcept { return policy_; }
  const std::string& snapshot() const noexcept { return snapshot_; }
  const AskedAt& asked() const noexcept { return asked_; }

 private:
  friend class KmsContract;
  ServerApproval(const base::Digest32& identity, std::optional<base::Digest32> policy, std::string snapshot,
                 const AskedAt& asked)
      : identity_(identity), policy_(policy), snapshot_(std::move(snapshot)), asked_(asked) {}
  base::Digest32 identity_;
  std::optional<base::Digest32> policy_;
  std::string snapshot_;
  AskedAt asked_;
};

/// What policy() or applicationPolicy(app) answered: nullopt when none is in force. Older contracts have neither.
base::Result<std::optional<base::Digest32>> policy_in_force(const chain::CallOutcome& outcome);

/// What a key service's contract says of one app.
struct ServedApp {
  bool allowed = false;
  std::string reason{};  ///< why not; begins with "application not allowed"
  std::optional<base::Digest32> policy{};
};
/// Questions for that, which served_app() reads the answers to, in one batch with others.
void ask_served_app(std::vector<chain::Call>& calls, const ContractAddress& service, const ContractAddress& app);
/// `configuration` when there is no key service's contract at the address.
base::Result<ServedApp> served_app(std::span<const chain::CallOutcome> outcomes, const ContractAddress& service,
                                   std::uint64_t chain_id);

/// Thread-safe; the readers outlive it. Errors: `denied` when the contract says no, `not_found` for a request that is
/// not there, `unavailable` when it cannot be asked, `configuration` when there is no key service's contract.
class KmsContract {
 public:
  /// `strangers`: the same chain, asked for what anybody may cause (QuorumReader::for_strangers()). `proofs`: what lets
  /// the master or its requests go further is proved, too; null: a quorum's word is enough.
  KmsContract(chain::ChainReader& reader, chain::ChainReader& strangers, std::uint64_t chain_id,
              const ContractAddress& contract, const base::Clock& clock = base::system_clock(),
              const ContractProofs* proofs = nullptr)
      : reader_(reader),
        strangers_(strangers),
        chain_id_(chain_id),
        contract_(contract),
        clock_(clock),
        proofs_(proofs) {}
  KmsContract(chain::ChainReader& reader, std::uint64_t chain_id, const ContractAddress& contract,
              const base::Clock& clock = base::system_clock())
      : KmsContract(reader, reader, chain_id, contract, clock) {}
  const ContractAddress& address() const noexcept { return contract_; }
  std::uint64_t chain_id() const noexcept { return chain_id_; }

  /// For what anybody may see of an app; a release asks for its policy, too (ChainAuthorityOptions::key_service).
  base::Status application_allowed(const ContractAddress& app, base::Deadline deadline);
  /// A first look, on the strangers' side: most hashes are made up.
  base::Result<OnboardRequest> request(const base::Digest32& hash, base::Deadline deadline);
  /// Everything at one block. `known`: what request() said of the hash; `conflict` when the contract says another
  /// thing now, because what was looked at is what is to be approved.
  base::Result<OnboardApproval> onboarding(const base::Digest32& hash, const OnboardRequest& known,
                                           const base::Digest32& identity, base::Deadline deadline);
  /// Without a request on the chain: the operator has said in another way that the server is his.
  base::Result<ServerApproval> server(const base::Digest32& identity, const ContractAddress& operator_address,
                                      base::Deadline deadline);
  /// policy() alone: what its servers have to satisfy. nullopt when nothing is in force.
  base::Result<std::optional<base::Digest32>> policy(base::Deadline deadline);
  /// In the transaction of the leaf, without asking anybody (FORMATS 6): `conflict` when the head has moved on since
  /// and the answer is no longer of now, `unavailable` when the head is not known.
  base::Status still_holds(const AskedAt& asked) const;
  /// Whether the account has the operator's role.
  base::Result<bool> is_operator(const ContractAddress& account, base::Deadline deadline);
  /// PEM of the public key that the owner has published for the key service itself: the app key of the contract's own
  /// address, by which a master can be known. nullopt when nothing is published.
  base::Result<std::optional<base::Bytes>> published_key(base::Deadline deadline);
  /// The same for who cannot go on without: `conflict` when nothing is published.
  base::Result<base::Bytes> known_key(base::Deadline deadline);

 private:
  /// That the contract holds what was answered.
  struct Said {
    bool allowed = false;
    std::optional<base::Digest32> policy{};
    std::optional<bool> requested{};  ///< nothing: not asked, or not answered
  };
  base::Status proved(const ServerProofQuestion& question, const Said& said, const chain::BlockRef& block,
                      base::Deadline deadline) const;
  /// `configuration` when no code answers.
  base::Result<std::vector<chain::CallOutcome>> read(chain::ChainReader& reader, std::span<const chain::Call> calls,
                                                     chain::BlockRef& block, base::Deadline deadline) const;

  chain::ChainReader& reader_;
  chain::ChainReader& strangers_;
  const std::uint64_t chain_id_;
  const ContractAddress contract_;
  const base::Clock& clock_;
  const ContractProofs* const proofs_;
};

/// The right to hand the master to one new server: its evidence is bound to the request that the contract approved.
/// Move-only; only authorize_onboarding() makes one.
class OnboardGrant {
 public:
  OnboardGrant(OnboardGrant&&) noexcept = default;
  OnboardGrant& operator=(OnboardGrant&&) noexcept = default;
  OnboardGrant(const OnboardGrant&) = delete;
  OnboardGrant& operator=(const OnboardGrant&) = delete;

  const OnboardRequest& request() const noexcept { return request_; }
  const base::Digest32& identity() const noexcept { return identity_; }
  const base::Digest32& policy_sha256() const noexcept { return policy_sha256_; }
  const std::string& snapshot() const noexcept { return snapshot_; }
  /// What still_holds() is asked of.
  const AskedAt& asked() const noexcept { return asked_; }

 private:
  friend base::Result<OnboardGrant> authorize_onboarding(const attestation::VerifiedReport&, const OnboardApproval&,
                                                         const base::FixedBytes<64>&, base::Realm, base::UtcTime);
  OnboardGrant() = default;
  OnboardRequest request_;
  base::Digest32 identity_{};
  base::Digest32 policy_sha256_{};
  std::string snapshot_;
  AskedAt asked_;
};

/// `report_data`: that of the approved request, which the evidence must carry. `realm_mismatch` for evidence of another
/// realm, `denied` when it is no longer valid.
base::Result<OnboardGrant> authorize_onboarding(const attestation::VerifiedReport& report,
                                                const OnboardApproval& approval,
                                                const base::FixedBytes<64>& report_data, base::Realm realm,
                                                base::UtcTime now);

}  // namespace attestry::governance
