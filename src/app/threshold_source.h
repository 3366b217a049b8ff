// A threshold root as a server sees it: its nodes, asked over attested sessions, in which each end knows the other's
// software (docs/formats/threshold.md, "Between nodes").
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "app/own_attester.h"
#include "app/settings.h"
#include "app/threshold_settings.h"
#include "appraisal/appraiser.h"
#include "base/mutex.h"
#include "cluster/approved_end.h"
#include "cluster/channel_peers.h"
#include "cluster/derivation.h"
#include "crypto/random.h"
#include "governance/registry.h"
#include "keys/ckd.h"
#include "keys/threshold_root.h"

namespace attestry::app {

/// All outlives the source.
struct ThresholdSourceParts {
  const appraisal::Appraiser& appraiser;
  const governance::Registry& registry;
  crypto::Random& random;
  const base::Clock& clock;
};

/// Which epoch is in force, and who its members are, nodes say; nothing of that is believed further than that what they
/// derive is right, which is checked with the pinned key. What one node invents keeps nobody from the epoch that others
/// know: each that was heard of is tried, those that failed in the last minute after the others. The one in which
/// something was derived last is asked before nodes are asked what is in force, for half of the time, unless it failed
/// in the last minute. Thread-safe.
class ThresholdSource final : public keys::CkdSource {
 public:
  static base::Result<std::unique_ptr<ThresholdSource>> open(const Settings& settings, const ThresholdSettings& said,
                                                             ThresholdSourceParts parts);
  /// A question that has begun at `deadline` is waited for.
  base::Result<crypto::Secret> derive(base::ByteView app_id, base::ByteView said, base::Deadline deadline) override;
  /// Ends what waits for nodes, and every later wait.
  void stop() { peers_->stop(); }

 private:
  using EpochPtr = std::shared_ptr<const cluster::Epoch>;
  ThresholdSource(ThresholdSettings said, ThresholdSourceParts parts, keys::ckd::MasterPublicKey master)
      : said_(std::move(said)), parts_(parts), master_(std::move(master)) {}
  cluster::ApprovedEndParts end_parts() const;
  EpochPtr known() const;
  base::Result<std::vector<EpochPtr>> look(base::Deadline deadline);
  /// Of one derivation: what is asked for, and what becomes of it.
  struct Asked {
    base::ByteView app_id, said;
    bool refused = false;  ///< a node has answered that it will not give what is said
  };
  base::Result<crypto::Secret> derive_anywhere(Asked& asked, base::Deadline deadline);
  base::Result<crypto::Secret> derive_in(const EpochPtr& epoch, Asked& asked, base::Deadline deadline);
  /// With what is to be noted of a failure.
  base::Result<crypto::Secret> try_in(const EpochPtr& epoch, Asked& asked, base::Deadline deadline);
  EpochPtr begin_with();
  void note(const cluster::Epoch& epoch, const base::Error& failure);
  bool failed_lately(const cluster::Epoch& epoch) const;

  const ThresholdSettings said_;
  const ThresholdSourceParts parts_;
  const keys::ckd::MasterPublicKey master_;
  std::unique_ptr<OwnAttester> attester_;
  std::unique_ptr<cluster::ChannelPeers> peers_;
  mutable base::Mutex mutex_;
  EpochPtr epoch_ ATTESTRY_GUARDED_BY(mutex_);    ///< in which something was derived last
  EpochPtr untried_ ATTESTRY_GUARDED_BY(mutex_);  ///< heard of when there was no time left to ask its members
  /// Outcomes in which nothing could be, and when that is forgotten; oldest first.
  std::vector<std::pair<base::Digest32, std::chrono::steady_clock::time_point>> failed_ ATTESTRY_GUARDED_BY(mutex_);
  std::vector<std::uint32_t> answered_ ATTESTRY_GUARDED_BY(mutex_);  ///< who did last: asked first
};

}  // namespace attestry::app
