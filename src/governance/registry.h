// The registry of apps: operators' keys, approvals, blobs, and what they add up to. Every change is a leaf in the same
// transaction (FORMATS 2).
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attestation/policy.h"
#include "audit/log.h"
#include "base/result.h"
#include "governance/approval.h"
#include "governance/operators.h"
#include "state/store.h"

namespace attestry::governance {

/// The state of one app after all its approvals: one snapshot, read together.
struct AppState {
  base::Tenant tenant = base::Tenant::standard();
  base::AppRef app;
  std::uint64_t version = 0;  ///< counts changes; a release aborts when it moved (FORMATS 6)
  std::uint64_t seq = 0;      ///< of the last accepted approval
  std::string prev;           ///< hex SHA-256 of the last accepted payload
  std::uint32_t epoch = 0;
  std::uint32_t oldest_epoch = 0;  ///< keys of the epochs before it are given to nobody any more
  std::uint32_t threshold = 1;
  std::optional<base::Digest32> policy;         ///< blob
  std::vector<base::Digest32> identities;       ///< blobs, approved and not revoked
  std::optional<base::Digest32> configuration;  ///< blob
  std::vector<base::Digest32> secrets;          ///< content ids, approved and not revoked; last approved last
  /// Version of the tenant's measurement sets and signed lists that policy_of() looked into, when the policy names any:
  /// a release aborts when that moved, too. Not stored.
  std::optional<std::uint64_t> references{};
};

/// The state of an app and the one policy that its approvals add up to, read together. Only the registry makes one, so
/// that whoever holds it appraises by what operators approved and not by a policy of his own.
class AppPolicy {
 public:
  const AppState& state() const noexcept { return state_; }
  const attestation::Policy& policy() const noexcept { return policy_; }
  /// The stored lists that the policy names.
  const std::vector<attestation::SignedList>& lists() const noexcept { return lists_; }

 private:
  friend class Registry;
  AppPolicy(AppState state, attestation::Policy policy, std::vector<attestation::SignedList> lists)
      : state_(std::move(state)), policy_(std::move(policy)), lists_(std::move(lists)) {}
  AppState state_;
  attestation::Policy policy_;
  std::vector<attestation::SignedList> lists_;
};

struct AcceptedApproval {
  AppState state;
  std::uint64_t leaf_index = 0;
  std::string payload_sha256;
};

/// Thread-safe. Writes go through the store's committer.
class Registry {
 public:
  Registry(state::Store& store, audit::Log& log, base::Realm realm, std::string audience);

  /// Adds or removes an operator's key or account of a tenant; the caller has authenticated an administrator. A leaf
  /// each.
  base::Status set_operator(const base::Tenant& tenant, const Operator& who, base::UtcTime now,
                            base::Deadline deadline);
  base::Status remove_operator(const base::Tenant& tenant, base::ByteView id, base::UtcTime now,
                               base::Deadline deadline);
  base::Result<std::vector<Operator>> operators(const base::Tenant& tenant) const;

  /// Blobs are content-addressed: storing the same bytes again changes nothing. At most 1 MiB each.
  base::Result<base::Digest32> put_blob(const base::Tenant& tenant, base::ByteView bytes, base::Deadline deadline);
  base::Result<base::Bytes> blob(const base::Tenant& tenant, const base::Digest32& id) const;

  /// Checks signatures, threshold, audience, realm, seq, prev, expiry and that the subject exists; `conflict` for a
  /// replayed or out-of-order approval, `denied` for too few valid signatures, `not_found` for a subject (a blob, or a
  /// secret of the app) that is not stored.
  base::Result<AcceptedApproval> submit(const Envelope& envelope, base::UtcTime now, base::Deadline deadline);

  base::Result<AppState> app(const base::Tenant& tenant, const base::AppRef& app) const;
  base::Result<std::vector<AppState>> apps(const base::Tenant& tenant) const;
  /// Envelopes as accepted, oldest first.
  base::Result<std::vector<std::string>> approvals(const base::Tenant& tenant, const base::AppRef& app) const;

  /// The app's approved policy together with its approved identities and those of the measurement sets that it names
  /// (approved by enough operators, in force at `now`), as one Policy whose document and SHA-256 cover all.
  base::Result<attestation::Policy> effective_policy(const AppState& state, base::UtcTime now) const;
  /// What lets instances of the app in (InstanceRecord::source): its own identities, those in its policy, and of each
  /// set that the policy names "set:<name>". A change that takes one of them away ends what rests on it.
  base::Result<std::vector<std::string>> sources(const AppState& state) const;
  /// app(), its effective_policy() and the stored lists that it names: what authorize() asks for. `denied` while no
  /// policy is approved.
  base::Result<AppPolicy> policy_of(const base::Tenant& tenant, const base::AppRef& app, base::UtcTime now) const;

  /// Inside the releasing transaction: `conflict` unless the app's version is still `version`, and that of the tenant's
  /// sets and lists still `references` (AppState::references).
  static base::Status require_version(state::WriteTxn& txn, const base::Tenant& tenant, const base::AppRef& app,
                                      std::uint64_t version, std::optional<std::uint64_t> references = {});

  /// Signed lists of claim values that policies look into. The administrator stores them: whose signatures count is
  /// said by each policy. A leaf each. `conflict` for a version that is not above the last one that was ever stored.
  base::Status put_list(const base::Tenant& tenant, const attestation::SignedList& list, base::UtcTime now,
                        base::Deadline deadline);
  base::Status remove_list(const base::Tenant& tenant, const std::string& name, base::UtcTime now,
                           base::Deadline deadline);
  base::Result<attestation::SignedList> list(const base::Tenant& tenant, const std::string& name) const;
  base::Result<std::vector<attestation::SignedList>> lists(const base::Tenant& tenant) const;

  base::Realm realm() const noexcept { return realm_; }
  const std::string& audience() const noexcept { return audience_; }

 private:
  base::Status add_identities_of(const AppState& state, const attestation::SetReference& reference, base::UtcTime now,
                                 std::vector<std::string>& out) const;

  state::Store& store_;
  audit::Log& log_;
  base::Realm realm_;
  std::string audience_;
};

}  // namespace attestry::governance
