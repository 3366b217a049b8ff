// Evidence that carries a workload's public key and no challenge: what dialects have whose wire knows no nonce
// (docs/formats/registry.md). Whoever uses it makes sure by other means that the evidence is not a replay.
#pragma once
#include "attestation/policy.h"
#include "attestation/verdict.h"
#include "base/result.h"

namespace attestry::attestation {

/// SHA-256 of the DER SubjectPublicKeyInfo, then 32 zero bytes.
base::FixedBytes<64> key_report_data(base::ByteView spki);

/// Proof that genuine evidence, accepted by a policy, carries the digest of exactly this public key. Only
/// appraise_key() makes one.
class VerifiedKey {
 public:
  const Verdict& verdict() const noexcept { return verdict_; }  ///< with the policy's checks
  const base::Bytes& spki() const noexcept { return spki_; }
  const base::Digest32& policy_sha256() const noexcept { return policy_sha256_; }

 private:
  friend base::Result<VerifiedKey> appraise_key(const Policy& policy, Verdict& verdict, base::ByteView spki,
                                                const References& references);
  VerifiedKey(Verdict verdict, base::Bytes spki, base::Digest32 policy)
      : verdict_(std::move(verdict)), spki_(std::move(spki)), policy_sha256_(policy) {}
  Verdict verdict_;
  base::Bytes spki_;
  base::Digest32 policy_sha256_;
};

/// appraise_report_data() with the key's.
base::Result<VerifiedKey> appraise_key(const Policy& policy, Verdict& verdict, base::ByteView spki,
                                       const References& references = {});

}  // namespace attestry::attestation
