// Forged tokens in the form of Microsoft Azure Attestation, with the key set that verifies them: good, or with one
// named fault. The issuer has a name that no DNS ever resolves (RFC 2606), so nobody takes them for Microsoft's.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/rsa.h"

namespace attestry::forge {

inline constexpr std::string_view kForgeIssuer = "https://forge.simulated.attest.invalid";

/// What the token attests. The last two nest the TEE's claims in those of a virtual machine, as Azure's confidential
/// VMs do.
enum class MaaKind : std::uint8_t { sgx, sevsnpvm, tdxvm, azurevm_snp, azurevm_tdx };
std::span<const MaaKind> all_maa_kinds() noexcept;
/// "maa-sgx", …, "maa-azurevm-tdx"
std::string_view to_text(MaaKind kind) noexcept;
std::optional<MaaKind> parse_maa_kind(std::string_view text) noexcept;

enum class MaaFault : std::uint8_t {
#define ATTESTRY_MAA_FAULT(name, text, cause, what) name,
#include "forge/maa_faults.def"
#undef ATTESTRY_MAA_FAULT
};
struct MaaFaultInfo {
  MaaFault fault;
  std::string_view name;
  std::string_view cause;  ///< id of the check that names it; empty: the token is good
  std::string_view what;
};
std::span<const MaaFaultInfo> maa_faults() noexcept;
std::optional<MaaFault> parse_maa_fault(std::string_view name) noexcept;
/// Some faults exist in a token with nested claims only.
bool applies(MaaFault fault, MaaKind kind) noexcept;

/// An honest token could look like this under keys that are too old, so nobody calls it forged.
bool leaves_undecided(MaaFault fault) noexcept;

struct MaaScenario {
  MaaKind kind = MaaKind::sgx;
  MaaFault fault = MaaFault::none;
  base::UtcTime at;                    ///< a minute after the token was issued
  std::string nonce = "forged nonce";  ///< x-ms-runtime.client-payload.nonce
  base::FixedBytes<64> report_data{};  ///< zero: from the seed; sgx: its first half is always the held data's hash
};

struct MaaCase {
  std::string token;
  std::string jwks;
  std::string issuer;
  /// In the layout of the test vectors.
  std::string case_json(std::string_view name) const;

  MaaScenario scenario;
  std::vector<std::pair<std::string, std::string>> measurements;
};

/// The simulated service. The same seed gives the same key and, with the same scenario, the same token, byte for byte.
/// Making one takes as long as making an RSA key.
class MaaService {
 public:
  explicit MaaService(base::ByteView seed);
  MaaCase make(const MaaScenario& scenario) const;
  const crypto::RsaPrivateKey& key() const noexcept { return key_; }
  std::string kid() const;

 private:
  base::Bytes seed_;
  crypto::RsaPrivateKey key_;
};

}  // namespace attestry::forge
