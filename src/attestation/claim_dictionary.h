// The one dictionary of claims (claims.def): what evidence can say about a TEE, by name. Policies, the documentation
// and the command line all read it, so a claim that is not here does not exist.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace attestry::attestation {

enum class ClaimType : std::uint8_t {
  bytes,    ///< lower-case hex; ClaimInfo::size bytes, 0: any number
  number,   ///< decimal, not negative
  boolean,  ///< true or false
  text,
};
std::string_view to_text(ClaimType type) noexcept;

enum class ClaimId : std::uint16_t {
#define ATTESTRY_CLAIM(id, name, platforms, type, size, identifies, meaning) id,
#include "attestation/claims.def"
#undef ATTESTRY_CLAIM
};

struct ClaimInfo {
  std::string_view name;
  std::string_view platforms;  ///< "tdx", "sgx tdx"
  ClaimType type;
  std::uint16_t size;
  bool identifies;  ///< measures code: an approved identity needs one of these, and zeros in it approve nothing
  std::string_view meaning;
};

/// In the order of ClaimId.
std::span<const ClaimInfo> claim_dictionary() noexcept;
const ClaimInfo& info(ClaimId claim) noexcept;
/// nullptr when there is no such claim.
const ClaimInfo* find_claim(std::string_view name) noexcept;

}  // namespace attestry::attestation
