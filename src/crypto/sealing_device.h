// Hardware that keeps a secret for one machine, or for one program on it: what is sealed here can be opened only here
// (a TPM, SGX's sealing key, SNP's derived key). Implemented in `tee`.
#pragma once
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace attestry::crypto {

/// Thread-safe.
class SealingDevice {
 public:
  virtual ~SealingDevice() = default;
  /// For logs, status and metrics: "tpm2", "sgx-mrenclave", "key-file".
  virtual std::string name() const = 0;
  /// What opens it, for people: "PCRs 0,2,4,7 of this TPM", "this enclave's measurement".
  virtual std::string bound_to() const = 0;
  /// At most 128 bytes of secret. `context` (at most 1 KiB, not secret) says what it is: the same is needed to open it.
  /// `unavailable` when the device does not answer.
  virtual base::Result<base::Bytes> seal(const Secret& secret, base::ByteView context) = 0;
  /// `wrong_key` when this is not the device, its state is another than it was sealed to, or the context differs;
  /// `corrupt` for bytes that seal() did not make; `unavailable` when the device does not answer.
  virtual base::Result<Secret> unseal(base::ByteView sealed, base::ByteView context) = 0;
};

}  // namespace attestry::crypto
