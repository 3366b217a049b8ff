// What the registry's contracts look at of a workload: from a proxy's headers or from a verdict
// (docs/formats/registry.md).
#pragma once
#include <optional>
#include <string_view>

#include "attestation/verdict.h"
#include "base/result.h"
#include "provision/registry_identity.h"

namespace attestry::provision {

/// Header names of the wire.
inline constexpr std::string_view kAttestationTypeHeader = "X-Flashbots-Attestation-Type";
inline constexpr std::string_view kMeasurementHeader = "X-Flashbots-Measurement";

struct RegistryMeasurements {
  enum class Kind : std::uint8_t { dcap, maa };
  Kind kind = Kind::dcap;
  TdxRegister mrtd{};                 ///< dcap
  std::array<TdxRegister, 3> rtmr{};  ///< dcap
  base::Digest32 pcr4{};              ///< maa, like the following
  base::Digest32 pcr9{};
  base::Digest32 pcr11{};

  base::Digest32 identity(const curves::Address& contract) const;
};

/// `type` and `json` are the two headers' values; an absent header is empty. `legacy_maa`: registers of Azure as 32
/// characters instead of 64 hex digits, which is what the first registry took. Error `malformed`, worded as that one
/// worded it, with "invalid measurements" in front.
base::Result<RegistryMeasurements> measurements_from_headers(std::string_view type, std::string_view json,
                                                             bool legacy_maa = false);
/// Of a verified quote. `malformed` when the platform has no such registers. A server that asks for the master key is
/// known by these only.
base::Result<RegistryMeasurements> measurements_of(const attestation::Verdict& verdict);
/// The same, and those that a verified token of Azure Attestation says of a TD (type tdxvm): they are the quote's, so
/// the identity is the quote's, too. `malformed` for a token of a virtual machine (azurevm), which has the value of no
/// register of its guest, and for one that does not say the state of the TD's TCB.
base::Result<RegistryMeasurements> measurements_of_workload(const attestation::Verdict& verdict);
/// All that says what a TD runs; nullopt for other platforms and for tokens, which leave some of it out.
std::optional<TdxFacts> tdx_facts(const attestation::Verdict& verdict, std::uint64_t chain_id,
                                  const curves::Address& contract);

}  // namespace attestry::provision
