// Intel's enclave identity, version 2 (PCS v4, "QE identity"): which enclave may sign attestation keys of a TEE.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "attestation/dcap/tcb_info.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::attestation::dcap {

/// Immutable once parsed.
struct QeIdentity {
  std::string id;  ///< "QE", "TD_QE", "QVE"
  std::uint32_t version = 0;
  std::uint32_t evaluation_number = 0;
  base::UtcTime issue_date;
  base::UtcTime next_update;
  std::uint32_t miscselect = 0;
  std::uint32_t miscselect_mask = 0;
  base::FixedBytes<16> attributes{};
  base::FixedBytes<16> attributes_mask{};
  base::FixedBytes<32> mrsigner{};
  std::uint16_t isvprodid = 0;
  std::vector<IsvLevel> levels;  ///< highest isvsvn first
};

/// Parses the exact signed text; errors as parse_tcb_info.
base::Result<QeIdentity> parse_qe_identity(std::string_view text);

}  // namespace attestry::attestation::dcap
