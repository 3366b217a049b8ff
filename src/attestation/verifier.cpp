#include "attestation/verifier.h"

#include <algorithm>
#include <span>

#include "attestation/dcap/accept.h"
#include "attestation/dcap/verify.h"
#include "attestation/eventlog/judge.h"
#include "attestation/maa/verify.h"
#include "attestation/nitro/verify.h"
#include "attestation/snp/accept.h"
#include "attestation/snp/verify.h"
#include "crypto/hash.h"

namespace attestry::attestation {
namespace {

/// What genuine evidence of a format has passed at the least: the signatures from the body up to the root, and a
/// status. A verifier that records nothing, or only skips, can therefore never conclude that evidence is genuine.
constexpr CheckId kDcapProof[] = {CheckId::dcap_quote_signature, CheckId::dcap_qe_binding,
                                  CheckId::dcap_qe_signature,    CheckId::dcap_pck_root,
                                  CheckId::dcap_pck_signatures,  CheckId::dcap_tcb_status};

constexpr CheckId kMaaProof[] = {CheckId::maa_header_alg, CheckId::maa_issuer,       CheckId::maa_key_usable,
                                 CheckId::maa_signature,  CheckId::maa_time_expires, CheckId::maa_compliance,
                                 CheckId::maa_claims};
constexpr CheckId kSnpProof[] = {CheckId::snp_report_signature, CheckId::snp_vek_signature, CheckId::snp_vek_kind,
                                 CheckId::snp_vek_product,      CheckId::snp_tcb_reported,  CheckId::snp_chip_id,
                                 CheckId::snp_chain_signature,  CheckId::snp_chain_names,   CheckId::snp_chain_root};
constexpr CheckId kNitroProof[] = {CheckId::nitro_chain_root, CheckId::nitro_chain_signatures,
                                   CheckId::nitro_chain_validity, CheckId::nitro_cose_signature};

/// Empty for a format that nobody verifies.
std::span<const CheckId> proof_of(EvidenceFormat format) {
  switch (format) {
    case EvidenceFormat::dcap_quote:
      return kDcapProof;
    case EvidenceFormat::maa_token:
      return kMaaProof;
    case EvidenceFormat::snp_report:
      return kSnpProof;
    case EvidenceFormat::nitro_document:
      return kNitroProof;
    case EvidenceFormat::unknown:
      break;
  }
  return {};
}

bool proved(EvidenceFormat format, const std::vector<CheckResult>& checks) {
  const auto proof = proof_of(format);
  return !proof.empty() && std::ranges::all_of(proof, [&](CheckId needed) {
    return std::ranges::any_of(checks, [&](const CheckResult& result) {
      return result.check == needed && result.status == CheckStatus::pass;
    });
  });
}

Genuineness conclude(EvidenceFormat format, const std::vector<CheckResult>& checks) {
  bool undecided = false;
  for (const CheckResult& result : checks) {
    if (result.status != CheckStatus::fail) continue;
    if (!result.undecided) return Genuineness::not_genuine;
    undecided = true;
  }
  return undecided || !proved(format, checks) ? Genuineness::undecided : Genuineness::genuine;
}

/// Returns whether a format's verifier may look at the bytes.
bool judge_envelope(const Evidence& evidence, std::size_t max_bytes, CheckRecorder& recorder) {
  const std::size_t size = evidence.bytes.size();
  if (size == 0 || size > max_bytes) {
    recorder.fail(CheckId::evidence_size, "1 to " + std::to_string(max_bytes) + " bytes", std::to_string(size));
    recorder.may_run(CheckId::evidence_format);
    return false;
  }
  recorder.pass(CheckId::evidence_size);
  if (proof_of(evidence.format).empty()) {
    recorder.fail(CheckId::evidence_format, "a format that `attestry verify --help` lists",
                  "an " + std::string{to_text(EvidenceFormat::unknown)});
    return false;
  }
  recorder.pass(CheckId::evidence_format);
  return true;
}

base::Result<Accepted> accept_key_set(const JwksOf& wanted, const Collateral& documents) {
  const CollateralItem* item = documents.find(CollateralKind::jwks);
  if (item == nullptr) return base::Error{base::Code::unavailable, "jwks: none is given"};
  const auto keys = maa::parse_jwks(base::as_text(item->bytes));
  if (!keys) {
    return base::Error{base::Code::unavailable, "jwks of " + wanted.issuer + ": " + keys.error().what,
                       keys.error().expected, keys.error().found};
  }
  if (!keys->usable()) {
    return base::Error{base::Code::unavailable, "jwks of " + wanted.issuer, "a key that can be used", "none"};
  }
  return Accepted{.issued = {}, .expires = {INT64_MAX}};
}

// An empty set of anchors would make "ends in a trusted root" a question about nothing.
base::Status have_anchors(const TrustAnchors& anchors) {
  if (!anchors.empty()) return base::done();
  return base::Error{base::Code::configuration, "no trust anchors", "at least one root", "none"};
}

}  // namespace

struct Verifier::Impl {
  TrustAnchors anchors;
  VerifierLimits limits;
  mutable dcap::Caches dcap;
  mutable maa::KeySets key_sets;
  mutable snp::Caches snp;
  mutable nitro::Caches nitro;

