// Evidence that carries a workload's public key and no challenge: what dialects have whose wire knows no nonce
// (docs/formats/registry.md). Whoever uses it makes sure by other means that the evidence is not a replay.
#pragma once
#include "attestation/policy.h"
#include "attestation/verdict.h"
#include "base/result.h"

namespace attestry::attestation {

/// SHA-256 of the DER SubjectPublicKeyInfo, then 32 zero bytes.
base::FixedBytes<64> key_report_data(base::ByteView spki);

/// Proof that genuine evidence, accepted by a policy, carries exactly this report data. Only appraise_report_data()
/// makes one.
class VerifiedReport {
 public:
  const Verdict& verdict() const noexcept { return verdict_; }  ///< with the policy's checks
  const base::FixedBytes<64>& report_data() const noexcept { return report_data_; }
  const base::Digest32& policy_sha256() const noexcept { return policy_sha256_; }

 private:
  friend base::Result<VerifiedReport> appraise_report_data(const Policy& policy, Verdict& verdict,
                                                           const base::FixedBytes<64>& expected,
                                                           const References& references);
  VerifiedReport(Verdict verdict, const base::FixedBytes<64>& report_data, const base::Digest32& policy)
      : verdict_(std::move(verdict)), report_data_(report_data), policy_sha256_(policy) {}
  Verdict verdict_;
  base::FixedBytes<64> report_data_;
  base::Digest32 policy_sha256_;
};

/// Evaluates the policy on the verdict, which receives its checks whatever the result. `evidence_false` when the
/// evidence is not genuine or carries other report data, `collateral_missing` when that cannot be decided, `denied`
/// when the policy refuses.
base::Result<VerifiedReport> appraise_report_data(const Policy& policy, Verdict& verdict,
                                                  const base::FixedBytes<64>& expected,
                                                  const References& references = {});

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
