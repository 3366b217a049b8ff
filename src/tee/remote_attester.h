// Evidence of this machine's TEE from whoever can make it: a quote provider beside this process, and for tests of
// dialects one that proves nothing.
#pragma once
#include <string>

#include "attestation/binding.h"
#include "net/client.h"

namespace attestry::tee {

/// GET <address>/attest/<128 hex digits of the report data>; the body of a 200 is the evidence. Thread-safe.
class RemoteAttester final : public attestation::Attester {
 public:
  RemoteAttester(net::HttpTransport& http, std::string address, std::chrono::milliseconds patience,
                 const base::Clock& clock)
      : http_(http), address_(std::move(address)), patience_(patience), clock_(clock) {}
  /// `unavailable` for any other answer, with its status and the beginning of its body.
  base::Result<attestation::Evidence> attest(const base::FixedBytes<64>& report_data) override;

 private:
  net::HttpTransport& http_;
  const std::string address_;
  const std::chrono::milliseconds patience_;
  const base::Clock& clock_;
};

/// "Attestation for CA " and the report data in hex: what the registry's first servers say without a TEE. No verifier
/// takes it for evidence.
class DummyAttester final : public attestation::Attester {
 public:
  base::Result<attestation::Evidence> attest(const base::FixedBytes<64>& report_data) override;
};

}  // namespace attestry::tee
