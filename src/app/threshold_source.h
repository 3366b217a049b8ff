// A threshold root as a server sees it: its nodes, asked over attested sessions, in which each end knows the other's
// software (docs/formats/threshold.md, "Between nodes").
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "app/own_attester.h"
#include "app/settings.h"
#include "app/threshold_settings.h"
#include "appraisal/appraiser.h"
#include "base/mutex.h"
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
/// derive is right, which is checked with the pinned key. Thread-safe.
class ThresholdSource final : public keys::CkdSource {
 public:
  static base::Result<std::unique_ptr<ThresholdSource>> open(const Settings& settings, const ThresholdSettings& said,
                                                             ThresholdSourceParts parts);
  /// A question that has begun at `deadline` is waited for.
  base::Result<crypto::Secret> derive(base::ByteView app_id, base::Deadline deadline) override;
  /// Ends what waits for nodes, and every later wait.
  void stop() { peers_->stop(); }

 private:
  using EpochPtr = std::shared_ptr<const cluster::Epoch>;
  ThresholdSource(ThresholdSettings said, ThresholdSourceParts parts, keys::ckd::MasterPublicKey master)
      : said_(std::move(said)), parts_(parts), master_(std::move(master)) {}
  base::Result<governance::AppPolicy> policy() const;
  base::Result<channel::End> end() const;
  EpochPtr known() const;
  base::Result<EpochPtr> look(base::Deadline deadline);
  base::Result<crypto::Secret> derive_in(const cluster::Epoch& epoch, base::ByteView app_id, base::Deadline deadline);

  const ThresholdSettings said_;
  const ThresholdSourceParts parts_;
  const keys::ckd::MasterPublicKey master_;
  std::unique_ptr<OwnAttester> attester_;
  std::unique_ptr<cluster::ChannelPeers> peers_;
  mutable base::Mutex mutex_;
  EpochPtr epoch_ ATTESTRY_GUARDED_BY(mutex_);
  std::vector<std::uint32_t> answered_ ATTESTRY_GUARDED_BY(mutex_);  ///< who did last: asked first
};

}  // namespace attestry::app
