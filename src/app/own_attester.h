// Who makes this server's own evidence: what a setting like keystore.standby_attestation names.
#pragma once
#include <memory>
#include <string>

#include "app/settings.h"
#include "app/simulated_tee.h"
#include "attestation/binding.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "net/client.h"

namespace attestry::app {

class OwnAttester {
 public:
  /// `setting` holds the address of a quote provider, or simulated:SEED_FILE, which is `configuration` in the realm of
  /// production. The clock outlives it.
  static base::Result<std::unique_ptr<OwnAttester>> open(const Settings& settings, std::string_view setting,
                                                         base::Realm realm, const base::Clock& clock);
  attestation::Attester& attester() noexcept { return *use_; }

 private:
  OwnAttester() = default;
  std::unique_ptr<net::HttpClient> http_;
  std::unique_ptr<SimulatedTee> simulated_;
  std::unique_ptr<attestation::Attester> made_;
  attestation::Attester* use_ = nullptr;
};

}  // namespace attestry::app
