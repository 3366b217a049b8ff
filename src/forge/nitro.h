// Simulated AWS Nitro enclaves: attestation documents under an own root, with the certificate profiles of the real path
// (root, regional, zonal, instance, enclave; all P-384). The same seed, time and options give the same bytes.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "attestation/evidence.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::forge {

enum class NitroFault : std::uint8_t {
#define ATTESTRY_NITRO_FAULT(name, text, accepted, what) name,
#include "forge/nitro_faults.def"
#undef ATTESTRY_NITRO_FAULT
};
struct NitroFaultInfo {
  NitroFault fault;
  std::string_view name;  ///< "leaf-as-ca"
  bool accepted;          ///< genuine and without a finding, all the same
  std::string_view what;
};
std::span<const NitroFaultInfo> nitro_faults() noexcept;
const NitroFaultInfo& info(NitroFault fault) noexcept;
std::optional<NitroFault> parse_nitro_fault(std::string_view name) noexcept;

struct NitroSpec {
  base::UtcTime at{};  ///< the document is made then; the enclave's certificate is valid for three hours around it
  NitroFault fault = NitroFault::none;
  std::optional<base::Bytes> user_data{};
  std::optional<base::Bytes> nonce{};
  std::optional<base::Bytes> public_key{};
  std::optional<base::FixedBytes<48>> pcr0{};  ///< default: from the seed
};

struct NitroCase {
  base::Bytes document;
  std::string root_pem;
  NitroSpec spec;
  base::FixedBytes<48> pcr0{};

  attestation::Evidence evidence() const;
  /// case.json in the layout of the test vectors.
  std::string case_json(std::string_view name) const;
};

/// Error `malformed` for an empty seed.
base::Result<NitroCase> make_nitro_case(base::ByteView seed, const NitroSpec& spec);

}  // namespace attestry::forge
