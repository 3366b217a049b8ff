// Identities of workloads as the registry's contracts compute them, and the extended one (docs/formats/registry.md).
#pragma once
#include <string>

#include "attestation/policy.h"
#include "base/bytes.h"
#include "base/result.h"
#include "curves/address.h"

namespace attestry::provision {

using TdxRegister = base::FixedBytes<48>;

/// Keccak-256(contract ‖ RTMR0 ‖ RTMR1 ‖ RTMR2).
base::Digest32 dcap_identity(const curves::Address& contract, const TdxRegister& rtmr0, const TdxRegister& rtmr1,
                             const TdxRegister& rtmr2);
/// Keccak-256(contract ‖ PCR4 ‖ PCR9 ‖ PCR11).
base::Digest32 maa_identity(const curves::Address& contract, const base::Digest32& pcr4, const base::Digest32& pcr9,
                            const base::Digest32& pcr11);

/// Everything that says what a TD runs, for identities that leave nothing out.
struct TdxFacts {
  std::uint64_t chain_id = 0;
  curves::Address contract{};
  TdxRegister mrtd{};
  std::array<TdxRegister, 4> rtmr{};
  TdxRegister mrconfigid{};
  TdxRegister mrowner{};
  TdxRegister mrownerconfig{};
  base::FixedBytes<8> td_attributes{};  ///< as the quote has them
  bool debug = false;
  std::string tcb_status;  ///< "UpToDate"
};
base::Digest32 extended_identity(const TdxFacts& facts);

/// The contract's own identity of a TD leaves its firmware out, and firmware can measure what it likes: whose firmware
/// another server runs must be looked at by somebody. `configuration` where neither identities of the policy nor
/// `extended` ones do.
base::Status firmware_is_covered(const attestation::Policy& policy, bool extended);

}  // namespace attestry::provision
