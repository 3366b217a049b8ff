// Intel's TCB info, versions 2 (SGX only) and 3 (PCS v4, "TCB info"): which SVNs of a platform mean which TCB status.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/dcap/quote.h"
#include "attestation/dcap/tcb_status.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::attestation::dcap {

using Svns = std::array<std::uint8_t, 16>;

struct TcbLevel {
  Svns sgx{};
  std::uint16_t pcesvn = 0;
  Svns tdx{};  ///< zero in TCB info of SGX
  TcbStatus status = TcbStatus::not_supported;
  base::UtcTime date;
  std::vector<std::string> advisory_ids;
};

/// A level of an enclave identity or of a TDX module identity.
struct IsvLevel {
  std::uint16_t isvsvn = 0;
  TcbStatus status = TcbStatus::not_supported;
  base::UtcTime date;
  std::vector<std::string> advisory_ids;
};

/// The SEAM module that a TDX platform must run.
struct TdxModule {
  base::FixedBytes<48> mrsigner{};
  base::FixedBytes<8> attributes{};
  base::FixedBytes<8> attributes_mask{};
};
struct TdxModuleIdentity {
  std::string id;  ///< "TDX_01"
  TdxModule module;
  std::vector<IsvLevel> levels;  ///< highest isvsvn first
};

/// Immutable once parsed.
struct TcbInfo {
  Tee tee = Tee::sgx;  ///< version 2 has no id and is of SGX
  std::string id;      ///< "SGX", "TDX", as given; empty in version 2
  std::uint32_t version = 0;
  std::uint32_t tcb_type = 0;
  std::uint32_t evaluation_number = 0;
  base::UtcTime issue_date;
  base::UtcTime next_update;
  base::FixedBytes<6> fmspc{};
  base::FixedBytes<2> pceid{};
  std::vector<TcbLevel> levels;  ///< highest first, as Intel's library orders them whatever the document's order
  std::optional<TdxModule> tdx_module;
  std::vector<TdxModuleIdentity> tdx_module_identities;

  /// By the id "TDX_%02X" of the module's major version, compared without letter case; nullptr when there is none.
  const TdxModuleIdentity* module_identity(std::uint8_t major_version) const noexcept;
};

/// Parses the exact signed text. Unknown members are ignored (Intel adds some); duplicate keys, missing members, values
/// out of range, component arrays of another length than 16 and levels given twice are errors `malformed`. Versions
/// other than 2 and 3 are an error, too: their layout is not known.
base::Result<TcbInfo> parse_tcb_info(std::string_view text);

/// The first level with isvsvn <= `isvsvn`, or nullptr. `levels` highest first.
const IsvLevel* find_isv_level(const std::vector<IsvLevel>& levels, std::uint16_t isvsvn) noexcept;

}  // namespace attestry::attestation::dcap
