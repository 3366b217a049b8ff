#include "collateral/fixed_source.h"

#include <algorithm>
#include <array>
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

bool of_intel(const Bundle& bundle) {
  constexpr std::array kOthers{CollateralKind::vek, CollateralKind::amd_chain, CollateralKind::amd_crl,
                               CollateralKind::jwks};
  return std::ranges::any_of(bundle.items, [&](const attestation::CollateralItem& item) {
    return std::ranges::find(kOthers, item.kind) == kOthers.end();
  });
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

Result<std::vector<NamedBundle>> read_bundles(const std::vector<std::string>& paths) {
  std::vector<NamedBundle> out;
  for (const std::string& path : paths) {
    std::vector<std::pair<std::string, Bundle>> bundles;
    find_bundles(path, kMaxDepth, bundles);
    if (bundles.empty()) return configuration(path, "no bundle in this folder");
    for (auto& [file, bundle] : bundles) {
      if (!bundle.problems.empty()) return configuration(file, bundle.problems.front().what);
      if (bundle.items.empty()) return configuration(file, "no bundle: nothing of one is in it");
      out.push_back({file, std::move(bundle)});
    }
  }
  if (out.empty()) return Error{Code::configuration, "collateral: no path was given"};
  return out;
}

Result<std::unique_ptr<FixedSource>> FixedSource::by_platform(const std::vector<std::string>& paths,
                                                              CollateralSource* otherwise) {
  TRY(const std::vector<NamedBundle> bundles, read_bundles(paths));
  std::vector<Entry> entries;
  for (const auto& [file, bundle] : bundles) {
    if (!of_intel(bundle)) continue;
    const auto needs = answers(bundle);
    if (!needs.ok()) return configuration(file, needs.error().text());
    entries.push_back({*needs, bundle.collateral()});
  }
  return std::unique_ptr<FixedSource>(new FixedSource(std::move(entries), otherwise));
}

std::optional<Result<std::shared_ptr<const Collateral>>> FixedSource::at_hand(
    const attestation::Evidence& evidence) const {
  using Given = Result<std::shared_ptr<const Collateral>>;
  if (any_) return Given{any_};
  const bool dcap = evidence.format == attestation::EvidenceFormat::dcap_quote;
  if (!dcap && otherwise_ != nullptr) return std::nullopt;
  if (!dcap) return Given{Collateral::none()};
  const auto needs = attestation::dcap_needs(evidence.bytes);
  if (!needs.ok()) return Given{Collateral::none()};
  for (const Entry& entry : entries_) {
    const attestation::DcapNeeds& has = entry.answers;
    if (has.tdx == needs->tdx && has.fmspc == needs->fmspc && has.platform_ca == needs->platform_ca) {
      return Given{entry.collateral};
    }
  }
  if (otherwise_ != nullptr) return std::nullopt;
  return Given{Error{Code::collateral_missing, "no bundle for FMSPC " + base::hex(needs->fmspc) + ", " +
                                                   (needs->tdx ? "TDX, " : "SGX, ") +
                                                   (needs->platform_ca ? "platform CA" : "processor CA")}};
}

Result<std::shared_ptr<const Collateral>> FixedSource::collateral_for(const attestation::Evidence& evidence,
                                                                      base::UtcTime now, base::Deadline deadline) {
  if (auto given = at_hand(evidence)) return *std::move(given);
  return otherwise_->collateral_for(evidence, now, deadline);
}

void FixedSource::when_ready(const attestation::Evidence& evidence, base::UtcTime now, base::Deadline deadline,
                             std::move_only_function<void(Result<std::shared_ptr<const Collateral>>)> done) {
  if (auto given = at_hand(evidence)) return done(*std::move(given));
  otherwise_->when_ready(evidence, now, deadline, std::move(done));
}

}  // namespace attestry::collateral
