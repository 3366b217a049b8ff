// The binding of evidence to one request (FORMATS 3), and the proof types that guard every release (ARCHITECTURE 1).
#pragma once
#include <string>

#include "attestation/policy.h"
#include "attestation/verdict.h"
#include "base/ids.h"
#include "base/result.h"

namespace attestry::attestation {

/// The statement T that the evidence must carry a hash of. All parts as FORMATS 3 names them.
struct BindingStatement {
  base::Purpose purpose = base::Purpose::instance_release;
  std::string audience;  ///< the log's origin, from the workload's own trust settings
  base::Bytes nonce;     ///< 42 bytes, or 32 where nonces of several nodes are combined (FORMATS 10)
  base::Tenant tenant = base::Tenant::standard();
  base::AppRef app;
  base::Bytes csr_spki;              ///< DER SubjectPublicKeyInfo of the CSR key
  base::Bytes recipient;             ///< HPKE KEM id u16 ‖ public key
  base::Bytes subordinate_sha256{};  ///< SHA-256 of subordinate evidence, or empty

  base::Bytes transcript() const;        ///< T
  base::FixedBytes<64> binding() const;  ///< B = SHA-512(T)
};

/// Proof that genuine evidence was made for exactly this statement. Only bind() makes one.
class Bound {
 public:
  const Verdict& verdict() const noexcept { return verdict_; }
  const BindingStatement& statement() const noexcept { return statement_; }
  const base::FixedBytes<64>& binding() const noexcept { return binding_; }

 private:
  friend base::Result<Bound> bind(Verdict& verdict, BindingStatement statement);
  friend class Verified;
  Bound(Verdict verdict, BindingStatement statement, base::FixedBytes<64> binding)
      : verdict_(std::move(verdict)), statement_(std::move(statement)), binding_(binding) {}
  Verdict verdict_;
  BindingStatement statement_;
  base::FixedBytes<64> binding_;
};

/// Records the check `binding.report_data` in `verdict`. Fails with `evidence_false` when the evidence is not genuine
/// or carries another binding, with `collateral_missing` when it is undecided; `verdict` then keeps all checks for the
/// caller.
base::Result<Bound> bind(Verdict& verdict, BindingStatement statement);

/// Proof that bound evidence was accepted by a policy. Only appraise() makes one.
class Verified {
 public:
  /// With the policy's checks.
  const Verdict& verdict() const noexcept { return bound_.verdict(); }
  const BindingStatement& statement() const noexcept { return bound_.statement(); }
  const base::FixedBytes<64>& binding() const noexcept { return bound_.binding(); }
  const base::Digest32& policy_sha256() const noexcept { return policy_sha256_; }

 private:
  friend base::Result<Verified> appraise(const Policy& policy, Bound bound, Verdict& out, const References& references);
  Verified(Bound bound, Verdict appraised, base::Digest32 policy) : bound_(std::move(bound)), policy_sha256_(policy) {
    bound_.verdict_ = std::move(appraised);
  }
  Bound bound_;
  base::Digest32 policy_sha256_;
};

/// Evaluates the policy on the bound verdict. `out` receives the verdict with the policy's checks whatever the result;
/// error `denied` when the policy refuses.
base::Result<Verified> appraise(const Policy& policy, Bound bound, Verdict& out, const References& references = {});

/// Makes own evidence: `tee` and `forge` implement it, the app chooses. Thread-safe.
class Attester {
 public:
  virtual ~Attester() = default;
  virtual base::Result<Evidence> attest(const base::FixedBytes<64>& report_data) = 0;
};

}  // namespace attestry::attestation
