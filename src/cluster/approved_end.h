// One end of a session between nodes, or of a server with a node: who may be at the other end is what operators
// approved here (docs/formats/threshold.md, "Between nodes").
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>

#include "appraisal/appraiser.h"
#include "attestation/binding.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "channel/session.h"
#include "crypto/random.h"
#include "governance/registry.h"

namespace attestry::cluster {

/// The approved policy of an app that says which software it is. `denied` while nobody has approved one, or one that
/// names no software: such a policy lets in everything genuine.
base::Result<governance::AppPolicy> software_policy(const governance::Registry& registry, const base::Tenant& tenant,
                                                    const base::AppRef& app, base::UtcTime now);

/// What the references refer to outlives the end.
struct ApprovedEndParts {
  const appraisal::Appraiser& appraiser;
  attestation::Attester& attester;
  const governance::Registry& registry;
  crypto::Random& random;
  const base::Clock& clock;
  base::Tenant tenant = base::Tenant::standard();
  base::AppRef nodes;                     ///< the audience is "node:" and this app
  std::optional<base::AppRef> servers{};  ///< may be at the other end, too
};

/// Error: that of software_policy() for the nodes.
base::Result<channel::End> approved_end(ApprovedEndParts parts);

/// The other end of a session: what it has shown, and what it was let in by. One thread at a time.
class ApprovedPeer {
 public:
  /// Where it is looked at; outlives it.
  struct Parts {
    const governance::Registry& registry;
    const base::Clock& clock;
    base::Tenant tenant = base::Tenant::standard();
    base::AppRef app;  ///< by whose approvals
  };
  /// Errors: those of software_policy() and appraise_report_data().
  static base::Result<ApprovedPeer> judge(Parts parts, const channel::Session& session);

  /// The approvals are read once a second, because a question is a matter of microseconds. `unavailable` when they, or
  /// the lists that they refer to, are others than those by which it was let in, or its attestation is no longer valid.
  base::Status unchanged();
  /// The same, but approvals that have changed may be such that they let it in again. Errors: besides, those of
  /// judge().
  base::Status still_approved();
  /// By the policy that it was let in by last.
  const attestation::VerifiedReport& report() const noexcept { return report_; }

 private:
  ApprovedPeer(Parts parts, attestation::VerifiedReport shown, const governance::AppPolicy& app,
               attestation::VerifiedReport report);
  base::Result<std::optional<governance::AppPolicy>> changed();
  base::Status in_time() const;

  Parts parts_;
  attestation::VerifiedReport shown_, report_;
  std::uint64_t version_;  ///< of the app's approvals
  std::optional<std::uint64_t> references_;
  std::chrono::steady_clock::time_point looked_;
};

}  // namespace attestry::cluster
