// A node's own decision whether a workload may have a share of its key: made from the workload's own evidence, by what
// operators approved in this node's own registry, and in this node's own log before anything leaves. Nobody else's
// word counts: not that of the node that brings the request either. docs/formats/threshold.md
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>

#include "appraisal/appraisal_store.h"
#include "appraisal/appraiser.h"
#include "appraisal/challenge.h"
#include "audit/log.h"
#include "base/bytes.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "cluster/application.h"
#include "cluster/node_server.h"
#include "governance/registry.h"
#include "state/store.h"

namespace attestry::cluster {

/// All that it refers to outlives it.
struct AuthorityParts {
  std::uint32_t node = 0;  ///< its own id
  state::Store& store;
  audit::Log& log;
  const appraisal::Challenges& challenges;
  const appraisal::Appraiser& appraiser;
  const governance::Registry& registry;
  const appraisal::AppraisalStore& appraisals;
  /// The cluster's master public key; null before the first epoch. Thread-safe.
  std::function<std::shared_ptr<const keys::ckd::MasterPublicKey>()> master;
};

/// Thread-safe. All calls block.
class Authority final : public Authoriser {
 public:
  explicit Authority(AuthorityParts parts) : parts_(std::move(parts)) {}

  /// This node's nonce for an Application. `unavailable` before the first epoch, and while the clock is not usable.
  base::Result<answer::Nonce> challenge() override;

  /// The app_id that a share may be made for, blinded by application.key and by no other. Returns when the leaf
  /// "threshold.derivation" is durable. The nonce of this node is spent with it: the same application, byte for byte,
  /// has the same answer again while the nonce lives and the approvals are those of the first time, without another
  /// leaf, so that other participants can be asked when one has died.
  /// Errors: `denied` (not our nonce, or not among those combined; a refusal by policy, which is a leaf and spends the
  /// nonce, too), `challenge_expired`, `replayed` (spent for another application), `evidence_false` (not genuine, or
  /// made for something else), `malformed` (app_id_of, A or A2), `conflict` (approvals changed meanwhile),
  /// `realm_mismatch`; `unavailable`, `collateral_missing`, `deadline_exceeded` when nothing was decided: nothing is
  /// spent then.
  base::Result<base::Bytes> authorise(const Application& application, base::Deadline deadline) const;
  /// The same for what another node brings. Besides: the errors of Application::parse.
  base::Result<Allowed> authorise(base::ByteView application, base::Deadline deadline) override;

  /// The leaf "threshold.server". The same server's same app_id and key have one for as long as this remembers them:
  /// other participants that are asked, or a proof, are nothing new.
  base::Status note_server(const Node::Request& request, const ServersKey& servers,
                           const attestation::VerifiedReport& server, base::Deadline deadline) override;

 private:
  AuthorityParts parts_;
  base::Mutex mutex_;
  std::set<base::Digest32> noted_ ATTESTRY_GUARDED_BY(mutex_);  ///< leaves of servers that are durable
};

}  // namespace attestry::cluster
