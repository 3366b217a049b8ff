// The tracker's TEE out of the settings: a dstack guest agent, a quote provider, or a simulated one.
#pragma once
#include <memory>

#include "app/own_attester.h"
#include "app/settings.h"
#include "attestation/binding.h"
#include "base/ids.h"
#include "base/result.h"
#include "crypto/secret.h"
#include "net/client.h"
#include "tee/dstack_agent.h"
#include "tracker/attested.h"

namespace attestry::app {

/// What stands before the path of a guest agent's socket in tracker.attestation.
constexpr std::string_view kDstackAttestation = "dstack:";

class TrackerTeeSource {
 public:
  /// `app_key` (32 bytes): of keys where no guest agent derives them. Null attester and keys when the setting is empty.
  /// The clock outlives it. Error: `configuration`.
  static base::Result<std::unique_ptr<TrackerTeeSource>> open(const Settings& settings, base::Realm realm,
                                                              const base::Clock& clock, crypto::Secret app_key);
  attestation::Attester* attester() noexcept { return use_; }
  /// Valid as long as this.
  const tracker::KeySource& keys() const noexcept { return keys_; }
  const std::string& vendor() const noexcept { return vendor_; }

 private:
  TrackerTeeSource() = default;
  std::unique_ptr<net::HttpClient> http_;
  std::unique_ptr<tee::DstackAgent> agent_;
  std::unique_ptr<OwnAttester> other_;
  attestation::Attester* use_ = nullptr;
  tracker::KeySource keys_;
  std::string vendor_;
};

}  // namespace attestry::app
