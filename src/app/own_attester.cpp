#include "app/own_attester.h"

#include <chrono>

#include "app/validate.h"
#include "tee/remote_attester.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::chrono::milliseconds kQuotePatience{10'000};

}  // namespace

Result<std::unique_ptr<OwnAttester>> OwnAttester::open(const Settings& settings, std::string_view setting,
                                                       base::Realm realm, const base::Clock& clock) {
  std::unique_ptr<OwnAttester> out{new OwnAttester()};
  const std::string& kind = settings.text(setting);
  if (!kind.starts_with(kSimulatedAttestation)) {
    TRY(out->http_, net::HttpClient::make({.clock = &clock}));
    out->made_ = std::make_unique<tee::RemoteAttester>(*out->http_, kind, kQuotePatience, clock);
    out->use_ = out->made_.get();
    return out;
  }
  if (realm == base::Realm::production) {
    return Error{Code::configuration, named(settings, setting) + ": a simulated TEE vouches for nothing",
                 "the address of a quote provider", kind};
  }
  TRY(out->simulated_, SimulatedTee::open(kind.substr(kSimulatedAttestation.size()), "tdx-v4"),
      named(settings, setting));
  out->use_ = &out->simulated_->attester();
  return out;
}

}  // namespace attestry::app
