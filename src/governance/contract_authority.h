// Who says what may run as an app that is known by a contract's address, and what it gets: the contract itself, read
// from its chain, or the operators' approvals where there is no chain. One question, one answer, whoever gives it.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "attestation/verdict.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "state/store.h"

namespace attestry::governance {

using ContractAddress = base::FixedBytes<20>;

/// AppRef of a contract on a chain: "evm:<chain id>:0x…".
base::AppRef contract_app(std::uint64_t chain_id, const ContractAddress& contract);

struct ContractQuestion {
  base::Tenant tenant = base::Tenant::standard();
  ContractAddress contract{};
  base::Digest32 identity{};                   ///< as the seed's contracts compute it
  std::optional<base::Digest32> extended{};    ///< identity v2, which is asked about first
  ContractAddress operator_address{};          ///< all zero when nobody signed
  std::optional<base::FixedBytes<48>> mrtd{};  ///< of a TD, which the identity leaves out; whoever vouches says it
  /// DNS names that its certificate is to have: where an authority answers only what it has proved, it proves these.
  std::vector<std::string> domain_names{};
  /// The evidence's verdict where there was evidence: approvals can say more than an identity does. Outlives the call.
  const attestation::Verdict* verdict = nullptr;
};

/// What an authority says of one question, all read at one moment.
struct ContractAnswer {
  bool allowed = false;
  std::string reason;         ///< why not, as the authority words it: "Operator not authorized"
  base::Digest32 identity{};  ///< the one that is allowed
  std::optional<base::Digest32> configuration;
  std::vector<std::string> storage;       ///< URIs, in the authority's order
  std::vector<std::string> domain_names;  ///< of the app's instances
  std::optional<base::Digest32> policy;   ///< that the app wants its workloads appraised by, besides this server's own
  std::optional<base::Digest32> service_policy{};  ///< the same of the key service, for this app
  std::string snapshot;                   ///< "evm:1@19000000:0x<hash>" or "<tenant>/<app>#<version>@<last approval>"
  std::uint64_t version = 0;              ///< block number, or version of the app's state
  std::optional<base::Deadline> asked{};  ///< of a chain: when the block was the newest that was known
  std::uint32_t epoch = 0;
  /// Of local governance: version of the tenant's sets and lists where the policy looks into them.
  std::optional<std::uint64_t> references{};
  /// The account that asked for the workload to be started. Local governance: only where its right was looked at.
  std::optional<ContractAddress> operator_address{};
};

/// What anybody may know of an app.
struct ContractFacts {
  std::vector<std::string> domain_names;
  std::vector<std::string> storage;
  base::Bytes ca;           ///< PEM, as published; empty when it is not
  base::Bytes public_key;   ///< PEM
  base::Bytes attestation;  ///< of the two
  std::string snapshot;
};

/// Proof that an authority allowed a workload. Only ContractAuthority::decide() makes one.
class ContractApproval {
 public:
  const base::AppRef& app() const noexcept { return app_; }
  const base::Tenant& tenant() const noexcept { return tenant_; }
  const ContractAddress& contract() const noexcept { return contract_; }
  const ContractAnswer& answer() const noexcept { return answer_; }

 private:
  friend class ContractAuthority;
  ContractApproval(base::Tenant tenant, base::AppRef app, const ContractAddress& contract, ContractAnswer answer)
      : tenant_(std::move(tenant)), app_(std::move(app)), contract_(contract), answer_(std::move(answer)) {}
  base::Tenant tenant_;
  base::AppRef app_;
  ContractAddress contract_;
  ContractAnswer answer_;
};

/// Thread-safe.
class ContractAuthority {
 public:
  explicit ContractAuthority(std::uint64_t chain_id) : chain_id_(chain_id) {}
  virtual ~ContractAuthority() = default;

  /// `denied` with the authority's reason; `unavailable` when it cannot be asked: an outage is no denial.
  base::Result<ContractApproval> decide(const ContractQuestion& question, base::Deadline deadline);
  /// The same as an answer that may be no, with the moment it is of: for who looks after a release whether it would be
  /// allowed still.
  base::Result<ContractAnswer> look(const ContractQuestion& question, base::Deadline deadline) {
    return ask(question, deadline);
  }
  /// `not_found` when there is no such app.
  virtual base::Result<ContractFacts> facts(const base::Tenant& tenant, const ContractAddress& contract,
                                            base::Deadline deadline) = 0;
  /// The decision as of now, for who took its time since then: the same one while nothing newer is known. `denied` when
  /// it is allowed no more, `conflict` when something else would be released by now than what was made ready.
  base::Result<ContractApproval> renew(const ContractQuestion& question, ContractApproval approval,
                                       base::Deadline deadline);
  /// Inside the releasing transaction: `conflict` when the approval is no longer what the authority says, as far as is
  /// known without asking it again (FORMATS 6).
  virtual base::Status still_holds(state::WriteTxn& txn, const ContractApproval& approval) const = 0;

  std::uint64_t chain_id() const noexcept { return chain_id_; }

 protected:
  virtual base::Result<ContractAnswer> ask(const ContractQuestion& question, base::Deadline deadline) = 0;
  /// Nothing is known that the answer does not know.
  virtual bool is_newest(const ContractAnswer&, base::Deadline) const { return true; }

 private:
  const std::uint64_t chain_id_;
};

}  // namespace attestry::governance
