#include "forge/attester.h"

#include <utility>

namespace attestry::forge {

base::Result<ForgeAttester> ForgeAttester::make(const ForgePki& pki, QuoteSpec spec, const PlatformSpec& platform,
                                                std::vector<attestation::Supplement> logs) {
  TRY(auto machine, pki.platform(platform));
  return ForgeAttester(pki, std::move(machine), std::move(spec), std::move(logs));
}

base::Result<attestation::Evidence> ForgeAttester::attest(const base::FixedBytes<64>& report_data) {
  QuoteSpec spec = spec_;
  spec.td.report_data = report_data;
  spec.enclave.report_data = report_data;
  TRY(auto quote, make_quote(*pki_, platform_, spec), "simulated quote");
  return attestation::Evidence{attestation::EvidenceFormat::dcap_quote, std::move(quote), logs_};
}

}  // namespace attestry::forge
