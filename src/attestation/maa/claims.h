// The documented claims of Azure Attestation tokens, by attestation type: where each stands, what it looks like, and
// the name under which a verdict shows it. A tenant's policy can add any other claim; those are not shown, since
// nothing says what they mean.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/verdict.h"
#include "base/bytes.h"
#include "base/json.h"

namespace attestry::attestation::maa {

/// x-ms-attestation-type. `azurevm` says something about a virtual machine's boot; what its TEE says is nested in
/// x-ms-isolation-tee, with a type of its own.
enum class TokenType : std::uint8_t { sgx, sevsnpvm, tdxvm, azurevm };
std::optional<TokenType> token_type(std::string_view text) noexcept;

inline constexpr std::string_view kTypeClaim = "x-ms-attestation-type";
inline constexpr std::string_view kIsolationClaim = "x-ms-isolation-tee";
inline constexpr std::string_view kComplianceClaim = "x-ms-compliance-status";

struct ClaimFault {
  std::string name;
  std::string expected;
  std::string actual;
};

struct ClaimsRead {
  std::vector<Claim> claims;
  std::vector<ClaimFault> faults;  ///< missing where Microsoft always gives it, or of another form than documented
  base::Bytes report_data;         ///< 64 bytes; empty when the token has none
  bool debug = false;              ///< any debug flag of any level is set
};

/// The claims of a token of type `type`; `tee_level` is the object with the TEE's claims (the root, or
/// x-ms-isolation-tee for azurevm) and `tee` its type, never azurevm.
ClaimsRead read_claims(const base::JsonValue& root, TokenType type, const base::JsonValue& tee_level, TokenType tee);

}  // namespace attestry::attestation::maa
