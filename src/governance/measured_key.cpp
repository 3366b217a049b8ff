#include "governance/measured_key.h"

namespace attestry::governance {

std::string_view to_text(Voucher voucher) noexcept {
  switch (voucher) {
    case Voucher::evidence:
      return "evidence";
    case Voucher::proxy:
      return "proxy";
    case Voucher::anybody:
      return "anybody";
  }
  return "";
}

MeasuredKey MeasuredKey::proven(attestation::VerifiedKey key) {
  MeasuredKey out{Voucher::evidence, key.spki(),
                  key.verdict().simulated ? base::Realm::simulated : base::Realm::production};
  out.until_ = key.verdict().valid_until;
  out.key_ = std::move(key);
  return out;
}

MeasuredKey MeasuredKey::vouched(Voucher voucher, base::Bytes spki, base::Realm realm, base::UtcTime until) {
  MeasuredKey out{voucher, std::move(spki), realm};
  out.until_ = until;
  return out;
}

}  // namespace attestry::governance
