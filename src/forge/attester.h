// A simulated TEE: makes evidence on request with fixed measurements, like a TD's quote generation service.
#pragma once
#include <vector>

#include "attestation/binding.h"
#include "forge/quote.h"

namespace attestry::forge {

/// Thread-safe. Evidence verifies only under the PKI's test root, so its verdicts are `simulated`.
class ForgeAttester final : public attestation::Attester {
 public:
  /// `spec` gives kind and measurements; its report data is replaced on every call. `pki` must outlive the attester.
  /// `logs` are given beside every quote; the registers in `spec` are the caller's to match.
  static base::Result<ForgeAttester> make(const ForgePki& pki, QuoteSpec spec, const PlatformSpec& platform = {},
                                          std::vector<attestation::Supplement> logs = {});
  base::Result<attestation::Evidence> attest(const base::FixedBytes<64>& report_data) override;

 private:
  ForgeAttester(const ForgePki& pki, Platform platform, QuoteSpec spec, std::vector<attestation::Supplement> logs)
      : pki_(&pki), platform_(std::move(platform)), spec_(std::move(spec)), logs_(std::move(logs)) {}
  const ForgePki* pki_;
  Platform platform_;
  QuoteSpec spec_;
  std::vector<attestation::Supplement> logs_;
};

}  // namespace attestry::forge
