#include "app/evidence_files.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include "attestation/verifier.h"

namespace attestry::app {
namespace {

constexpr std::size_t kMaxTrustBytes = 1u << 20;

/// The files that a folder of evidence may have: the first one there is the evidence.
struct EvidenceFile {
  std::string_view name;
  attestation::EvidenceFormat format;
};
constexpr std::array<EvidenceFile, 4> kEvidenceFiles{{
    {"quote.bin", attestation::EvidenceFormat::dcap_quote},
    {"report.bin", attestation::EvidenceFormat::snp_report},
    {"attestation.cbor", attestation::EvidenceFormat::nitro_document},
    {"token.jwt", attestation::EvidenceFormat::maa_token},
}};

}  // namespace

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return path != "-" && std::filesystem::is_directory(path, ignored);
}

base::Result<attestation::Evidence> read_evidence(Context& context, const std::string& path) {
  std::string file = path;
  // In a folder the name says what the bytes should be; they may be too broken to tell.
  auto format = attestation::EvidenceFormat::unknown;
  if (is_folder(path)) {
    file = (std::filesystem::path(path) / kEvidenceFiles.front().name).string();
    for (const EvidenceFile& candidate : kEvidenceFiles) {
      const auto place = std::filesystem::path(path) / candidate.name;
      std::error_code ignored;
      if (!std::filesystem::exists(place, ignored)) continue;
      file = place.string();
      format = candidate.format;
      break;
    }
  }
  TRY(base::Bytes bytes, read_input(context, file, attestation::VerifierLimits{}.max_evidence_bytes), "evidence");
  if (format == attestation::EvidenceFormat::unknown) format = attestation::detect_format(bytes);
  // A token is one line of text, and editors and shells end lines.
  if (format == attestation::EvidenceFormat::maa_token && !bytes.empty() && bytes.back() == '\n') bytes.pop_back();
  return attestation::Evidence{.format = format, .bytes = std::move(bytes)};
}

base::Result<attestation::TrustAnchors> read_anchors(Context& context, const std::vector<std::string>& trust,
                                                     const std::vector<std::string>& issuers) {
  // Nothing real is believed beside a simulated issuer.
  const bool forged_tokens = std::ranges::any_of(issuers, attestation::TrustAnchors::is_simulated_issuer);
  if (trust.empty() && !forged_tokens) {
    TRY(auto anchors, attestation::TrustAnchors::production().with_token_issuers(issuers), "--issuer");
    return anchors;
  }
  std::vector<attestation::TestRoot> roots;
  for (const std::string& path : trust) {
    TRY(const base::Bytes bytes, read_input(context, path, kMaxTrustBytes), "--trust");
    TRY(attestation::TestRoot root, attestation::TestRoot::from_certificate(bytes), "--trust " + path);
    roots.push_back(std::move(root));
  }
  TRY(auto anchors, attestation::TrustAnchors::simulated(std::move(roots)).with_token_issuers(issuers), "--issuer");
  return anchors;
}

base::Result<base::UtcTime> time_of(Context& context, const std::string& at) {
  if (at.empty()) return context.clock.now();
  const auto time = base::parse_rfc3339(at);
  if (time) return *time;
  return base::Error{base::Code::usage, "--at is no time", "for example 2026-06-15T00:00:00Z", at,
                     "Give date and time in UTC; without --at it is now."};
}

}  // namespace attestry::app
