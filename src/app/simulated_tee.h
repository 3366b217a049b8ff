// A simulated TEE for `instance` and `dev`: the forge's PKI from a seed file, and an attester on it.
#pragma once
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "client/registration.h"
#include "crypto/random.h"
#include "forge/attester.h"
#include "forge/pki.h"

namespace attestry::app {

/// What stands before the seed file's name in registry.attestation.
constexpr std::string_view kSimulatedAttestation = "simulated:";

/// A random seed in that file, unless there is one. Machines with the same seed have the same vendor.
base::Status make_simulated_seed(const std::string& file, crypto::Random& random);

class SimulatedTee {
 public:
  /// `seed_file` holds the seed as text; `kind` as forge::parse_quote_kind.
  /// With `boot` it is a TD that measured its boot, and gives the logs of `attestry forge --event-log` with that seed.
  static base::Result<std::unique_ptr<SimulatedTee>> open(const std::string& seed_file, const std::string& kind,
                                                          bool boot = false);
  const forge::ForgePki& pki() const noexcept { return pki_; }
  attestation::Attester& attester() noexcept { return *attester_; }

 private:
  explicit SimulatedTee(forge::ForgePki pki) : pki_(std::move(pki)) {}
  forge::ForgePki pki_;
  std::unique_ptr<forge::ForgeAttester> attester_;
};

/// The appraisal that explains a refusal, and how to read it.
void print_appraisal(std::ostream& err, const std::string& id);
/// What a workload received, for people; no secret is shown.
void print_registered(std::ostream& out, const client::Registered& registered);

}  // namespace attestry::app
