// Sealing under a key that the machine gives to this program and to nobody else: SGX's sealing key as Gramine offers
// it, SNP's derived key, an app key of dstack's guest agent, and a plain file where there is no hardware
// (docs/reference/keystore-masters.md).
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "crypto/random.h"
#include "crypto/sealing_device.h"
#include "crypto/secret.h"
#include "net/client.h"

namespace attestry::tee {

/// Where the key comes from. Asked at every use, so that a device that went away is noticed. Thread-safe.
using SealingKeySource = std::function<base::Result<crypto::Secret>()>;

/// AES-256-GCM under HKDF-SHA256(ikm = key, info = LP("attestry/sealing/1") ‖ LP(name)). `name` and `bound_to` as
/// crypto::SealingDevice says them; `random` outlives it. Errors of the source are the device's.
std::unique_ptr<crypto::SealingDevice> keyed_sealing(std::string name, std::string bound_to, SealingKeySource source,
                                                     crypto::Random& random);

/// `path`: 32 bytes, nobody else may read it; made when it is not there. `configuration` when others may read it.
SealingKeySource key_file_source(std::string path, crypto::Random& random);

/// Which of SGX's sealing keys: this enclave alone, or every enclave of this signer.
enum class SgxSealing : std::uint8_t { mrenclave, mrsigner };
/// 16 bytes of `folder`/_sgx_mrenclave or _sgx_mrsigner, as Gramine gives them in /dev/attestation/keys. `unavailable`
/// where the file is not there.
SealingKeySource sgx_source(SgxSealing which, std::string folder = "/dev/attestation/keys");

/// SNP_GET_DERIVED_KEY of `device`, bound to the guest's measurement and policy. `unavailable` where there is none.
SealingKeySource snp_source(std::string device = "/dev/sev-guest");

/// GetKey{path: "attestry/keystore", purpose: "sealing"} of dstack's guest agent on a unix socket.
SealingKeySource dstack_source(std::shared_ptr<net::HttpTransport> http, std::string socket,
                               std::chrono::milliseconds patience, const base::Clock& clock);

}  // namespace attestry::tee
