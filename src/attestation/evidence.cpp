#include "attestation/evidence.h"

#include "attestation/dcap/quote.h"

namespace attestry::attestation {

std::string_view to_text(Platform platform) noexcept {
  switch (platform) {
    case Platform::unknown:
      return "unknown";
    case Platform::sgx:
      return "sgx";
    case Platform::tdx:
      return "tdx";
  }
  return "unknown";
}

EvidenceFormat detect_format(base::ByteView bytes) noexcept {
  // Version and key type of a quote's header are small little-endian numbers. Versions that are not known (yet) count,
  // too: the check of the version then says what is wrong better than "unknown format" could.
  if (bytes.size() < 4) return EvidenceFormat::unknown;
  const bool small_version = bytes[0] <= 16 && bytes[1] == 0;
  const bool small_key_type = bytes[2] <= 16 && bytes[3] == 0;
  if (small_version && small_key_type) return EvidenceFormat::dcap_quote;
  const auto header = dcap::read_header(bytes);
  if (header && base::equal(header->qe_vendor_id, dcap::intel_qe_vendor_id())) return EvidenceFormat::dcap_quote;
  return EvidenceFormat::unknown;
}

}  // namespace attestry::attestation
