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
    case Platform::snp:
      return "snp";
    case Platform::nitro:
      return "nitro";
    case Platform::maa:
      return "maa";
  }
  return "unknown";
}

std::string_view to_text(EvidenceFormat format) noexcept {
  switch (format) {
    case EvidenceFormat::unknown:
      return "unknown format";
    case EvidenceFormat::dcap_quote:
      return "DCAP quote";
    case EvidenceFormat::snp_report:
      return "SEV-SNP report";
    case EvidenceFormat::nitro_document:
      return "Nitro attestation document";
    case EvidenceFormat::maa_token:
      return "Azure Attestation token";
  }
  return "unknown format";
}

namespace {

/// Both begin with a small little-endian version, but a quote has a key type (2, 3) where a report has the upper half
/// of its version.
bool looks_like_snp(base::ByteView bytes) noexcept {
  constexpr std::size_t kReport = 1184;
  return bytes.size() == kReport && bytes[0] <= 16 && bytes[1] == 0 && bytes[2] == 0 && bytes[3] == 0;
}

/// RFC 9052: an array of four, with or without tag 18, that begins with a short byte string.
bool looks_like_cose(base::ByteView bytes) noexcept {
  if (bytes.front() == 0xd2) bytes = bytes.subspan(1);
  return bytes.size() > 2 && bytes[0] == 0x84 && bytes[1] >= 0x40 && bytes[1] <= 0x57;
}

/// The base64url of "{" followed by a quote or white space.
bool looks_like_jwt(base::ByteView bytes) noexcept {
  return bytes[0] == 'e' && (bytes[1] == 'y' || bytes[1] == 'w') && bytes.size() > 8;
}

}  // namespace

EvidenceFormat detect_format(base::ByteView bytes) noexcept {
  // Version and key type of a quote's header are small little-endian numbers. Versions that are not known (yet) count,
  // too: the check of the version then says what is wrong better than "unknown format" could.
  if (bytes.size() < 4) return EvidenceFormat::unknown;
  if (looks_like_snp(bytes)) return EvidenceFormat::snp_report;
  if (looks_like_cose(bytes)) return EvidenceFormat::nitro_document;
  if (looks_like_jwt(bytes)) return EvidenceFormat::maa_token;
  const bool small_version = bytes[0] <= 16 && bytes[1] == 0;
  const bool small_key_type = bytes[2] <= 16 && bytes[3] == 0;
  if (small_version && small_key_type) return EvidenceFormat::dcap_quote;
  const auto header = dcap::read_header(bytes);
  if (header && base::equal(header->qe_vendor_id, dcap::intel_qe_vendor_id())) return EvidenceFormat::dcap_quote;
  return EvidenceFormat::unknown;
}

}  // namespace attestry::attestation
