// A tracker's routes for its TEE: keys, quotes, judgements of quotes, and registration with evidence
// (docs/reference/tracker-wire.md). The rules are those of tracker/attested.h.
#pragma once
#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/tracker_announce.h"
#include "appraisal/appraiser.h"
#include "attestation/binding.h"
#include "attestation/policy.h"
#include "base/json.h"
#include "base/mutex.h"
#include "tracker/attested.h"

namespace attestry::api {

enum class TeeMode : std::uint8_t { disabled, enabled, benchmark };
std::string_view to_text(TeeMode mode) noexcept;
/// Error `malformed`.
base::Result<TeeMode> tee_mode_from(std::string_view text);

/// Everything that is referred to outlives the tracker.
struct TrackerTeeParts {
  const appraisal::Appraiser& appraiser;
  const base::Clock& clock;
  crypto::Random& random;
  base::Realm realm = base::Realm::production;
  attestation::Attester* attester = nullptr;  ///< null: no TEE
  tracker::KeySource keys{};                  ///< empty: no TEE
  std::string vendor{};                       ///< "dstack", "simulated" or "quote provider", for /tee/status
  TeeMode mode = TeeMode::disabled;
  bool attested_members = false;  ///< registration needs evidence
  attestation::Policy member_policy = attestation::Policy::standard();
  std::vector<std::string> pccs_urls{};  ///< that requests may name
};

/// Thread-safe. keys() and attester() block while the TEE works: for a lane.
class TrackerTee {
 public:
  explicit TrackerTee(TrackerTeeParts parts) : parts_(std::move(parts)), nonces_(parts_.random), mode_(parts_.mode) {}

  const TrackerTeeParts& parts() const noexcept { return parts_; }
  bool available() const noexcept { return parts_.attester != nullptr; }
  TeeMode mode() const noexcept { return mode_.load(); }
  /// Until the process ends. Error `malformed` for any but disabled without a TEE.
  base::Status set_mode(TeeMode mode);
  tracker::RegistrationNonces& nonces() noexcept { return nonces_; }

  /// `attestation` {quote, nonce, event_logs} of a registration: genuine, of the policy, over this user, tracker and
  /// key, made for a nonce that is used up then. `done` gets the evidence's SHA-256, before this returns or on a thread
  /// of the collateral's. Errors: `malformed`, `challenge_expired`, `replayed`, `evidence_false`, `denied`,
  /// `collateral_missing`, `unavailable`.
  void appraise_member(const base::JsonValue& attestation, std::string_view user_id,
                       const tracker::InstanceId& instance, base::ByteView key,
                       std::move_only_function<void(base::Result<base::Digest32>)> done);

  struct Statistics {
    std::uint64_t keys = 0, attestations = 0;
    double key_ms = 0, attestation_ms = 0;  ///< in all
  };
  Statistics statistics() const;
  void count_key(double ms);
  void count_attestation(double ms);

 private:
  const TrackerTeeParts parts_;
  tracker::RegistrationNonces nonces_;
  std::atomic<TeeMode> mode_;
  mutable base::Mutex mutex_;
  Statistics statistics_ ATTESTRY_GUARDED_BY(mutex_);
};

/// /keygen-tee, /generate-attestation, /verify-attestation, /tee/status and /attestation-nonce on the role tracker.
/// `lane` is for calls of the TEE; all outlive the router.
base::Status register_tracker_tee(net::Router& router, const TrackerDeps& deps, TrackerTee& tee, FairLane& lane);

}  // namespace attestry::api
