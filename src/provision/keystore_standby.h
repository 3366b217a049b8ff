// A keystore's way to its standby inside an attested session, in which each has seen the other's evidence
// (docs/formats/channel.md, "Hot standby of a keystore").
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "appraisal/appraiser.h"
#include "attestation/binding.h"
#include "audit/log.h"
#include "base/result.h"
#include "channel/session.h"
#include "crypto/random.h"
#include "governance/registry.h"
#include "net/peer.h"
#include "secrets/keystore_copy.h"
#include "secrets/keystore_feed.h"
#include "secrets/keystore_replica.h"
#include "state/store.h"

namespace attestry::provision {

/// All that it refers to outlives it.
struct KeystoreStandbyParts {
  state::Store& store;  ///< not the feed
  audit::Log& log;
  const appraisal::Appraiser& appraiser;
  attestation::Attester& attester;
  const governance::Registry& registry;
  crypto::Random& random;
  const base::Clock& clock;
  secrets::ReplicaFence& fence;
  secrets::KeystoreFeed& feed;
  const secrets::KeystoreCopy& copy;
  /// Operators' approvals for this app say which software serves this keystore, on either end.
  base::Tenant tenant = base::Tenant::standard();
  base::AppRef app;
  std::chrono::milliseconds poll{1'000};  ///< that a question waits for a change
};

/// Thread-safe.
class KeystoreStandby {
 public:
  explicit KeystoreStandby(KeystoreStandbyParts parts) : parts_(std::move(parts)) {}

  /// This end of one session. `denied` while nobody has approved a policy, or one that names no software.
  base::Result<channel::End> end() const;
  /// The called one: answers questions until `deadline`, or until something is wrong. Masters leave only after a leaf
  /// "keystore.standby" is durable, and only while the approvals are those that let the other end in.
  void serve(channel::Session session, base::Deadline deadline) const;
  /// The caller: follows the primary, or tells the other one that there is a new primary. From `renew` on it opens the
  /// next session, in which both show their evidence anew, and goes on in the old one until it has that: nobody who is
  /// in the way of new sessions keeps the two apart. Returns at `deadline`, when there is nothing more to say to the
  /// other one, or when `go_on` says no; true in the second case. `stop` ends it at once.
  base::Result<bool> call(const std::string& peer, const std::function<bool()>& go_on,
                          std::shared_ptr<net::PeerStop> stop, base::Deadline renew, base::Deadline deadline) const;

 private:
  /// What let the other end of a session in.
  struct Guest {
    governance::AppState state;
    bool logged = false;  ///< the leaf is durable
  };
  base::Result<governance::AppPolicy> policy() const;
  base::Status serve_all(channel::Session& session, base::Deadline deadline) const;
  base::Status answer(channel::Session& session, const secrets::ReplicaQuestion& question, Guest& guest,
                      base::Deadline deadline) const;
  base::Status log(const channel::Session& session, const Guest& guest, base::Deadline deadline) const;
  base::Status still_allowed(const channel::Session& session, const Guest& guest) const;
  base::Result<bool> ask(channel::Session& session, std::optional<secrets::ReplicaCursor>& copying,
                         base::Deadline deadline) const;

  KeystoreStandbyParts parts_;
};

}  // namespace attestry::provision
