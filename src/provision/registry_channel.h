// The master's way from one server of a key service to the next inside an attested session, in which each has seen the
// other's evidence (docs/formats/channel.md, "Onboarding").
#pragma once
#include <optional>
#include <string>

#include "appraisal/appraiser.h"
#include "attestation/binding.h"
#include "audit/log.h"
#include "base/result.h"
#include "channel/session.h"
#include "crypto/random.h"
#include "governance/contract_authority.h"
#include "governance/kms_contract.h"
#include "governance/registry.h"
#include "governance/server_grant.h"
#include "keys/received_master.h"
#include "keys/registry_keys.h"
#include "state/store.h"

namespace attestry::provision {

/// What an operator of the key service signs so that the process with that nonce may fetch the master from `peer`.
base::Digest32 channel_permit_digest(std::uint64_t chain_id, const curves::Address& kms_contract,
                                     const base::Digest32& process_nonce, std::string_view peer);
struct ChannelPermit {
  base::Digest32 process_nonce{};
  std::string peer;       ///< as the operator has said it: "HOST:PORT"
  base::Bytes signature;  ///< 65 bytes r ‖ s ‖ v
};

/// "HOST:PORT <130 hex digits of the signature>".
base::Result<ChannelPermit> parse_channel_permit(std::string_view text, const base::Digest32& process_nonce);

/// What the two talk about: kind 5 of the channel.
struct ChannelRequest {
  std::optional<ChannelPermit> permit;  ///< with a contract
};
base::Bytes encode(const ChannelRequest& request);
base::Result<ChannelRequest> parse_channel_request(base::ByteView data);
struct ChannelAnswer {
  crypto::Secret salt;    ///< 32 bytes: key of the leaf's commitments
  crypto::Secret master;  ///< 32 bytes
};
crypto::Secret encode(const ChannelAnswer& answer);
base::Result<ChannelAnswer> parse_channel_answer(base::ByteView data);

/// This server's end, whichever side it is. All that it refers to outlives it; thread-safe.
struct ChannelEndDeps {
  const appraisal::Appraiser& appraiser;
  attestation::Attester* attester = nullptr;  ///< null: nobody gives or takes anything here
  attestation::Policy policy;
  base::Realm realm = base::Realm::production;
  const base::Clock& clock;
};
channel::End channel_end(const ChannelEndDeps& deps, std::string audience);

/// Who says what the key service's servers are: its contract, or operators' approvals for the app of the address 0.
struct ChannelGovernance {
  governance::KmsContract* contract = nullptr;  ///< one of the two
  governance::ContractAuthority* approvals = nullptr;
  const governance::Registry* policies = nullptr;  ///< where a policy is stored that the contract names
  base::Tenant tenant = base::Tenant::standard();
  std::uint64_t chain_id = 0;
  bool extended = false;  ///< servers are known by identities that cover firmware, too

  /// Of the service's own key: the contract's, or 0.
  curves::Address address() const { return contract != nullptr ? contract->address() : curves::Address{}; }
};
/// "evm:<chain id>:0x…", or "key:<SHA-256 of the service's own key>".
std::string channel_audience(const ChannelGovernance& governance, const base::Digest32& key_sha256);

struct ChannelGiverDeps {
  state::Store& store;
  audit::Log& log;
  const keys::RegistryMaster& master;
  crypto::Random& random;
  ChannelEndDeps end;
  ChannelGovernance governance;
};

/// The giving side. Thread-safe.
class ChannelGiver {
 public:
  explicit ChannelGiver(ChannelGiverDeps deps) : deps_(std::move(deps)) {}
  /// Its end for one session. `unavailable` while there is no master.
  base::Result<channel::End> end() const;
  /// SHA-256 of the service's own key: what registry.channel_key of other servers has to be.
  base::Result<base::Digest32> own_key() const;
  /// One caller: the master, once the leaf is durable, or why not.
  void serve(channel::Session session, base::Deadline deadline) const;

 private:
  base::Status give(channel::Session& session, base::Deadline deadline) const;
  base::Result<governance::ServerGrant> allow(const attestation::VerifiedReport& report, const ChannelRequest& request,
                                              base::Deadline deadline) const;
  base::Result<governance::ServerGrant> allow_by_contract(const attestation::VerifiedReport& report,
                                                          const ChannelRequest& request, base::Deadline deadline) const;
  base::Result<governance::ServerGrant> allow_by_approvals(const attestation::VerifiedReport& report,
                                                           base::Deadline deadline) const;
  base::Status log(const governance::ServerGrant& grant, const crypto::Secret& salt, const crypto::Secret& answer,
                   base::Deadline deadline) const;

  ChannelGiverDeps deps_;
};

struct ChannelReceiverDeps {
  keys::ReceivedMaster& master;
  ChannelEndDeps end;
  ChannelGovernance governance;
  std::shared_ptr<net::PeerStop> stop{};  ///< ends a fetch under way; may be null
  base::Digest32 key_sha256{};            ///< without a contract: of the SubjectPublicKeyInfo of the service's own key
};

/// The receiving side. Thread-safe.
class ChannelReceiver {
 public:
  explicit ChannelReceiver(ChannelReceiverDeps deps) : deps_(std::move(deps)) {}
  /// Fetches the master from `peer`, and keeps only the one that makes the service's own key. `permit` with a contract.
  /// Durable when it returns. `conflict` when this server has one, or the contract publishes no key; `denied` when the
  /// peer does not satisfy the policy that the contract has in force, `unavailable` when that is not stored here.
  base::Status fetch(const std::string& peer, std::optional<ChannelPermit> permit, base::Deadline deadline);
  /// Whose permit it is; `crypto` or `malformed` when nobody's.
  base::Result<curves::Address> signer(const ChannelPermit& permit) const;

 private:
  base::Result<base::Digest32> expected_key(base::Deadline deadline) const;
  base::Status check_giver(const attestation::VerifiedReport& report, const std::optional<ChannelPermit>& permit,
                           base::Deadline deadline) const;
  /// What the contract has in force.
  base::Result<std::optional<base::Digest32>> allow_giver(const attestation::VerifiedReport& report,
                                                          const std::optional<ChannelPermit>& permit,
                                                          base::Deadline deadline) const;

  ChannelReceiverDeps deps_;
};

}  // namespace attestry::provision
