// Whose key a release under a contract goes to, and who says what is measured there.
#pragma once
#include <optional>
#include <string_view>

#include "attestation/key_binding.h"
#include "base/ids.h"
#include "base/time.h"

namespace attestry::governance {

/// Who says that the measurements are those of the key's holder.
enum class Voucher : std::uint8_t {
  evidence,  ///< evidence that was verified in this process
  proxy,     ///< a proxy that has authenticated itself and ends the attested TLS
  anybody,   ///< whoever can reach the port: only behind a switch that says so on every page
};
std::string_view to_text(Voucher voucher) noexcept;

class MeasuredKey {
 public:
  static MeasuredKey proven(attestation::VerifiedKey key);
  /// The caller has authenticated the proxy, or read the switch; `realm` is the server's own, because nobody else says.
  static MeasuredKey vouched(Voucher voucher, base::Bytes spki, base::Realm realm, base::UtcTime until);

  Voucher voucher() const noexcept { return voucher_; }
  const base::Bytes& spki() const noexcept { return spki_; }
  base::Realm realm() const noexcept { return realm_; }
  /// Nothing that is released may be valid for longer.
  std::optional<base::UtcTime> until() const noexcept { return until_; }
  /// Of the evidence; null where there was none.
  const attestation::Verdict* verdict() const noexcept { return key_ ? &key_->verdict() : nullptr; }
  /// Of the policy that appraised it; zeros where there was no evidence.
  base::Digest32 policy_sha256() const noexcept { return key_ ? key_->policy_sha256() : base::Digest32{}; }

 private:
  MeasuredKey(Voucher voucher, base::Bytes spki, base::Realm realm)
      : voucher_(voucher), spki_(std::move(spki)), realm_(realm) {}
  Voucher voucher_;
  base::Bytes spki_;
  base::Realm realm_;
  std::optional<base::UtcTime> until_;
  std::optional<attestation::VerifiedKey> key_;
};

}  // namespace attestry::governance
