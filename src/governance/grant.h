// Grant: the proof that something may be released, and to whom (FORMATS 4). Only authorize() makes one.
#pragma once
#include <string>

#include "appraisal/challenge.h"
#include "attestation/binding.h"
#include "base/ids.h"
#include "base/result.h"
#include "governance/contract_authority.h"
#include "governance/measured_key.h"
#include "governance/registry.h"

namespace attestry::governance {

/// Move-only. What collects keys, certificate and configuration takes `const Grant&`; only provision::seal(Grant&&)
/// consumes it and takes the recipient from it.
class Grant {
 public:
  Grant(Grant&&) noexcept = default;
  Grant& operator=(Grant&&) noexcept = default;
  Grant(const Grant&) = delete;
  Grant& operator=(const Grant&) = delete;

  const base::Tenant& tenant() const noexcept { return state_.tenant; }
  const base::AppRef& app() const noexcept { return state_.app; }
  base::Purpose purpose() const noexcept { return purpose_; }
  const base::Digest32& policy_sha256() const noexcept { return policy_sha256_; }
  std::uint32_t epoch() const noexcept { return state_.epoch; }
  /// Of the epochs before this one no key may be released; from it on they still are, for what was written under them.
  std::uint32_t oldest_epoch() const noexcept { return state_.oldest_epoch; }
  /// Nothing released under this grant may be valid longer than the attestation it rests on.
  base::UtcTime expires() const noexcept { return expires_; }
  const AppState& governance() const noexcept { return state_; }
  const base::FixedBytes<64>& binding() const noexcept { return binding_; }
  const base::Bytes& recipient() const noexcept { return recipient_; }  ///< KEM id u16 ‖ public key
  const base::Bytes& spki() const noexcept { return spki_; }
  base::Realm realm() const noexcept { return realm_; }

 private:
  friend base::Result<Grant> authorize(const attestation::Verified&, const appraisal::Fresh&, const AppPolicy&,
                                       base::Realm, base::UtcTime);
  friend base::Result<Grant> authorize(const MeasuredKey&, const ContractApproval&, base::Realm, base::UtcTime);
  Grant(AppState state, base::Purpose purpose, base::Realm realm)
      : state_(std::move(state)), purpose_(purpose), realm_(realm) {}
  AppState state_;
  base::Purpose purpose_;
  base::Realm realm_;
  base::Digest32 policy_sha256_{};
  base::UtcTime expires_{};
  base::FixedBytes<64> binding_{};
  base::Bytes recipient_;
  base::Bytes spki_;
};

/// Requires that the verified statement's tenant, app, purpose and nonce are those of `app` and `fresh`, that the
/// policy that verified it is the app's, and that a simulated verdict stays in the simulated realm (`realm_mismatch`
/// otherwise).
base::Result<Grant> authorize(const attestation::Verified& verified, const appraisal::Fresh& fresh,
                              const AppPolicy& app, base::Realm realm, base::UtcTime now);

/// For dialects whose wire has no challenge: the key's holder is measured, and a contract (or its stand-in) allows what
/// is measured there. `realm_mismatch` as above. Such a grant has no recipient: nothing can be sealed under it.
base::Result<Grant> authorize(const MeasuredKey& key, const ContractApproval& approval, base::Realm realm,
                              base::UtcTime now);

}  // namespace attestry::governance
