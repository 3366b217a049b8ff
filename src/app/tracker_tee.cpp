#include "app/tracker_tee.h"

#include <chrono>

#include "base/log.h"

namespace attestry::app {

using base::Result;

namespace {

constexpr std::string_view kSetting = "tracker.attestation";
constexpr std::chrono::milliseconds kAgentPatience{10'000};

}  // namespace

Result<std::unique_ptr<TrackerTeeSource>> TrackerTeeSource::open(const Settings& settings, base::Realm realm,
                                                                 const base::Clock& clock, crypto::Secret app_key) {
  std::unique_ptr<TrackerTeeSource> out{new TrackerTeeSource()};
  const std::string& kind = settings.text(kSetting);
  if (kind.empty()) return out;
  if (kind.starts_with(kDstackAttestation)) {
    TRY(out->http_, net::HttpClient::make({.clock = &clock}));
    out->agent_ =
        std::make_unique<tee::DstackAgent>(*out->http_, kind.substr(kDstackAttestation.size()), kAgentPatience, clock);
    out->use_ = out->agent_.get();
    out->keys_ = [agent = out->agent_.get()](std::string_view path,
                                             std::string_view purpose) -> Result<tracker::DerivedSecret> {
      TRY(auto key, agent->key(path, purpose));
      return tracker::DerivedSecret{.key = std::move(key.key), .signature_chain = std::move(key.signature_chain)};
    };
    out->vendor_ = "dstack";
    return out;
  }
  TRY(out->other_, OwnAttester::open(settings, kSetting, realm, clock));
  out->use_ = &out->other_->attester();
  out->keys_ = tracker::local_key_source(std::move(app_key));
  const bool simulated = kind.starts_with(kSimulatedAttestation);
  out->vendor_ = simulated ? "simulated" : "quote provider";
  if (simulated)
    base::log(base::LogLevel::warning, "tracker.attestation: a simulated TEE stands in; it vouches for nothing");
  return out;
}

}  // namespace attestry::app
