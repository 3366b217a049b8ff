#include "collateral/fixed_source.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/encoding.h"
#include "collateral/internal/subject.h"
#include "crypto/x509.h"

namespace attestry::collateral {
namespace {

using attestation::Collateral;
using attestation::CollateralKind;
using base::Code;
using base::Error;
using base::Result;
namespace fs = std::filesystem;

constexpr int kMaxDepth = 4;

/// Files and folders that are one bundle each, in the order of their names. Folders that are none are opened.
void find_bundles(const fs::path& path, int depth, std::vector<std::pair<std::string, Bundle>>& out) {
  std::error_code error;
  Bundle bundle = read_bundle_path(path.string());
  if (!bundle.items.empty() || !bundle.problems.empty() || !fs::is_directory(path, error)) {
    out.emplace_back(path.string(), std::move(bundle));
    return;
  }
  if (depth == 0) return;
  std::vector<fs::path> inside;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    if (it->is_directory(error) || it->path().extension() == ".json") inside.push_back(it->path());
  }
  std::ranges::sort(inside);
  for (const fs::path& next : inside) find_bundles(next, depth - 1, out);
}

/// From the unsigned names of a bundle alone: what it is for. The verifier checks every signature anyhow.
Result<attestation::DcapNeeds> answers(const Bundle& bundle) {
  const auto* tcb_info = internal::find(bundle, CollateralKind::tcb_info);
  const auto* pck_crl = internal::find(bundle, CollateralKind::pck_crl);
  if (tcb_info == nullptr || pck_crl == nullptr) {
    return Error{Code::configuration, "the bundle has no TCB info or no PCK CRL"};
  }
  TRY(const internal::TcbInfoSubject subject, internal::tcb_info_subject(tcb_info->bytes));
  TRY(const crypto::Crl crl, crypto::Crl::parse(pck_crl->bytes), "pck_crl");
  attestation::DcapNeeds out{.tdx = subject.tdx, .fmspc = subject.fmspc};
  out.platform_ca = base::as_text(crl.issuer_der()).find("Platform") != std::string_view::npos;
  return out;
}

Error configuration(const std::string& path, const std::string& what) {
  return Error{Code::configuration, "collateral " + path + ": " + what};
}

}  // namespace

FixedSource::FixedSource(std::shared_ptr<const Collateral> collateral) : any_(std::move(collateral)) {}

FixedSource::FixedSource(std::vector<Entry> entries, CollateralSource* otherwise)
    : entries_(std::move(entries)), otherwise_(otherwise) {}

Result<std::unique_ptr<FixedSource>> FixedSource::by_platform(const std::vector<std::string>& paths,
                                                              CollateralSource* otherwise) {
  std::vector<Entry> entries;
  for (const std::string& path : paths) {
    std::vector<std::pair<std::string, Bundle>> bundles;
    find_bundles(path, kMaxDepth, bundles);
    if (bundles.empty()) return configuration(path, "no bundle in this folder");
    for (const auto& [file, bundle] : bundles) {
      if (!bundle.problems.empty()) return configuration(file, bundle.problems.front().what);
      const auto needs = answers(bundle);
      if (!needs.ok()) return configuration(file, needs.error().text());
      entries.push_back({*needs, bundle.collateral()});
    }
  }
  if (entries.empty()) return Error{Code::configuration, "collateral: no path was given"};
  return std::unique_ptr<FixedSource>(new FixedSource(std::move(entries), otherwise));
}

Result<std::shared_ptr<const Collateral>> FixedSource::collateral_for(const attestation::Evidence& evidence,
                                                                      base::UtcTime now, base::Deadline deadline) {
  if (any_) return any_;
  if (evidence.format != attestation::EvidenceFormat::dcap_quote) return Collateral::none();
  const auto needs = attestation::dcap_needs(evidence.bytes);
  if (!needs.ok()) return Collateral::none();
  for (const Entry& entry : entries_) {
    const attestation::DcapNeeds& has = entry.answers;
    if (has.tdx == needs->tdx && has.fmspc == needs->fmspc && has.platform_ca == needs->platform_ca) {
      return entry.collateral;
    }
  }
  if (otherwise_ != nullptr) return otherwise_->collateral_for(evidence, now, deadline);
  return Error{Code::collateral_missing, "no bundle for FMSPC " + base::hex(needs->fmspc) + ", " +
                                             (needs->tdx ? "TDX, " : "SGX, ") +
                                             (needs->platform_ca ? "platform CA" : "processor CA")};
}

}  // namespace attestry::collateral