  Impl(TrustAnchors given, VerifierLimits bounds)
      : anchors(std::move(given)),
        limits(bounds),
        dcap(bounds.cached_platforms, bounds.cached_collateral),
        key_sets(bounds.cached_collateral),
        snp(bounds.cached_platforms, bounds.cached_collateral),
        nitro(bounds.cached_platforms) {}
};

Verifier::Verifier(TrustAnchors anchors, VerifierLimits limits)
    : impl_(std::make_unique<Impl>(std::move(anchors), limits)) {}
Verifier::~Verifier() = default;

const TrustAnchors& Verifier::anchors() const noexcept { return impl_->anchors; }

VerifierStats Verifier::stats() const {
  VerifierStats out{impl_->dcap.platforms.count(), impl_->dcap.collateral.count()};
  out.platforms += impl_->snp.veks.count();
  out.collateral += impl_->snp.chains.count();
  out.collateral += impl_->key_sets.count();
  out.platforms += impl_->nitro.chains.count();
  return out;
}

base::Result<base::UtcTime> Verifier::accept_collateral(const Collateral& collateral, const DcapNeeds& needs,
                                                        base::UtcTime at) const {
  TRY_OK(have_anchors(impl_->anchors));
  return dcap::accept_collateral(collateral, needs, at, impl_->anchors, impl_->dcap);
}

base::Result<Accepted> Verifier::accept(const Artefact& artefact, const Collateral& documents, base::UtcTime at) const {
  TRY_OK(have_anchors(impl_->anchors));
  if (const auto* keys = std::get_if<JwksOf>(&artefact)) return accept_key_set(*keys, documents);
  const bool amd = std::holds_alternative<VcekOf>(artefact) || std::holds_alternative<VlekOf>(artefact) ||
                   std::holds_alternative<AmdChainOf>(artefact) || std::holds_alternative<AmdCrlOf>(artefact);
  if (amd) return snp::accept_artefact(artefact, documents, at, impl_->anchors, impl_->snp);
  return dcap::accept_artefact(artefact, documents, at, impl_->anchors, impl_->dcap);
}

base::Result<Verdict> Verifier::verify(const Evidence& evidence, const Collateral& collateral, base::UtcTime at) const {
  TRY_OK(have_anchors(impl_->anchors));
  Verdict verdict;
  verdict.at = at;
  verdict.simulated = impl_->anchors.realm() == base::Realm::simulated;
  verdict.anchors_sha256 = impl_->anchors.sha256();
  maa::TokenDigests token_digests;
  if (evidence.format == EvidenceFormat::maa_token) {
    token_digests = maa::digest_token(evidence.bytes);
    verdict.evidence_sha256 = token_digests.token;
  } else {
    verdict.evidence_sha256 = crypto::sha256(evidence.bytes);
  }
  verdict.collateral_stale_seconds = collateral.stale_seconds();

  CheckRecorder recorder;
  if (judge_envelope(evidence, impl_->limits.max_evidence_bytes, recorder)) {
    switch (evidence.format) {
      case EvidenceFormat::dcap_quote:
        dcap::judge_quote(evidence.bytes, collateral, at, impl_->anchors, impl_->dcap, recorder, verdict);
        break;
      case EvidenceFormat::maa_token:
        maa::judge_token(evidence.bytes, token_digests, collateral, at, impl_->anchors, impl_->key_sets, recorder,
                         verdict);
        break;
      case EvidenceFormat::snp_report:
        snp::judge_report(evidence.bytes, collateral, at, impl_->anchors, impl_->snp, recorder, verdict);
        break;
      case EvidenceFormat::nitro_document:
        nitro::judge_document(evidence.bytes, at, impl_->anchors, impl_->nitro, recorder, verdict);
        break;
      case EvidenceFormat::unknown:
        break;
    }
  }
  eventlog::judge_logs(evidence.supplements, recorder, verdict);
  verdict.checks = recorder.take();
  verdict.evidence = conclude(evidence.format, verdict.checks);
  // An end of validity is promised only for evidence that is valid.
  if (verdict.evidence != Genuineness::genuine) verdict.valid_until.reset();
  verdict.outcome = verdict.evidence == Genuineness::not_genuine ? Outcome::refused : Outcome::undecided;
  return verdict;
}

}  // namespace attestry::attestation
