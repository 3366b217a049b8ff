// Sealing to a TPM 2.0 and to the state of some of its PCRs: what was measured at boot opens it, and nothing else
// (TPM 2.0 Library, parts 1 and 3; docs/reference/keystore-masters.md). Commands go through tss2-esys; the secret and
// the salt of the session are encrypted on the way, so that the bus shows neither.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "crypto/sealing_device.h"

namespace attestry::tee {

struct TpmSealingOptions {
  std::vector<unsigned> pcrs{};             ///< of the SHA-256 bank, 0 to 23, at least one
  std::string tcti = "device:/dev/tpmrm0";  ///< as libtss2-tctildr takes it: "swtpm:host=127.0.0.1,port=2321"
};

/// Touches no TPM: a machine without one has a device that answers `unavailable`. `configuration` for PCRs that no TPM
/// has, and for such alone as any process may reset (16, 23). Sealing and opening are `configuration` when the TPM has
/// no SHA-256 bank for them. Call it before other threads run: it quiets the library's own log in this process's
/// environment (unless TSS2_LOG is set).
base::Result<std::unique_ptr<crypto::SealingDevice>> tpm_sealing(TpmSealingOptions options);

/// "0,2,4,7": what a setting says, in ascending order. `configuration` for anything else, and for one that is there
/// twice.
base::Result<std::vector<unsigned>> parse_pcrs(std::string_view text);

/// What stands around the TPM's own structures. Pure, for the fuzzer; `corrupt` for anything that seal() does not
/// write.
struct TpmSealed {
  std::uint32_t pcrs = 0;    ///< bit n: PCR n
  base::ByteView parent{};   ///< name of the storage key
  base::Digest32 context{};  ///< digest
  base::ByteView public_area{}, private_area{};
};
base::Result<TpmSealed> parse_tpm_sealed(base::ByteView sealed);
base::Bytes encode_tpm_sealed(const TpmSealed& parts);

}  // namespace attestry::tee
